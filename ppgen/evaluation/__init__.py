"""What a fit is worth: log-likelihoods that say what kind of number they are, and posterior draws."""

from ppgen.evaluation.annealed import Sandwich, annealed, sandwich
from ppgen.evaluation.anomalies import anomalies
from ppgen.evaluation.calibration import Calibration, calibration
from ppgen.evaluation.checks import Check, check, replicate
from ppgen.evaluation.comparison import Comparison, compare
from ppgen.evaluation.diagnostics import diagnose
from ppgen.evaluation.generation import generate
from ppgen.evaluation.imputation import impute, reconstruct
from ppgen.evaluation.likelihood import evidence, likelihood
from ppgen.evaluation.loo import loo
from ppgen.evaluation.posterior import posterior, sampled
from ppgen.evaluation.predictive import predictive, shared_draws
from ppgen.evaluation.programs import evaluate
from ppgen.evaluation.psis import khat
from ppgen.evaluation.result import Evaluation
from ppgen.evaluation.traversal import traverse

__all__ = [
    "Calibration", "Check", "Comparison", "Evaluation", "Sandwich", "annealed", "anomalies", "calibration", "check",
    "compare", "diagnose", "evaluate", "evidence", "generate", "impute", "khat", "likelihood", "loo", "posterior", "predictive",
    "reconstruct", "replicate", "sampled", "sandwich", "shared_draws", "traverse",
]  # fmt: skip
