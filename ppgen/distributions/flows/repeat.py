"""A transform several times over."""

import dataclasses
from dataclasses import dataclass

from ppgen import arguments, nn, ops
from ppgen.distributions.flows.compose import tree
from ppgen.distributions.flows.transform import Around, Transform
from ppgen.distributions.learnable import Parameters


@dataclass(frozen=True, repr=False)
class Repeat(Around):
    """`Compose` of one transform `times` times, each time with parameters of its own.

    They are stacked along a new first axis. JAX compiles the transform twice, however often it is repeated: deep flows
    compile in the time of shallow ones.

    Args:
        times: how often.
        transform: any that has parameters and keeps the shape of events.

    Example:
        >>> from ppgen.distributions import flows
        >>> flows.Repeat(32, flows.LU(2)).specs()["matrix"].shape
        (32, 2, 2)
    """

    times: int
    transform: Transform

    def __post_init__(self) -> None:
        arguments.assign(self, times=arguments.size("Repeat", "times", self.times))
        arguments.kind("Repeat", "the transform", self.transform, Transform, "flows.LU(2)")
        if not self.transform.specs():
            raise ValueError(f"expected a transform with parameters to repeat; got {self.transform!r}. Use Compose.")

    def specs(self) -> dict[str, nn.Spec]:
        return {
            path: dataclasses.replace(spec, shape=(self.times, *spec.shape))
            for path, spec in self.transform.specs().items()
        }

    def forward(
        self, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        first, rest = {k: p[0] for k, p in params.items()}, {k: p[1:] for k, p in params.items()}
        start = self.transform.forward(first, x, context)  # it has the shape and number type that the others keep

        def step(carry: tuple, params: Parameters) -> tuple:
            y, log_det = self.transform.forward(params, carry[0], context)
            return (y, carry[1] + log_det), None

        return start if self.times == 1 else ops.scan(step, start, rest)[0]

    def inverse(
        self, params: Parameters, y: ops.Array, context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        last, rest = {k: p[-1] for k, p in params.items()}, {k: p[:-1] for k, p in params.items()}
        start = self.transform.inverse(last, y, context)

        def step(carry: tuple, params: Parameters) -> tuple:
            x, log_det = self.transform.inverse(params, carry[0], context)
            return (x, carry[1] + log_det), None

        return start if self.times == 1 else ops.scan(step, start, rest, reverse=True)[0]

    def __repr__(self) -> str:
        return tree("Repeat", [self.times, self.transform])
