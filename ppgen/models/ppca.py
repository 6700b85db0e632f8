"""Probabilistic principal component analysis: the latent variable model in which everything is known exactly."""

from collections.abc import Callable, Mapping

import numpy as np

from ppgen import arguments, ops
from ppgen.language import dist, param, plate, sample


def ppca(features: int, latents: int) -> tuple[Callable, Callable]:
    r"""Probabilistic principal component analysis (Tipping & Bishop, 1999).

    .. math:: z \sim N(0, I), \qquad x | z \sim N(W z + \mu, \sigma^2 I)

    The guide is the exact posterior under the model's current parameters, which it shares by name:

    .. math:: q(z | x) = p(z | x) = N(M^{-1} W^\top (x - \mu), \; \sigma^2 M^{-1}), \qquad M = W^\top W + \sigma^2 I

    so every log weight log p(x, z) - log q(z | x) equals log p(x), and the ELBO is the likelihood itself.

    Args:
        features: columns of the data `x` [rows, features].
        latents: number of latent variables.

    Returns:
        The model p(x, z) and the guide p(z | x), with parameters `W` [features, latents], `mu` [features] and
        `sigma` (positive).

    Raises:
        ValueError: a size that is not a positive integer.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen.models import ppca
        >>> model, guide = ppca(4, latents=2)
        >>> problem = ppgen.Problem(model, guide, data={"x": np.eye(4)})
        >>> sorted(problem.start)
        ['W', 'mu', 'sigma']
    """
    features = arguments.size("ppca", "features", features)
    latents = arguments.size("ppca", "latents", latents)

    def parameters() -> tuple[ops.Array, ops.Array, ops.Array]:
        W = param("W", lambda rng: rng.normal(size=(features, latents)) / np.sqrt(latents))
        return W, param("mu", np.zeros(features)), param("sigma", 1.0, "positive")

    def model(rows):
        W, mu, sigma = parameters()
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0).expand([latents]).to_event(1))
            sample("x", dist.Normal(z @ W.T + mu, sigma).to_event(1))

    def guide(x):
        W, mu, sigma = parameters()
        inverse = ops.inverse(W.T @ W + sigma**2 * ops.eye(latents))
        with plate("data", len(x)):
            loc = (x - mu) @ W @ inverse
            sample("z", dist.MultivariateNormal(loc, covariance_matrix=sigma**2 * inverse))

    return model, guide


def log_likelihood(params: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    r"""The exact log p(x) = log N(x; mu, W W^T + sigma^2 I).

    Args:
        params: `W`, `mu` and `sigma` by name.
        x: data [rows, features].

    Returns:
        Nats per row, float64 [rows].

    Example:
        >>> import numpy as np
        >>> from ppgen.models.ppca import log_likelihood
        >>> params = {"W": np.zeros((3, 1)), "mu": np.zeros(3), "sigma": 1.0}
        >>> log_likelihood(params, np.zeros((2, 3))).round(4)
        array([-2.7568, -2.7568])
    """
    W, mu, sigma = _double(params)
    covariance = W @ W.T + sigma**2 * np.eye(len(W))
    centred = np.asarray(x, np.float64) - mu
    mahalanobis = np.sum(centred * np.linalg.solve(covariance, centred.T).T, 1)
    return -0.5 * (mahalanobis + np.linalg.slogdet(2 * np.pi * covariance)[1])


def posterior(params: Mapping[str, np.ndarray], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exact p(z | x), a Gaussian with one covariance for all rows.

    Args:
        params: `W`, `mu` and `sigma` by name.
        x: data [rows, features].

    Returns:
        Means, float64 [rows, latents], and covariance, float64 [latents, latents].

    Example:
        >>> import numpy as np
        >>> from ppgen.models.ppca import posterior
        >>> mean, covariance = posterior({"W": np.ones((3, 1)), "mu": np.zeros(3), "sigma": 1.0}, np.eye(3))
        >>> mean[0], covariance
        (array([0.25]), array([[0.25]]))
    """
    W, mu, sigma = _double(params)
    inverse = np.linalg.inv(W.T @ W + sigma**2 * np.eye(W.shape[1]))
    return (np.asarray(x, np.float64) - mu) @ W @ inverse, sigma**2 * inverse


def maximum_likelihood(x: np.ndarray, latents: int) -> dict[str, np.ndarray]:
    r"""The parameters of highest likelihood, in closed form (Tipping & Bishop, 1999, section 3.2).

    .. math:: W = U_q (\Lambda_q - \sigma^2 I)^{1/2}, \qquad \sigma^2 = \frac{1}{d - q} \sum_{j > q} \lambda_j

    with the eigenvalues and eigenvectors of the data's covariance. `W` is unique up to a rotation of the latents.

    Args:
        x: data [rows, features].
        latents: number of latent variables q, fewer than the features d.

    Returns:
        `W` [features, latents], `mu` [features] and `sigma` [], float64.

    Raises:
        ValueError: as many latent variables as features or more, which leaves no noise to estimate.

    Example:
        >>> import numpy as np
        >>> from ppgen.models.ppca import maximum_likelihood
        >>> x = np.diag([3.0, 1.0, 1.0])
        >>> params = maximum_likelihood(np.concatenate([x, -x]), latents=1)
        >>> float(params["sigma"] ** 2)
        0.3333333333333333
    """
    latents = arguments.size("maximum_likelihood", "latents", latents)
    x = np.asarray(x, np.float64)
    if latents >= x.shape[1]:
        raise ValueError(
            f"maximum_likelihood: expected fewer latents than the {x.shape[1]} features; got {latents}. "
            "Lower latents, so that some features' variance is left to the noise."
        )
    mu = x.mean(0)
    values, vectors = np.linalg.eigh((x - mu).T @ (x - mu) / len(x))  # in ascending order
    variance = values[:-latents].mean()
    W = vectors[:, -latents:] * np.sqrt(values[-latents:] - variance)
    return {"W": W, "mu": mu, "sigma": np.sqrt(variance)}


def _double(params: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    W, mu, sigma = (np.asarray(params[name], np.float64) for name in ("W", "mu", "sigma"))
    return W, mu, sigma
