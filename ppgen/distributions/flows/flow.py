"""A base distribution pushed through transforms."""

from dataclasses import dataclass
from functools import cached_property

from ppgen import arguments, nn, ops
from ppgen.distributions.flows.compose import Compose, common, tree
from ppgen.distributions.flows.transform import Transform, image, one_an_event
from ppgen.distributions.learnable import Learnable, Noise, Parameters, Support, as_float, check_event


@dataclass(frozen=True, repr=False)
class Flow(Learnable):
    r"""x = f_n(... f_1(z)), z from the base (Rezende & Mohamed, 2015).

    .. math:: \log p(x) = \log p(z) + \sum_k \log |\det \partial f_k^{-1}|

    Args:
        base: where z comes from, a continuous `Learnable` such as `StandardNormal(dim)`.
        transforms: f_1 to f_n; the first acts on z, the last gives x.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import Flow, StandardUniform, flows
        >>> flow = Flow(StandardUniform(1), (flows.AffineConstant(1.0, 2.0),))  # 2 z + 1
        >>> flow.support
        (1.0, 3.0)
        >>> p = flow.apply(flow.init())
        >>> np.exp(p.log_prob(np.array([[0.5], [1.5], [2.5], [3.5]]))).tolist()
        [0.0, 0.5, 0.5, 0.0]
    """

    base: Learnable
    transforms: tuple[Transform, ...]

    def __post_init__(self) -> None:
        arguments.kind("Flow", "the base", self.base, Learnable, "StandardNormal(2)")
        arguments.assign(self, transforms=self.transform.transforms)
        _ = self.context  # checks that the parts agree
        if isinstance(self.base.support, int) or self.base.support == "boolean":
            raise ValueError(f"expected a continuous base; got {self.base!r}, of support {self.base.support!r}.")
        if self.base.counting:
            raise ValueError(
                f"expected a base with a density; got {self.base!r}, which has probabilities of single values."
            )
        dim = self.transform.dim
        if dim is not None and self.base.event_shape != (dim,):
            raise ValueError(f"expected a base of event shape ({dim},), as its transforms have; got {self.base!r}.")
        _ = self.support  # checks that each part takes what the one before gives

    @cached_property
    def transform(self) -> Compose:
        """All transforms as one."""
        return Compose(self.transforms)

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.base.event_shape

    @property
    def context(self) -> int:
        return common("size of contexts", [part.context for part in (self.base, self.transform) if part.context]) or 0

    @property
    def support(self) -> Support:
        support = self.base.support
        for transform in self.transforms:
            support = image(transform, support, len(self.event_shape))
        return support

    @property
    def reparameterised(self) -> bool:
        return self.base.reparameterised

    @property
    def has_density(self) -> bool:
        return self.base.has_density

    @property
    def estimates(self) -> bool:
        return self.base.estimates

    def specs(self) -> dict[str, nn.Spec]:
        return nn.gather(base=self.base) | self.transform.specs()

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        x = as_float(x, params)
        check_event(self, x)
        z, log_det = self._one_an_event(self.transform.inverse(params, x, context))
        return self.base.log_prob(nn.part(params, "base"), z, context if self.base.context else None) + log_det

    def draw_with_log_prob(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        z, log_prob = self.base.draw_with_log_prob(
            nn.part(params, "base"), noise, shape, context if self.base.context else None
        )
        x, log_det = self._forward(params, z, context)
        return x, log_prob - log_det

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        z = self.base.draw(nn.part(params, "base"), noise, shape, context if self.base.context else None)
        return self._forward(params, z, context)[0]

    def _forward(self, params: Parameters, z: ops.Array, context: ops.Array | None) -> tuple[ops.Array, ops.Array]:
        x, log_det = self._one_an_event(self.transform.forward(params, z, context))
        check_event(self, x)  # a `Squeeze`, say, makes another shape of it
        return x, log_det

    def _one_an_event(self, result: tuple[ops.Array, ops.Array]) -> tuple[ops.Array, ops.Array]:
        return one_an_event(self.transform, result, len(self.event_shape))

    def __repr__(self) -> str:
        return tree("Flow", [self.base, *self.transforms])
