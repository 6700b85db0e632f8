"""A perceptron with residual blocks: the conditioner of coupling flows."""

from dataclasses import dataclass

from ppgen import ops
from ppgen.arguments import assign, size, sizes
from ppgen.nn.mlp import ACTIVATIONS, check_activation
from ppgen.nn.spec import Parameters, Spec
from ppgen.nn.start import bound, linear


@dataclass(frozen=True)
class ResidualMLP:
    """Pre-activation residual blocks (He et al., 2016) between two linear layers; the outputs start at zero.

        h = x W + c V + b;    h = h + f(f(h) A + a) B + b'  for each block;    out = f(h) C + d

    with f the activation and c the context. A is [width, inner] and B is [inner, width]: `hidden` lists the inner size
    of each block, and the first of them is the width of h.

    Args:
        inputs: size of the last axis of x.
        hidden: inner size of each residual block.
        outputs: size of the last axis of the result.
        context: size of the context, which joins x in the first layer; 0 for none.
        activation: see `ppgen.nn.MLP`.

    Example:
        >>> import numpy as np
        >>> from ppgen import nn
        >>> net = nn.ResidualMLP(3, (16, 16), 2)
        >>> rng = np.random.default_rng(0)
        >>> params = {path: spec.draw(rng) for path, spec in net.specs().items()}
        >>> net.apply(params, np.ones((5, 3), np.float32)).shape
        (5, 2)
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    context: int = 0
    activation: str = "relu"

    def __post_init__(self) -> None:
        assign(
            self,
            inputs=size("ResidualMLP", "inputs", self.inputs),
            hidden=sizes("ResidualMLP", "hidden", self.hidden),
            outputs=size("ResidualMLP", "outputs", self.outputs),
            context=size("ResidualMLP", "context", self.context, 0),
        )
        check_activation(self.activation)

    def specs(self) -> dict[str, Spec]:
        """The parameters by path."""
        width, entering = self.hidden[0], self.inputs + self.context
        specs = linear("in", self.inputs, width, entering)
        if self.context:
            specs["context.weight"] = Spec((self.context, width), bound(entering))
        for i, inner in enumerate(self.hidden):
            specs |= linear(f"{i}", width, inner) | linear(f"{i}.back", inner, width)
        return specs | {"out.weight": Spec((width, self.outputs)), "out.bias": Spec((self.outputs,))}

    def apply(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        """The outputs for `x` [..., inputs] and `context` [..., context], whose leading axes broadcast."""

        def layer(name: str, h: ops.Array) -> ops.Array:
            return ops.linear(h, params[f"{name}.weight"], params[f"{name}.bias"])

        f = ACTIVATIONS[self.activation]
        h = layer("in", x)
        if self.context:
            h = h + context @ params["context.weight"]
        for i in range(len(self.hidden)):
            h = h + layer(f"{i}.back", f(layer(f"{i}", f(h))))
        return layer("out", f(h))
