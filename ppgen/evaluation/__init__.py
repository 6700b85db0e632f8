"""What a fit is worth: log-likelihoods that say what kind of number they are, and posterior draws."""

from ppgen.evaluation.generation import generate
from ppgen.evaluation.likelihood import evidence, likelihood
from ppgen.evaluation.posterior import posterior
from ppgen.evaluation.programs import evaluate
from ppgen.evaluation.psis import khat
from ppgen.evaluation.result import Evaluation

__all__ = ["Evaluation", "evaluate", "evidence", "generate", "khat", "likelihood", "posterior"]
