"""ppgen: deep generative models as programs, learned by swappable algorithms on NumPyro or Pyro."""

from ppgen import backends, data, distributions, evaluation, guides, models, nn, ops
from ppgen.evaluation import Comparison, Evaluation, compare, evaluate
from ppgen.inference import (
    ALI,
    ELBO,
    EM,
    GAN,
    HMC,
    IWAE,
    NUTS,
    SMC,
    Algorithm,
    Critic,
    MaximumLikelihood,
    Renyi,
    ReweightedWakeSleep,
    WakeSleep,
)
from ppgen.language import deterministic, dist, factor, module, param, plate, sample, using
from ppgen.problem.batch import Batch
from ppgen.problem.constants import schedule
from ppgen.problem.intervention import do
from ppgen.problem.joint import Joint
from ppgen.problem.problem import Problem
from ppgen.problem.trace import Trace
from ppgen.training.fit import fit
from ppgen.training.loading import load
from ppgen.training.optimizers import SGD, Adam
from ppgen.training.result import Fit
from ppgen.training.trainer import State, Trainer

__version__ = "0.1.0"

__all__ = [
    "ALI",
    "ELBO",
    "EM",
    "GAN",
    "HMC",
    "IWAE",
    "NUTS",
    "SGD",
    "SMC",
    "Adam",
    "Algorithm",
    "Batch",
    "Comparison",
    "Critic",
    "Evaluation",
    "Fit",
    "Joint",
    "MaximumLikelihood",
    "Problem",
    "Renyi",
    "ReweightedWakeSleep",
    "State",
    "Trace",
    "Trainer",
    "WakeSleep",
    "backends",
    "compare",
    "data",
    "deterministic",
    "dist",
    "distributions",
    "do",
    "evaluate",
    "evaluation",
    "factor",
    "fit",
    "guides",
    "load",
    "models",
    "module",
    "nn",
    "ops",
    "param",
    "plate",
    "sample",
    "schedule",
    "using",
]
