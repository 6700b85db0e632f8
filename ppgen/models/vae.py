"""Variational autoencoders."""

from collections.abc import Callable

from ppgen import arguments, nn, ops
from ppgen.distributions import Learnable
from ppgen.language import dist, module, param, plate, sample
from ppgen.models.layers import numbers

LIKELIHOODS = ("bernoulli", "gaussian")


def vae(
    features: int,
    latents: tuple[int, ...] = (20,),
    hidden: tuple[int, ...] | tuple[tuple[int, ...], ...] = (200,),
    likelihood: str | Learnable = "bernoulli",
    activation: str = "relu",
    scale: float = 1.0,
    prior: Learnable | None = None,
    posterior: Learnable | None = None,
) -> tuple[Callable, Callable]:
    r"""A variational autoencoder (Kingma & Welling, 2014; Rezende et al., 2014).

    .. math::
        p(x, z) = p(z_L) \prod_{l=1}^{L-1} p(z_l | z_{l+1}) \; p(x | z_1), \qquad
        q(z | x) = q(z_1 | x) \prod_{l=1}^{L-1} q(z_{l+1} | z_l)

    The top layer is standard normal; every other conditional is a diagonal Gaussian whose mean and log standard
    deviation are two outputs of one network. With one layer of latent variables the sites are `x` and `z`, and the
    networks `decoder` and `encoder`. With several they are numbered upwards from the data: `decoder1` reads `z1`
    and gives `x`, `encoder1` reads `x` and gives `z1`, `encoder2` reads `z1` and gives `z2`.

    Flows and autoregressive distributions stand in for the Gaussians: `prior=NSF(20)` for p(z_L),
    `posterior=IAF(20, context=40)` for q(z | x), and `likelihood=MADE(784, context=200)` for p(x | z_1); the network
    before a conditional one ends in its context.

    `vae(784, latents=(50,), hidden=(200, 200), activation="tanh")` is the one-layer network of Burda et al. (2016),
    `vae(784, latents=(100, 50), hidden=((200, 200), (100, 100)), activation="tanh")` the two-layer one.

    Args:
        features: columns of the data `x` [rows, features].
        latents: size of each layer of latent variables, from the data upwards.
        hidden: hidden layers of each network; a tuple of such tuples gives every layer its own.
        likelihood: "bernoulli" for binary data; "gaussian" for real data, with the decoder's output as mean and one
            standard deviation for all features, the learned parameter `scale`; or a learnable distribution of `x` with
            a context.
        activation: of the hidden layers, see `ppgen.nn.MLP`.
        scale: where the Gaussian likelihood's standard deviation starts, in units of the data.
        prior: a learnable distribution of the top layer; a standard normal by default.
        posterior: a learnable distribution of the latent variables with a context, where there is one layer of them.

    Returns:
        The model p(x, z) and the guide q(z | x).

    Raises:
        ValueError: a size that is not a positive integer, a likelihood that is none of these, or a learnable
            distribution of another size, with a context where it gets none, or without one where it needs one.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen.models import vae
        >>> model, guide = vae(6, latents=(3, 2), hidden=(8,))
        >>> problem = ppgen.Problem(model, guide, data={"x": np.eye(6)})
        >>> list(problem.model.sites)
        ['z2', 'z1', 'x']
    """
    features = arguments.size("vae", "features", features)
    latents = arguments.sizes("vae", "latents", latents)
    layers = range(len(latents))
    hidden = _hidden(hidden, len(layers))
    if not isinstance(likelihood, Learnable):
        arguments.choice("vae", "likelihood", likelihood, LIKELIHOODS)
    arguments.positive("vae", "scale", scale)
    if posterior is not None and len(layers) > 1:
        raise ValueError(f"vae: expected one layer of latents with posterior={posterior!r}; got {latents}.")
    _fits("prior", prior, latents[-1], conditional=False)
    _fits("posterior", posterior, latents[0], conditional=True)
    _fits("likelihood", likelihood, features, conditional=True)

    sizes, number = (features, *latents), numbers(len(layers))
    sites = (
        "x",
        *(f"z{n}" for n in number),
    )  # sites[i] has sizes[i] columns; layer i stands between sites[i] and sites[i + 1]

    reads = likelihood.context if isinstance(likelihood, Learnable) else features  # what the last decoder gives
    encoders = [nn.MLP(sizes[i], *hidden[i], (sizes[i + 1], sizes[i + 1]), activation=activation) for i in layers]
    decoders = [
        nn.MLP(sizes[i + 1], *hidden[i], (sizes[i], sizes[i]) if i else reads, activation=activation) for i in layers
    ]
    if posterior is not None:
        encoders = [nn.MLP(features, *hidden[0], posterior.context, activation=activation)]

    def encoder(layer: int) -> Callable:
        return module(f"encoder{number[layer]}", encoders[layer])

    def decoder(layer: int) -> Callable:
        return module(f"decoder{number[layer]}", decoders[layer])

    def model(rows):
        with plate("data", rows):
            top = dist.Normal(0.0, 1.0).expand([sizes[-1]]).to_event(1) if prior is None else module("prior", prior)()
            z = sample(sites[-1], top)
            for layer in reversed(layers[1:]):
                loc, log_scale = decoder(layer)(z)
                z = sample(sites[layer], dist.Normal(loc, ops.exp(log_scale)).to_event(1))
            _observe(decoder(0)(z), likelihood, scale)

    def guide(x):
        with plate("data", len(x)):
            if posterior is not None:
                sample(sites[1], module("posterior", posterior)(encoder(0)(x)))
                return
            z = x
            for layer in layers:
                loc, log_scale = encoder(layer)(z)
                z = sample(sites[layer + 1], dist.Normal(loc, ops.exp(log_scale)).to_event(1))

    return model, guide


