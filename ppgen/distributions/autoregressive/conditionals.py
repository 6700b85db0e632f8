"""What one dimension is, given the numbers that a network has computed from the dimensions before it."""

import math
from dataclasses import dataclass

from ppgen import arguments, ops
from ppgen.distributions.learnable import Noise
from ppgen.distributions.scales import BOUND, bounded, check_bound


class Conditional:
    """A family of distributions of one number, with `outputs` parameters theta.

    Attributes:
        outputs: how many parameters.
        inputs: how many numbers a value enters the network with.
        support: as in `Learnable`.
        reparameterised: whether draws carry a gradient to theta.
    """

    outputs: int
    inputs: int = 1
    support: str | int = "real"
    reparameterised: bool = False

    def log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        """Log density [...] of values `x` [...] under parameters [..., outputs]; minus infinity outside of the support."""
        raise NotImplementedError

    def row_log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        """The sum of `log_prob` [...] of rows `x` [..., D] under parameters [..., D, outputs]."""
        return ops.sum(self.log_prob(theta, x), -1)

    def noise(self, noise: Noise, shape: tuple[int, ...]) -> ops.Array:
        """The randomness of one draw each, [*shape, n]."""
        return noise.uniform((*shape, 1))

    def draw(self, theta: ops.Array, noise: ops.Array) -> ops.Array:
        """Values [...] from parameters [..., outputs] and noise [..., n]; in floating point, whole numbers too."""
        raise NotImplementedError

    def encode(self, x: ops.Array) -> ops.Array:
        """How values [...] enter the network: [..., inputs]."""
        return x[..., None]


@dataclass(frozen=True)
class Bernoulli(Conditional):
    """A bit with log-odds theta; `row_log_prob` looks for other numbers, in whole rows: one by one it would take longer."""

    outputs = 1
    support = "boolean"

    def log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        logit = theta[..., 0]
        return x * logit - ops.softplus(logit)

    def row_log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        return bits_within(x, super().row_log_prob(theta, x))

    def draw(self, theta: ops.Array, noise: ops.Array) -> ops.Array:
        u = noise[..., 0]
        return ops.as_type_of(u < ops.sigmoid(theta[..., 0]), u)


@dataclass(frozen=True)
class Categorical(Conditional):
    """One of the integers 0 to `classes` - 1, with logits theta; it enters the network as a one-hot code."""

    classes: int

    def __post_init__(self) -> None:
        arguments.assign(self, classes=arguments.size("Categorical", "classes", self.classes, least=2))

    @property
    def outputs(self) -> int:
        return self.classes

    @property
    def inputs(self) -> int:
        return self.classes

    @property
    def support(self) -> int:
        return self.classes

    def log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        own = ops.where(self.encode(x) > 0, ops.log_softmax(theta), 0.0)  # a logit may be minus infinity
        return within(x, self.classes, ops.sum(own, -1))

    def draw(self, theta: ops.Array, noise: ops.Array) -> ops.Array:
        return choose(theta, noise[..., 0])

    def encode(self, x: ops.Array) -> ops.Array:
        return ops.as_type_of(x[..., None] == ops.arange(self.classes, x), x)


@dataclass(frozen=True)
class Gaussian(Conditional):
    """A normal with parameters loc and log scale, the latter kept in (-bound, bound), see `scales.bounded`."""

    bound: float = BOUND
    outputs = 2
    reparameterised = True

    def __post_init__(self) -> None:
        check_bound("Gaussian", self.bound)

    def log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        return normal_log_prob(x, theta[..., 0], self._log_scale(theta))

    def noise(self, noise: Noise, shape: tuple[int, ...]) -> ops.Array:
        return noise.normal((*shape, 1))

    def draw(self, theta: ops.Array, noise: ops.Array) -> ops.Array:
        return theta[..., 0] + ops.exp(self._log_scale(theta)) * noise[..., 0]

    def _log_scale(self, theta: ops.Array) -> ops.Array:
        return bounded(theta[..., 1], self.bound)


