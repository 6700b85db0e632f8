"""Mixtures of Gaussians."""

from collections.abc import Callable, Mapping

import numpy as np

from ppgen import arguments, ops
from ppgen.language import dist, param, plate, sample


def gaussian_mixture(features: int, components: int) -> tuple[Callable, Callable]:
    r"""A mixture of Gaussians with diagonal covariances.

    .. math:: k \sim \mathrm{Categorical}(\pi), \qquad x | k \sim N(\mu_k, \mathrm{diag}(\sigma_k^2))

    The guide is the exact posterior under the model's current parameters, which it shares by name. It is the E step
    of Dempster et al. (1977), the responsibilities

    .. math:: q(k | x) = p(k | x) \propto \pi_k N(x; \mu_k, \mathrm{diag}(\sigma_k^2))

    `MaximumLikelihood` sums `k` out and needs no guide. Means start at random around 0 with variance 1, so data
    should be standardised.

    Args:
        features: columns of the data `x` [rows, features].
        components: number of Gaussians.

    Returns:
        The model p(x, k) and the guide p(k | x), with parameters `weights` [components] (a simplex), `loc` and `scale`
        [components, features] (positive).

    Raises:
        ValueError: a size that is not a positive integer.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen.models import gaussian_mixture
        >>> model, guide = gaussian_mixture(2, components=3)
        >>> problem = ppgen.Problem(model, data={"x": np.eye(2)})
        >>> sorted(problem.start)
        ['loc', 'scale', 'weights']
    """
    features = arguments.size("gaussian_mixture", "features", features)
    components = arguments.size("gaussian_mixture", "components", components)

    def parameters() -> tuple[ops.Array, ops.Array, ops.Array]:
        weights = param("weights", np.full(components, 1 / components), "simplex")
        loc = param("loc", lambda rng: rng.normal(size=(components, features)))
        return weights, loc, param("scale", np.ones((components, features)), "positive")

    def model(rows):
        weights, loc, scale = parameters()
        with plate("data", rows):
            k = sample("k", dist.Categorical(weights))
            sample("x", dist.Normal(loc[k], scale[k]).to_event(1))

    def guide(x):
        weights, loc, scale = parameters()
        with plate("data", len(x)):
            log_joint = ops.log(weights) + dist.Normal(loc, scale).log_prob(x[:, None]).sum(-1)
            sample("k", dist.Categorical(logits=log_joint))

    return model, guide


def log_likelihood(params: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    r"""The exact log p(x) = log sum_k pi_k N(x; mu_k, diag(sigma_k^2)).

    Args:
        params: `weights`, `loc` and `scale` by name.
        x: data [rows, features].

    Returns:
        Nats per row, float64 [rows].

    Example:
        >>> import numpy as np
        >>> from ppgen.models.gaussian_mixture import log_likelihood
        >>> params = {"weights": np.array([0.5, 0.5]), "loc": np.array([[-1.0], [1.0]]), "scale": np.ones((2, 1))}
        >>> log_likelihood(params, np.zeros((1, 1))).round(4)
        array([-1.4189])
    """
    weights, loc, scale = (np.asarray(params[name], np.float64) for name in ("weights", "loc", "scale"))
    standardised = (np.asarray(x, np.float64)[:, None] - loc) / scale
    log_prob = -0.5 * np.sum(standardised**2 + np.log(2 * np.pi * scale**2), -1)
    return np.logaddexp.reduce(np.log(weights) + log_prob, 1)
