"""Models: programs to start from, one family a file. Each function gives a model and a guide for it."""

from ppgen.models.gaussian_mixture import gaussian_mixture
from ppgen.models.ppca import ppca
from ppgen.models.regression import linear_regression, logistic_regression
from ppgen.models.sigmoid_belief_network import sigmoid_belief_network
from ppgen.models.vae import conditional_vae, vae

__all__ = [
    "conditional_vae",
    "gaussian_mixture",
    "linear_regression",
    "logistic_regression",
    "ppca",
    "sigmoid_belief_network",
    "vae",
]