@dataclass(frozen=True)
class _Mixture(Conditional):
    """sum_k pi_k p((x - loc_k) / scale_k) / scale_k, with parameters the logits of pi, locs and log scales."""

    components: int

    def __post_init__(self) -> None:
        arguments.assign(self, components=arguments.size(type(self).__name__, "components", self.components))

    @property
    def outputs(self) -> int:
        return 3 * self.components

    def log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        logits, loc, log_scale = self._parts(theta)
        return ops.logsumexp(ops.log_softmax(logits) + self._log_prob(x[..., None], loc, log_scale))

    def draw(self, theta: ops.Array, noise: ops.Array) -> ops.Array:
        logits, loc, log_scale = self._parts(theta)
        chosen = ops.as_integer(choose(logits, noise[..., 0]))[..., None]
        loc, log_scale = (ops.take_along(part, chosen)[..., 0] for part in (loc, log_scale))
        return loc + ops.exp(log_scale) * self._standard(noise[..., 1])

    def _parts(self, theta: ops.Array) -> tuple[ops.Array, ops.Array, ops.Array]:
        """Logits, locs and log scales, [..., components] each."""
        logits, loc, log_scale = ops.split(theta, (self.components,) * 3)
        return logits, loc, self._log_scale(log_scale)

    def _log_scale(self, log_scale: ops.Array) -> ops.Array:
        """The log scales, kept in bounds."""
        raise NotImplementedError

    def _log_prob(self, x: ops.Array, loc: ops.Array, log_scale: ops.Array) -> ops.Array:
        """The log density of one component."""
        raise NotImplementedError

    def _standard(self, noise: ops.Array) -> ops.Array:
        """A value at loc 0 and scale 1 from its noise."""
        raise NotImplementedError


@dataclass(frozen=True)
class MixtureOfGaussians(_Mixture):
    """A mixture of normals: of each component a logit, a loc and a log scale, kept in bounds as that of `Gaussian`."""

    bound: float = BOUND

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bound("MixtureOfGaussians", self.bound)

    def noise(self, noise: Noise, shape: tuple[int, ...]) -> ops.Array:
        return ops.concatenate([noise.uniform((*shape, 1)), noise.normal((*shape, 1))])

    def _log_prob(self, x: ops.Array, loc: ops.Array, log_scale: ops.Array) -> ops.Array:
        return normal_log_prob(x, loc, log_scale)

    def _log_scale(self, log_scale: ops.Array) -> ops.Array:
        return bounded(log_scale, self.bound)

    def _standard(self, noise: ops.Array) -> ops.Array:
        return noise


@dataclass(frozen=True)
class _Logistics(_Mixture):
    """Its components have the distribution function sigmoid((x - loc) / scale)."""

    def noise(self, noise: Noise, shape: tuple[int, ...]) -> ops.Array:
        return noise.uniform((*shape, 2))

    def _log_prob(self, x: ops.Array, loc: ops.Array, log_scale: ops.Array) -> ops.Array:
        z = (x - loc) * ops.exp(-log_scale)
        return -z - 2 * ops.softplus(-z) - log_scale

    def _standard(self, noise: ops.Array) -> ops.Array:
        u = ops.clip(noise, 2.0**-24, 1 - 2.0**-24)
        return ops.log(u) - ops.log1p(-u)


@dataclass(frozen=True)
class MixtureOfLogistics(_Logistics):
    """A mixture of logistics: of each component a logit, a loc and a log scale, kept in bounds as that of `Gaussian`."""

    bound: float = BOUND

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bound("MixtureOfLogistics", self.bound)

    def _log_scale(self, log_scale: ops.Array) -> ops.Array:
        return bounded(log_scale, self.bound)


