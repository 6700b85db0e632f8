"""Bayesian linear and logistic regression: models whose latent variables are global."""

from collections.abc import Callable

import numpy as np

from ppgen import arguments, ops
from ppgen.errors import DataError
from ppgen.language import dist, param, plate, sample


def linear_regression(features: int, scale: float = 1.0) -> tuple[Callable, Callable]:
    r"""Bayesian linear regression with noise of known scale.

    .. math:: w \sim N(0, I), \qquad b \sim N(0, 1), \qquad y | x \sim N(x^\top w + b, \sigma^2)

    The weights are shared by all rows. The guide is a normal for each of them (mean field); the posterior itself,
    which is correlated, is `linear_regression_posterior`.

    Args:
        features: columns of the covariates `x` [rows, features], which stand next to the responses `y` [rows].
        scale: standard deviation of the noise, in units of `y`.

    Returns:
        The model p(y, w, b | x) and the guide q(w) q(b).

    Raises:
        ValueError: a size that is not a positive integer, or a scale that is not positive.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen.models import linear_regression
        >>> model, guide = linear_regression(2, scale=0.5)
        >>> problem = ppgen.Problem(model, guide, data={"x": np.eye(2), "y": np.array([1.0, 2.0])})
        >>> sorted(problem.start)
        ['b_loc', 'b_scale', 'w_loc', 'w_scale']
    """
    features = arguments.size("linear_regression", "features", features)
    scale = arguments.positive("linear_regression", "scale", scale)

    def model(x):
        w, b = _weights(features)
        with plate("data", len(x)):
            sample("y", dist.Normal(_predictor(x, w, b), scale))

    return model, _mean_field(features)


def logistic_regression(features: int) -> tuple[Callable, Callable]:
    r"""Bayesian logistic regression.

    .. math:: w \sim N(0, I), \qquad b \sim N(0, 1), \qquad y | x \sim \mathrm{Bernoulli}(\sigma(x^\top w + b))

    The guide is a normal for each weight (mean field).

    Args:
        features: columns of the covariates `x` [rows, features], which stand next to the binary responses `y` [rows].

    Returns:
        The model p(y, w, b | x) and the guide q(w) q(b).

    Raises:
        ValueError: a size that is not a positive integer.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen.models import logistic_regression
        >>> problem = ppgen.Problem(*logistic_regression(2), data={"x": np.eye(2), "y": np.array([0, 1])})
        >>> list(problem.model.sites)
        ['w', 'b', 'y']
    """
    features = arguments.size("logistic_regression", "features", features)

    def model(x):
        w, b = _weights(features)
        with plate("data", len(x)):
            sample("y", dist.Bernoulli(logits=_predictor(x, w, b)))

    return model, _mean_field(features)


def linear_regression_posterior(
    x: np.ndarray, y: np.ndarray, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray, float]:
    r"""The exact posterior of `linear_regression`, and its evidence (Bishop, 2006, section 3.3).

    .. math::
        (w, b) | x, y \sim N(m, S), \qquad S^{-1} = I + \tilde x^\top \tilde x / \sigma^2, \qquad
        m = S \tilde x^\top y / \sigma^2, \qquad \tilde x = (x, 1)

    Args:
        x: covariates [rows, features].
        y: responses [rows].
        scale: standard deviation of the noise.

    Returns:
        Mean of (w, b), float64 [features + 1]; its covariance, float64 [features + 1, features + 1]; and
        log p(y | x) of all rows together, in nats.

    Raises:
        ValueError: shapes that do not fit, or a scale that is not positive.

    Example:
        >>> import numpy as np
        >>> from ppgen.models.regression import linear_regression_posterior
        >>> mean, covariance, log_evidence = linear_regression_posterior(np.zeros((1, 1)), np.array([1.0]))
        >>> mean.round(4), round(log_evidence, 4)  # b is half of y; y ~ N(0, 2)
        (array([0. , 0.5]), -1.5155)
    """
    scale = arguments.positive("linear_regression_posterior", "scale", scale)
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(
            "linear_regression_posterior: expected x [rows, features] and y [rows]; "
            f"got shapes {x.shape} and {y.shape}. Reshape them, for example y[:, 0]."
        )
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    precision = np.eye(x.shape[1]) + x.T @ x / scale**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ x.T @ y / scale**2
    mahalanobis = y @ (y - x @ mean) / scale**2
    log_determinant = len(y) * np.log(2 * np.pi * scale**2) + np.linalg.slogdet(precision)[1]
    return mean, covariance, float(-0.5 * (mahalanobis + log_determinant))


def _weights(features: int) -> tuple[ops.Array, ops.Array]:
    """The weights and the intercept, with their prior."""
    w = sample("w", dist.Normal(0.0, 1.0).expand([features]).to_event(1))
    return w, sample("b", dist.Normal(0.0, 1.0))


def _predictor(x: ops.Array, w: ops.Array, b: ops.Array) -> ops.Array:
    """The linear predictor; written as a sum so that an axis of particles in front of `w` and `b` broadcasts."""
    if x.shape[-1] != w.shape[-1]:
        raise DataError(
            f"expected covariates x with {w.shape[-1]} columns; got shape {tuple(x.shape)}. "
            "Build the regression with features=x.shape[1]."
        )
    return (x * w).sum(-1) + b


def _mean_field(features: int) -> Callable:
    """A guide that holds each weight independently normal."""

    def guide():
        w_scale = param("w_scale", np.ones(features), "positive")
        b_scale = param("b_scale", 1.0, "positive")
        sample("w", dist.Normal(param("w_loc", np.zeros(features)), w_scale).to_event(1))
        sample("b", dist.Normal(param("b_loc", 0.0), b_scale))

    return guide
