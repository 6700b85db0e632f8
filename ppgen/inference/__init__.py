"""Algorithms, by family: each in a file named after it."""

from ppgen.inference.adversarial.ali import ALI
from ppgen.inference.adversarial.gan import GAN
from ppgen.inference.algorithm import Algorithm
from ppgen.inference.critic import Critic
from ppgen.inference.exact.em import EM
from ppgen.inference.exact.maximum_likelihood import MaximumLikelihood
from ppgen.inference.mcmc.hmc import HMC
from ppgen.inference.mcmc.nuts import NUTS
from ppgen.inference.procedure import Procedure, SamplingWarning
from ppgen.inference.sleep.reweighted_wake_sleep import ReweightedWakeSleep
from ppgen.inference.sleep.wake_sleep import WakeSleep
from ppgen.inference.smc.tempered import SMC
from ppgen.inference.variational.elbo import ELBO
from ppgen.inference.variational.iwae import IWAE
from ppgen.inference.variational.renyi import Renyi

ALGORITHMS: tuple[Algorithm, ...] = (
    ELBO(),
    ELBO(particles=2, gradient="stl"),
    ELBO(particles=2, gradient="score"),
    ELBO(gradient="score", baseline="average"),
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
    ALI(),
)
"""Games of losses, one of each. Contract tests run each on every model and both backends: a new game is added here."""

PROCEDURES: tuple[Procedure, ...] = (EM(), NUTS(), HMC(), SMC(), SMC(kernel="random_walk"))
"""Algorithms that make their own steps, one of each: a new one is added here, for the tests of procedures."""

EVERYTHING: tuple[Algorithm, ...] = (*ALGORITHMS, *PROCEDURES)
"""Error messages say which of these would be legal."""

__all__ = [
    "ALGORITHMS",
    "ALI",
    "ELBO",
    "EM",
    "EVERYTHING",
    "GAN",
    "HMC",
    "IWAE",
    "NUTS",
    "PROCEDURES",
    "SMC",
    "Algorithm",
    "Critic",
    "MaximumLikelihood",
    "Procedure",
    "Renyi",
    "ReweightedWakeSleep",
    "SamplingWarning",
    "WakeSleep",
]
