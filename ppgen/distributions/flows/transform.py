"""A change of variables: value and log-determinant together."""

from dataclasses import dataclass

from ppgen import nn, ops
from ppgen.distributions.learnable import Parameters, Support


class Transform:
    """An invertible map y = f(x; context).

    A transform of your own writes two methods, `forward` and `inverse`. Each gives its result and the log-determinant
    of its own Jacobian, so the two log-determinants of a pair of points add up to zero. If it has parameters, `specs`
    names them. It is immutable: a frozen dataclass is a good start.

    Attributes:
        dim: length of the vectors it acts on; None for events of any shape.
        support: the values that `forward` gives, as in `Learnable`; None where those are the values it was given.
        context: size of the context it needs, 0 for none.
    """

    dim: int | None = None
    support: Support | None = None
    context: int = 0

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

    @property
    def support(self) -> Support | None:
        return self.transform.support and "real"

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