@dataclass(frozen=True)
class DiscretisedLogistics(_Logistics):
    r"""Integers 0 to `levels` - 1: a mixture of logistics on [-1, 1], rounded (Salimans et al., 2017: PixelCNN++).

    .. math:: P(x) = \sum_k \pi_k \{\sigma((\hat x + h - \mu_k) / s_k) - \sigma((\hat x - h - \mu_k) / s_k)\}

    Level x stands at :math:`\hat x = 2x / (levels - 1) - 1`, in the middle of a bin of half-width h; the first bin and
    the last reach to infinity, so that probabilities sum to one. Scales are kept from far below a bin to far above all.
    """

    levels: int

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.assign(self, levels=arguments.size("DiscretisedLogistics", "levels", self.levels, least=2))

    @property
    def support(self) -> int:
        return self.levels

    def log_prob(self, theta: ops.Array, x: ops.Array) -> ops.Array:
        return within(x, self.levels, super().log_prob(theta, x))

    def draw(self, theta: ops.Array, noise: ops.Array) -> ops.Array:
        x = super().draw(theta, noise)
        return ops.clip(ops.floor((x + 1) * (0.5 * (self.levels - 1)) + 0.5), 0, self.levels - 1)

    def encode(self, x: ops.Array) -> ops.Array:
        return self._centre(x)[..., None]

    def _centre(self, x: ops.Array) -> ops.Array:
        return x * (2 / (self.levels - 1)) - 1

    def _log_scale(self, log_scale: ops.Array) -> ops.Array:
        return ops.clip(log_scale, -math.log(self.levels - 1) - 1.5, 7.0)

    def _log_prob(self, x: ops.Array, loc: ops.Array, log_scale: ops.Array) -> ops.Array:
        """log(sigmoid(b) - sigmoid(a)) = log sigmoid(b) + log sigmoid(-a) + log(1 - e^(a - b)), b and a a bin's ends."""
        half, per_scale = 1 / (self.levels - 1), ops.exp(-log_scale)
        distance = self._centre(x) - loc
        below_end = -ops.softplus(-(distance + half) * per_scale)
        above_start = -ops.softplus((distance - half) * per_scale)
        width = ops.log(-ops.expm1(-2 * half * per_scale))
        return ops.where(
            x <= 0, below_end, ops.where(x >= self.levels - 1, above_start, below_end + above_start + width)
        )


def choose(logits: ops.Array, u: ops.Array) -> ops.Array:
    """The class [...] whose interval of the cumulative probabilities holds u [...], as a float.

    None of probability 0 is chosen, though sums are rounded: the last one need not be 1, and may come before its class.
    """
    p = ops.softmax(logits)
    ends = ops.cumsum(p)
    beyond = ops.as_type_of(ends > u[..., None] * ends[..., -1:], u)
    return ops.as_type_of(ops.argmax(ops.where(p > 0, beyond, -1.0)), u)  # of equal ones, the first


def within(x: ops.Array, count: int, log_prob: ops.Array) -> ops.Array:
    """`log_prob` [...] where x [...] is one of the integers 0 to `count` - 1, else minus infinity; NaN stays."""
    x = ops.stop_gradient(x)
    return _where_zero(ops.square(x - ops.clip(ops.floor(x), 0, count - 1)), log_prob)


def bits_within(x: ops.Array, log_prob: ops.Array) -> ops.Array:
    """`log_prob` [...] where rows x [..., D] are zeros and ones, else minus infinity; NaN stays."""
    if ops.known_equal(x * x, x):  # where nothing is compiled this spares most of the time
        return log_prob
    x = ops.stop_gradient(x)
    return _where_zero(ops.sum(ops.square(x * (x - 1)), -1), log_prob)


def _where_zero(off: ops.Array, log_prob: ops.Array) -> ops.Array:
    return ops.where(off > 0, -math.inf, log_prob + off)  # NaN is not above 0, and so added


def normal_log_prob(x: ops.Array, loc: ops.Array, log_scale: ops.Array) -> ops.Array:
    """The log density of a normal."""
    return -0.5 * ops.square((x - loc) * ops.exp(-log_scale)) - log_scale - 0.5 * math.log(2 * math.pi)
