"""The table of models that every contract test runs over: a model is tested by being listed here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ppgen.distributions import MADE, Flow, StandardNormal
from ppgen.distributions.flows import AutoregressiveTransform, Inverse
from ppgen.models.gaussian_mixture import gaussian_mixture
from ppgen.models.gaussian_mixture import log_likelihood as mixture_log_likelihood
from ppgen.models.ppca import log_likelihood as ppca_log_likelihood
from ppgen.models.ppca import ppca
from ppgen.models.regression import linear_regression, linear_regression_posterior, logistic_regression
from ppgen.models.sigmoid_belief_network import log_likelihood as belief_network_log_likelihood
from ppgen.models.sigmoid_belief_network import sigmoid_belief_network
from ppgen.models.vae import conditional_vae, vae

Arrays = Mapping[str, np.ndarray]
"""Arrays by name: data, or constrained parameters."""


@dataclass(frozen=True)
class Entry:
    """A model small enough to run through every test.

    Attributes:
        build: makes the model and the guide.
        data: makes a batch from a seed and a number of rows.
        exact: the log-likelihood of a batch under given parameters, in nats, float64 [rows]; [1], all rows together,
            where a latent variable is global. None where it has no closed form.
    """

    build: Callable[[], tuple[Callable, Callable]]
    data: Callable[[int, int], dict[str, np.ndarray]]
    exact: Callable[[Arrays, Arrays], np.ndarray] | None = None


def binary(seed: int, rows: int) -> dict[str, np.ndarray]:
    """Six bits `x` that copy two fair ones, each flipped one time in ten."""
    rng = np.random.default_rng(seed)
    x = np.repeat(rng.random((rows, 2)) < 0.5, 3, axis=1) ^ (rng.random((rows, 6)) < 0.1)
    return {"x": x.astype(np.float32)}


def continuous(seed: int, rows: int) -> dict[str, np.ndarray]:
    """Five columns `x` near a plane."""
    rng = np.random.default_rng(seed)
    plane = np.array([[1.0, 1.0, 0.0, -1.0, 0.5], [0.0, 1.0, 2.0, 0.5, -1.0]])
    return {"x": rng.normal(rng.normal(size=(rows, 2)) @ plane + 1, 0.3).astype(np.float32)}


def clusters(seed: int, rows: int) -> dict[str, np.ndarray]:
    """Points `x` of the plane in three clusters."""
    rng = np.random.default_rng(seed)
    centre = np.array([[-1.5, 0.0], [0.0, 1.5], [1.5, 0.0]])[rng.integers(3, size=rows)]
    return {"x": rng.normal(centre, 0.4).astype(np.float32)}


def labelled(seed: int, rows: int) -> dict[str, np.ndarray]:
    """The bits `x` of `binary`, with covariates `c` that tell the first of the two bits they copy."""
    x = binary(seed, rows)["x"]
    label = x[:, :3].sum(1) > 1
    return {"x": x, "c": np.stack([label, ~label], 1).astype(np.float32)}


def responses(seed: int, rows: int) -> dict[str, np.ndarray]:
    """Three covariates `x`, and responses `y` that are linear in them up to noise of scale 1/2."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    y = rng.normal(x @ np.array([1.0, -0.5, 0.0]) + 0.7, 0.5)
    return {"x": x.astype(np.float32), "y": y.astype(np.float32)}


def binary_responses(seed: int, rows: int) -> dict[str, np.ndarray]:
    """The covariates of `responses`, and whether the response is positive."""
    data = responses(seed, rows)
    return {"x": data["x"], "y": (data["y"] > 0).astype(np.float32)}


MODELS: dict[str, Entry] = {
    "vae": Entry(lambda: vae(6, latents=(3,), hidden=(8,)), binary),
    "vae_gaussian": Entry(
        lambda: vae(5, latents=(2,), hidden=(8,), likelihood="gaussian", activation="tanh"), continuous
    ),
    "vae_two_layers": Entry(lambda: vae(6, latents=(3, 2), hidden=(8,)), binary),
    "vae_learnable": Entry(
        lambda: vae(
            4,
            latents=(2,),
            hidden=(6,),
            prior=Flow(StandardNormal(2), (AutoregressiveTransform(2, hidden=(6,)),)),
            posterior=Flow(StandardNormal(2), (Inverse(AutoregressiveTransform(2, hidden=(6,), context=3)),)),
            likelihood=MADE(4, hidden=(6,), context=5),
        ),
        lambda seed, rows: {"x": binary(seed, rows)["x"][:, 1:5]},
    ),
    "conditional_vae": Entry(lambda: conditional_vae(6, condition=2, latents=2, hidden=(8,)), labelled),
    "sigmoid_belief_network": Entry(
        lambda: sigmoid_belief_network(6, latents=(3,)),
        binary,
        lambda params, data: belief_network_log_likelihood(params, data["x"]),
    ),
    "sigmoid_belief_network_two_layers": Entry(
        lambda: sigmoid_belief_network(6, latents=(3, 2)),
        binary,
        lambda params, data: belief_network_log_likelihood(params, data["x"]),
    ),
    "ppca": Entry(
        lambda: ppca(5, latents=2),
        continuous,
        lambda params, data: ppca_log_likelihood(params, data["x"]),
    ),
    "gaussian_mixture": Entry(
        lambda: gaussian_mixture(2, components=3),
        clusters,
        lambda params, data: mixture_log_likelihood(params, data["x"]),
    ),
    "linear_regression": Entry(
        lambda: linear_regression(3, scale=0.5),
        responses,
        lambda params, data: np.array([linear_regression_posterior(data["x"], data["y"], scale=0.5)[2]]),
    ),
    "logistic_regression": Entry(lambda: logistic_regression(3), binary_responses),
}
"""The models by name."""
