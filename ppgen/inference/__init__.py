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
    ELBO(particles=2, gradient="score"),
    IWAE(),
    IWAE(gradient="vimco"),
    Renyi(),
    ReweightedWakeSleep(),
    WakeSleep(),
    MaximumLikelihood(),
    GAN(critic="..."),
)
"""One of each, as error messages and tables list them. A new algorithm is added here."""

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
