"""A change of variables: value and log-determinant together."""

from collections.abc import Callable
from dataclasses import dataclass

from ppgen import arguments, nn, ops
from ppgen.distributions.learnable import Parameters, Support, interval

Map = Callable[..., tuple[ops.Array, ops.Array]]
"""One direction of a transform or a bijection."""


class Transform:
    """An invertible map y = f(x; context).

    A transform of your own writes two methods, `forward` and `inverse`. Each gives its result and the log-determinant
    of its own Jacobian, so the two log-determinants of a pair of points add up to zero. If it has parameters, `specs`
    names them. It is immutable: a frozen dataclass is a good start.

    Attributes:
        dim: length of the vectors it acts on; None for events of any shape.
        rank: number of axes of an event: 1 for vectors, 3 for images; None where any will do.
        domain: the values that `forward` takes, as in `Learnable`.
        support: the values that `forward` gives; None where those are the values it was given.
        context: size of the context it needs, 0 for none.
    """

    dim: int | None = None
    domain: Support = "real"
    support: Support | None = None
    context: int = 0

    @property
    def rank(self) -> int | None:
        return None if self.dim is None else 1

    def specs(self) -> dict[str, nn.Spec]:
        """The parameters by path."""
        return {}

    def image(self, support: Support) -> Support:
        """The support of f(x) where x has the given one; "real" where the exact set has no name."""
        return self.support or support

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        """The value y = f(x) and log|det df/dx|, of the shape of x without its event axes: from the base to the data."""
        raise NotImplementedError(f"{type(self).__name__} has no forward.")

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        """The x with f(x) = y, and log|det dx/dy|: from the data to the base."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse.")


class Around(Transform):
    """A transform made of another one: what a subclass does not say is as it is there."""

    transform: Transform

    @property
    def dim(self) -> int | None:
        return self.transform.dim

    @property
    def rank(self) -> int | None:
        return self.transform.rank

    @property
    def domain(self) -> Support:
        return self.transform.domain

    @property
    def support(self) -> Support | None:
        return self.transform.support

    @property
    def context(self) -> int:
        return self.transform.context

    def specs(self) -> dict[str, nn.Spec]:
        return self.transform.specs()

    def image(self, support: Support) -> Support:
        return self.transform.image(support)


@dataclass(frozen=True)
class Inverse(Around):
    """A transform run backwards: its `forward` is the other's `inverse`."""

    transform: Transform

    def __post_init__(self) -> None:
        arguments.kind("Inverse", "the transform", self.transform, Transform, "flows.Sigmoid()")

    @property
    def domain(self) -> Support:
        return self.transform.image(self.transform.domain)

    @property
    def support(self) -> Support | None:
        return self.transform.support and self.transform.domain

    def image(self, support: Support) -> Support:
        return self.support or support

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        return self.transform.inverse(params, x, context)

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        return self.transform.forward(params, y, context)


# what flows check of their transforms --------------------------------------------------------------------------------


def image(transform: Transform, support: Support, rank: int | None) -> Support:
    """The support of f(x) where x has the given one, or ValueError where f does not take such events."""
    if transform.rank not in (None, rank):
        raise ValueError(
            f"expected transforms of events with {rank} axes, as those of the base; got rank {transform.rank}: "
            f"{transform!r}. Where it has an argument rank, build it with rank={rank}."
        )
    (low, high), (lowest, highest) = interval(support), interval(transform.domain)
    if low < lowest or high > highest:
        raise ValueError(
            f"expected values in {transform.domain!r} for {transform!r}; what comes before it gives {support!r}. Put a "
            "transform onto those values before it, or start from a base that has them."
        )
    return transform.image(support)


def one_an_event(
    transform: Transform, result: tuple[ops.Array, ops.Array], rank: int | None
) -> tuple[ops.Array, ops.Array]:
    """`result`, a value and a log-determinant, or ValueError where that is not one number for each event."""
    value, log_det = result
    if rank is None:
        return result
    shape, events = tuple(getattr(log_det, "shape", ())), tuple(value.shape[: value.ndim - rank])
    if len(shape) > len(events) or any(n not in (1, m) for n, m in zip(shape[::-1], events[::-1], strict=False)):
        raise ValueError(
            f"expected a log-determinant for each event, of shape {events}, beside values of shape {tuple(value.shape)}; "
            f"got shape {shape} from {transform!r}. Sum over the axes of an event, as in ops.sum(log_slope, -1)."
        )
    return result
