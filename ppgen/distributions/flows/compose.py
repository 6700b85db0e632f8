"""Transforms one after another."""

from collections.abc import Sequence
from dataclasses import dataclass

from ppgen import arguments, nn, ops
from ppgen.distributions.flows.transform import Transform, image, one_an_event
from ppgen.distributions.learnable import Parameters, Support


@dataclass(frozen=True, repr=False)
class Compose(Transform):
    """f_n(... f_1(x)); the parameters of f_k are named `k-1.path`.

    Args:
        transforms: f_1 to f_n; the first acts on x.

    Example:
        >>> from ppgen.distributions import flows
        >>> flows.Compose((flows.LU(2), flows.Sigmoid()))
        Compose(
          LU(dim=2),
          Sigmoid(rank=1),
        )
    """

    transforms: tuple[Transform, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.transforms, tuple | list):
            raise ValueError(f"expected a tuple of transforms; got {self.transforms!r}. Write (flows.LU(2),) for one.")
        if not self.transforms:
            raise ValueError("expected at least one transform; got none.")
        for transform in self.transforms:
            arguments.kind("Compose", "each part", transform, Transform, "flows.LU(2)")
        arguments.assign(self, transforms=tuple(self.transforms))
        _ = self.dim, self.rank, self.context  # check that the parts agree

    @property
    def dim(self) -> int | None:
        return common("length of events", [part.dim for part in self.transforms if part.dim])

    @property
    def rank(self) -> int | None:
        return common("number of event axes", [part.rank for part in self.transforms if part.rank is not None])

    @property
    def domain(self) -> Support:
        return self.transforms[0].domain

    @property
    def support(self) -> Support | None:
        return next((part.support for part in reversed(self.transforms) if part.support), None)

    def image(self, support: Support) -> Support:
        for transform in self.transforms:
            support = image(transform, support, self.rank)
        return support

    @property
    def context(self) -> int:
        return common("size of contexts", [part.context for part in self.transforms if part.context]) or 0

    def specs(self) -> dict[str, nn.Spec]:
        return nn.gather(**{str(i): transform for i, transform in enumerate(self.transforms)})

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        total = 0.0
        for i, transform in enumerate(self.transforms):
            both = transform.forward(nn.part(params, str(i)), x, context if transform.context else None)
            x, log_det = one_an_event(transform, both, self.rank)
            total = total + log_det
        return x, total

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        total = 0.0
        for i, transform in reversed(list(enumerate(self.transforms))):
            both = transform.inverse(nn.part(params, str(i)), y, context if transform.context else None)
            y, log_det = one_an_event(transform, both, self.rank)
            total = total + log_det
        return y, total

    def __repr__(self) -> str:
        return tree("Compose", self.transforms)


def common(what: str, sizes: Sequence[int]) -> int | None:
    """The one size that all parts have; None where there are no sizes."""
    if len(set(sizes)) > 1:
        raise ValueError(f"expected transforms with one {what}; got {sorted(set(sizes))}.")
    return next(iter(sizes), None)


def tree(name: str, parts: Sequence[object]) -> str:
    """A name, and its parts on lines of their own."""
    lines = [line for part in parts for line in f"{part!r},".splitlines()]
    return "\n".join([f"{name}(", *(f"  {line}" for line in lines), ")"])
