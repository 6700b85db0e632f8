"""What a fit is worth: log-likelihoods that say what kind of number they are, and posterior draws."""

from ppgen.evaluation.diagnostics import diagnose
from ppgen.evaluation.generation import generate
from ppgen.evaluation.imputation import impute, reconstruct
from ppgen.evaluation.likelihood import evidence, likelihood
from ppgen.evaluation.posterior import posterior, sampled
from ppgen.evaluation.predictive import predictive, shared_draws
from ppgen.evaluation.programs import evaluate
from ppgen.evaluation.psis import khat
from ppgen.evaluation.result import Evaluation

__all__ = [
    "Evaluation", "diagnose", "evaluate", "evidence", "generate", "impute", "khat", "likelihood", "posterior", "predictive",
    "reconstruct", "sampled", "shared_draws",
]  # fmt: skip
