"""ppgen: deep generative models as programs, learned by swappable algorithms on NumPyro or Pyro."""

from ppgen import backends, data, distributions, evaluation, models, nn, ops
from ppgen.evaluation import Evaluation
from ppgen.inference import (
    ELBO,
    GAN,
    IWAE,
    Algorithm,
    MaximumLikelihood,
    Renyi,
    ReweightedWakeSleep,
    WakeSleep,
)
from ppgen.joint import Batch, Draw, Joint
from ppgen.language import deterministic, dist, factor, module, param, plate, sample, using
from ppgen.training.checkpoint import load
from ppgen.training.fit import fit
from ppgen.training.optimizers import SGD, Adam
from ppgen.training.result import Fit
from ppgen.training.trainer import State, Trainer

__all__ = [
    "ELBO",
    "GAN",
    "IWAE",
    "SGD",
    "Adam",
    "Algorithm",
    "Batch",
    "Draw",
    "Evaluation",
    "Fit",
    "Joint",
    "MaximumLikelihood",
    "Renyi",
    "ReweightedWakeSleep",
    "State",
    "Trainer",
    "WakeSleep",
    "backends",
    "data",
    "deterministic",
    "dist",
    "distributions",
    "evaluation",
    "factor",
    "fit",
    "load",
    "models",
    "module",
    "nn",
    "ops",
    "param",
    "plate",
    "sample",
    "using",
]
