"""Sigmoid belief networks."""

import itertools
from collections.abc import Callable, Mapping

import numpy as np

from ppgen import arguments, nn
from ppgen.language import dist, module, param, plate, sample
from ppgen.models.layers import numbers


def sigmoid_belief_network(
    features: int, latents: tuple[int, ...] = (200,), hidden: tuple[int, ...] = (), activation: str = "tanh"
) -> tuple[Callable, Callable]:
    r"""Layers of binary latent variables over binary data (Neal, 1992).

    .. math::
        p(x, z) = p(z_L) \prod_{l=0}^{L-1} p(z_l | z_{l+1}), \qquad
        q(z | x) = \prod_{l=0}^{L-1} q(z_{l+1} | z_l), \qquad z_0 = x

    Within a layer the variables are independent Bernoullis given the layer they hang on, in the model (top-down) and
    in the guide (bottom-up, as in Hinton et al., 1995). The top layer has learned log-odds, the parameter `prior`.
    The layers are called as in `ppgen.models.vae`: `z`, or `z1`, `z2`, ... from the data upwards, with networks
    `decoder...` and `encoder...`.

    Binary draws carry no gradient. Legal algorithms are wake-sleep and its reweighted form, VIMCO
    (`IWAE(gradient="vimco")`), the score function (`ELBO(particles=5, gradient="score")`), and for up to a dozen
    units `MaximumLikelihood`.

    Args:
        features: columns of the binary data `x` [rows, features].
        latents: units of each layer, from the data upwards.
        hidden: hidden layers of the network between two layers of units; none by default, which makes it linear.
        activation: of the hidden layers, see `ppgen.nn.MLP`.

    Returns:
        The model p(x, z) and the guide q(z | x).

    Raises:
        ValueError: a size that is not a positive integer.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen.models import sigmoid_belief_network
        >>> model, guide = sigmoid_belief_network(4, latents=(3, 2))
        >>> problem = ppgen.Problem(model, guide, data={"x": np.eye(4)})
        >>> sorted(name for name in problem.start if "bias" not in name)
        ['decoder1.0.weight', 'decoder2.0.weight', 'encoder1.0.weight', 'encoder2.0.weight', 'prior']
    """
    features = arguments.size("sigmoid_belief_network", "features", features)
    latents = arguments.sizes("sigmoid_belief_network", "latents", latents)
    hidden = arguments.sizes("sigmoid_belief_network", "hidden", hidden, empty=True)

    sizes, number = (features, *latents), numbers(len(latents))
    sites = ("x", *(f"z{n}" for n in number))  # sites[i] has sizes[i] units
    layers = range(len(latents))

    encoders = [nn.MLP(sizes[i], *hidden, sizes[i + 1], activation=activation) for i in layers]
    decoders = [nn.MLP(sizes[i + 1], *hidden, sizes[i], activation=activation) for i in layers]

    def encoder(layer: int) -> Callable:
        return module(f"encoder{number[layer]}", encoders[layer])

    def decoder(layer: int) -> Callable:
        return module(f"decoder{number[layer]}", decoders[layer])

    def model(rows):
        prior = param("prior", np.zeros(sizes[-1]))
        with plate("data", rows):
            z = sample(sites[-1], dist.Bernoulli(logits=prior).to_event(1))
            for layer in reversed(layers):
                z = sample(sites[layer], dist.Bernoulli(logits=decoder(layer)(z)).to_event(1))

    def guide(x):
        with plate("data", len(x)):
            z = x
            for layer in layers:
                z = sample(sites[layer + 1], dist.Bernoulli(logits=encoder(layer)(z)).to_event(1))

    return model, guide


def log_likelihood(params: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    r"""The exact log p(x) of a network with linear layers, by summing over every state of each layer in turn.

    .. math:: p(z_l) = \sum_{z_{l+1}} p(z_l | z_{l+1}) \, p(z_{l+1})

    It costs 2^m 2^n for neighbouring layers of m and n units, so it is for small networks.

    Args:
        params: `prior`, `decoder.0.weight`, ... by name.
        x: binary data [rows, features].

    Returns:
        Nats per row, float64 [rows].

    Example:
        >>> import numpy as np
        >>> from ppgen.models.sigmoid_belief_network import log_likelihood
        >>> params = {"prior": np.zeros(2), "decoder.0.weight": np.zeros((2, 3)), "decoder.0.bias": np.zeros(3)}
        >>> log_likelihood(params, np.eye(3)) / np.log(2)
        array([-3., -3., -3.])
    """
    params = {name: np.asarray(value, np.float64) for name, value in params.items()}
    prior, x = params["prior"], np.asarray(x, np.float64)
    depth = sum(name.startswith("decoder") and name.endswith(".weight") for name in params)

    above = _states(len(prior))
    log_prob = _bernoulli(above, prior)
    for layer, number in reversed(list(enumerate(numbers(depth)))):
        logits = above @ params[f"decoder{number}.0.weight"] + params[f"decoder{number}.0.bias"]
        below = x if layer == 0 else _states(logits.shape[1])
        log_prob = np.logaddexp.reduce(log_prob + _bernoulli(below[:, None], logits), 1)
        above = below
    return log_prob


def _states(units: int) -> np.ndarray:
    """Every state of binary units, [2^units, units]."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=units)))


def _bernoulli(x: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Log probability of independent bits, summed over the last axis."""
    return np.sum(x * logits - np.logaddexp(0, logits), -1)