def conditional_vae(
    features: int,
    condition: int,
    latents: int = 20,
    hidden: tuple[int, ...] = (200,),
    likelihood: str = "bernoulli",
    activation: str = "relu",
    scale: float = 1.0,
) -> tuple[Callable, Callable]:
    r"""A variational autoencoder of data that come with covariates (Sohn et al., 2015).

    .. math:: p(x, z | c) = p(z) \, p(x | z, c), \qquad q(z | x, c)

    The prior is standard normal whatever the covariates, so that `z` holds what they do not say about `x`.

    Args:
        features: columns of the data `x` [rows, features].
        condition: columns of the covariates `c` [rows, condition], which the data carry next to `x`.
        latents: number of latent variables.
        hidden: hidden layers of both networks.
        likelihood: "bernoulli" or "gaussian", as in `vae`.
        activation: of the hidden layers, see `ppgen.nn.MLP`.
        scale: where the Gaussian likelihood's standard deviation starts, in units of the data.

    Returns:
        The model p(x, z | c) and the guide q(z | x, c).

    Raises:
        ValueError: a size that is not a positive integer, or a likelihood that is neither of the two.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen.models import conditional_vae
        >>> model, guide = conditional_vae(6, condition=2, latents=3, hidden=(8,))
        >>> problem = ppgen.Problem(model, guide, data={"x": np.eye(6), "c": np.ones((6, 2))})
        >>> problem.start["decoder.0.weight"].shape
        (5, 8)
    """
    features = arguments.size("conditional_vae", "features", features)
    condition = arguments.size("conditional_vae", "condition", condition)
    latents = arguments.size("conditional_vae", "latents", latents)
    hidden = arguments.sizes("conditional_vae", "hidden", hidden, empty=True)
    arguments.choice("conditional_vae", "likelihood", likelihood, LIKELIHOODS)
    arguments.positive("conditional_vae", "scale", scale)

    decoder_net = nn.MLP(latents + condition, *hidden, features, activation=activation)
    encoder_net = nn.MLP(features + condition, *hidden, (latents, latents), activation=activation)

    def model(rows, c):
        decoder = module("decoder", decoder_net)
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0).expand([latents]).to_event(1))
            _observe(decoder(_join(z, c)), likelihood, scale)

    def guide(x, c):
        encoder = module("encoder", encoder_net)
        with plate("data", len(x)):
            loc, log_scale = encoder(_join(x, c))
            sample("z", dist.Normal(loc, ops.exp(log_scale)).to_event(1))

    return model, guide


def _observe(output: ops.Array, likelihood: str | Learnable, scale: float) -> None:
    """The site `x` given a decoder's output: its log-odds, its mean or its context."""
    if isinstance(likelihood, Learnable):
        sample("x", module("likelihood", likelihood)(output))
    elif likelihood == "bernoulli":
        sample("x", dist.Bernoulli(logits=output).to_event(1))
    else:
        sample("x", dist.Normal(output, param("scale", scale, "positive")).to_event(1))


def _fits(what: str, learnable: Learnable | str | None, size: int, *, conditional: bool) -> None:
    """Raise where a learnable distribution cannot stand in its place."""
    if not isinstance(learnable, Learnable):
        return
    if tuple(learnable.event_shape) != (size,) or bool(learnable.context) != conditional:
        raise ValueError(
            f"vae: expected a {what} of {size} columns {'with a' if conditional else 'without'} context; got "
            f"event shape {tuple(learnable.event_shape)} and context {learnable.context} in {learnable!r}."
        )


def _join(h: ops.Array, c: ops.Array) -> ops.Array:
    """Covariates `c` [rows, n] next to `h` [..., rows, m], which may have an axis of particles: [..., rows, m + n]."""
    return ops.concatenate([h, ops.broadcast_to(c, (*h.shape[:-1], c.shape[-1]))])


def _hidden(hidden: tuple, depth: int) -> tuple[tuple[int, ...], ...]:
    """Hidden sizes of each of `depth` layers."""
    if not isinstance(hidden, tuple | list) or not any(isinstance(h, tuple | list) for h in hidden):
        return (arguments.sizes("vae", "hidden", hidden, empty=True),) * depth
    if len(hidden) != depth:
        raise ValueError(
            f"vae: expected one tuple of hidden sizes for each of the {depth} layers of latents; got {hidden!r}. "
            "Write one tuple of integers to use it in every layer."
        )
    return tuple(arguments.sizes("vae", "each of hidden", h, empty=True) for h in hidden)
