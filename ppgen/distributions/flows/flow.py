"""A base distribution pushed through transforms."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from ppgen import nn, ops
from ppgen.distributions.flows.transform import Transform
from ppgen.distributions.learnable import Learnable, Noise, Parameters, check_event


@dataclass(frozen=True, repr=False)
class Flow(Learnable):
    r"""x = f_n(... f_1(z)), z from the base (Rezende & Mohamed, 2015).

    .. math:: \log p(x) = \log p(z) + \sum_k \log |\det \partial f_k^{-1}|

    Args:
        base: where z comes from, a `Learnable` without context such as `StandardNormal(dim)`.
        transforms: f_1 to f_n; the first acts on z, the last gives x.
    """

    base: Learnable
    transforms: tuple[Transform, ...]

    def __post_init__(self) -> None:
        sizes = {part.context for part in (self.base, *self.transforms) if part.context}
        if len(sizes) > 1:
            raise ValueError(f"expected parts with a context of one size; got sizes {sorted(sizes)} in {self!r}.")

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.base.event_shape

    @property
    def context(self) -> int:
        return max(part.context for part in (self.base, *self.transforms))

    @property
    def support(self) -> str | int:
        return reduce(lambda before, transform: transform.support or before, self.transforms, self.base.support)

    @property
    def reparameterised(self) -> bool:
        return all(part.reparameterised for part in (self.base, *self.transforms))

    def specs(self) -> dict[str, nn.Spec]:
        return nn.gather(base=self.base, **{str(i): transform for i, transform in enumerate(self.transforms)})

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        x = ops.as_float(x)
        check_event(self, x)
        total = 0.0
        for i, transform in reversed(list(enumerate(self.transforms))):
            x, log_det = transform.inverse(nn.part(params, str(i)), x, self._for(transform, context))
            total = total + log_det
        return self.base.log_prob(nn.part(params, "base"), x, self._for(self.base, context)) + total

    def draw_with_log_prob(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        base = nn.part(params, "base")
        x, log_prob = self.base.draw_with_log_prob(base, noise, shape, self._for(self.base, context))
        for i, transform in enumerate(self.transforms):
            x, log_det = transform.forward(nn.part(params, str(i)), x, self._for(transform, context))
            log_prob = log_prob - log_det
        return x, log_prob

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        return self.draw_with_log_prob(params, noise, shape, context)[0]

    def _for(self, part: Learnable | Transform, context: ops.Array | None) -> ops.Array | None:
        return context if part.context else None

    def __repr__(self) -> str:
        return tree("Flow", [self.base, *self.transforms])


def tree(name: str, parts: Sequence[object]) -> str:
    """A name, and its parts on lines of their own."""
    lines = [line for part in parts for line in f"{part!r},".splitlines()]
    return "\n".join([f"{name}(", *(f"  {line}" for line in lines), ")"])
