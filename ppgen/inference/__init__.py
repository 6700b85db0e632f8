"""Algorithms: each a game between programs, in a file named after it."""

from ppgen.inference.algorithm import Algorithm
from ppgen.inference.elbo import ELBO
from ppgen.inference.gan import GAN
from ppgen.inference.iwae import IWAE
from ppgen.inference.maximum_likelihood import MaximumLikelihood
from ppgen.inference.renyi import Renyi
from ppgen.inference.reweighted_wake_sleep import ReweightedWakeSleep
from ppgen.inference.wake_sleep import WakeSleep

ALGORITHMS: tuple[Algorithm, ...] = (
    ELBO(),
    ELBO(particles=2, gradient="stl"),
    ELBO(particles=2, gradient="score"),
    ELBO(analytic_kl=True),
    IWAE(),
    IWAE(gradient="stl"),
    IWAE(gradient="dreg"),
    IWAE(gradient="vimco"),
    Renyi(),
    ReweightedWakeSleep(),
    ReweightedWakeSleep(sleep_phase=True),
    WakeSleep(),
    MaximumLikelihood(),
    GAN(),
)
"""One of each. Error messages choose from these, and the contract tests run each on every model and both backends:
a new algorithm is added here."""

__all__ = [
    "ALGORITHMS",
    "ELBO",
    "GAN",
    "IWAE",
    "Algorithm",
    "MaximumLikelihood",
    "Renyi",
    "ReweightedWakeSleep",
    "WakeSleep",
]
