"""A network of noise: draws without a density."""

import math
from dataclasses import dataclass
from functools import cached_property

from ppgen import arguments, nn, ops
from ppgen.distributions.learnable import Learnable, Noise, Parameters, Support, interval
from ppgen.errors import NoLikelihoodError


@dataclass(frozen=True)
class Implicit(Learnable):
    r"""A network of noise (Mohamed & Lakshminarayanan, 2017).

    .. math:: x = g(f(z, c)), \quad z \sim N(0, 1)

    with f a `ppgen.nn.MLP` of the noise z and the context c, and g the map onto the support: the identity, softplus, or
    the sigmoid. The noise may have fewer dimensions than x, and f need not be invertible, so there is no density.
    Draws carry gradients to the parameters and the context: `ppgen.GAN` learns it, at the data site or as a prior;
    algorithms that need densities refuse it before the first step, and `fit.evaluate` says that there is no likelihood.

    Args:
        event_shape: shape of one draw.
        noise: number of dimensions of z.
        hidden: sizes of the hidden layers.
        support: "real", "positive", "unit_interval", or an interval (low, high).
        context: size of the context, which joins z; 0 for none.
        activation: see `ppgen.nn.MLP`.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import module, plate, sample
        >>> from ppgen.distributions import Implicit
        >>> generator = Implicit((2,), noise=3, hidden=(16,), support="unit_interval")
        >>> def model(rows):
        ...     with plate("data", rows):
        ...         sample("x", module("generator", generator)())
        >>> x = np.random.default_rng(0).random((64, 2), np.float32)
        >>> fit = ppgen.fit(model, data={"x": x}, algorithm=ppgen.GAN(), steps=2)
        >>> fit.sample(rows=5)["x"].shape
        (5, 2)
    """

    event_shape: tuple[int, ...]
    noise: int = 20
    hidden: tuple[int, ...] = (128, 128)
    support: Support = "real"
    context: int = 0
    activation: str = "relu"

    has_density = False

    def __post_init__(self) -> None:
        for name in ("event_shape", "hidden"):
            arguments.assign(self, **{name: arguments.sizes("Implicit", name, getattr(self, name), empty=True)})
        arguments.assign(self, noise=arguments.size("Implicit", "noise", self.noise))
        interval(self.support, "Draws of a network are continuous: discrete values would carry no gradient.")
        _ = self.net  # checks its arguments

    @cached_property
    def net(self) -> nn.MLP:
        """The network f."""
        sizes = self.noise + self.context, *self.hidden, math.prod(self.event_shape)
        return nn.MLP(*sizes, activation=self.activation)

    def specs(self) -> dict[str, nn.Spec]:
        return self.net.specs()

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        raise NoLikelihoodError(
            f"expected a distribution with a density; got {self!r}, which has none. Learn it with ppgen.GAN, and judge it "
            "by its draws."
        )

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        z = noise.normal((*shape, self.noise))
        if context is not None:
            z = ops.concatenate([z, ops.broadcast_to(context, (*shape, self.context))])
        y = self.net.apply(params, z).reshape(*shape, *self.event_shape)
        if self.support == "real":
            return y
        if self.support == "positive":
            return ops.softplus(y)
        low, high = interval(self.support)
        return low + (high - low) * ops.sigmoid(y)
