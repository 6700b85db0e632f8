"""The multi-layer perceptron, with one output or several."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ppgen import ops
from ppgen.arguments import assign, is_size
from ppgen.nn.spec import Parameters, Spec
from ppgen.nn.start import linear

ACTIVATIONS = {
    "relu": ops.relu,
    "tanh": ops.tanh,
    "softplus": ops.softplus,
    "elu": ops.elu,
    "silu": ops.silu,
    "gelu": ops.gelu,
    "leaky_relu": ops.leaky_relu,
    "sigmoid": ops.sigmoid,
}


def check_activation(activation: Any) -> None:
    """Raise where an activation has another name than those of the table."""
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"expected an activation, one of {sorted(ACTIVATIONS)}; got {activation!r}.")


@dataclass(frozen=True, init=False, repr=False)
class MLP:
    """h_0 = x, h_l = activation(h_{l-1} W_l + b_l); the last layer is linear.

    `MLP(784, 200, 20)` maps [..., 784] to [..., 20] through one hidden layer of 200 units; a tuple in the last place,
    `MLP(784, 200, (20, 20))`, gives several outputs from one matrix product. `ppgen.nn.start` tells
    how it starts.

    Args:
        sizes: input size, hidden sizes, output size or tuple of output sizes.
        activation: one of "relu", "tanh", "softplus", "elu", "silu", "gelu", "leaky_relu", "sigmoid".

    Example:
        >>> from ppgen import nn
        >>> net = nn.MLP(4, 8, (2, 3))
        >>> net
        MLP(4, 8, (2, 3), activation='relu')
        >>> sorted(net.specs())
        ['0.bias', '0.weight', '1.bias', '1.weight']
    """

    sizes: tuple[Any, ...]  # integers; of several heads, the last is a tuple of them
    activation: str

    def __init__(self, *sizes: int | tuple[int, ...], activation: str = "relu") -> None:
        given: list[Any] = list(sizes) if len(sizes) > 1 else [None, None]
        *inner, last = given
        outputs = last if isinstance(last, tuple) else (last,)
        if not outputs or not all(map(is_size, (*inner, *outputs))):
            raise ValueError(
                f"expected MLP(inputs, hidden..., outputs) with positive integers (a tuple only for the outputs); "
                f"got MLP{sizes}."
            )
        check_activation(activation)
        outputs = tuple(map(int, last)) if isinstance(last, tuple) else int(last)
        assign(self, sizes=(*map(int, inner), outputs), activation=activation)

    @property
    def heads(self) -> tuple[int, ...]:
        """Sizes of the outputs."""
        return self.sizes[-1] if isinstance(self.sizes[-1], tuple) else (self.sizes[-1],)

    @property
    def widths(self) -> tuple[int, ...]:
        """Layer widths, the outputs counted together."""
        return (*self.sizes[:-1], sum(self.heads))

    def specs(self) -> dict[str, Spec]:
        """The parameters by path."""
        specs = {}
        for i, (m, n) in enumerate(pairwise(self.widths)):
            specs |= linear(f"{i}", m, n)
        return specs

    def apply(self, parameters: Parameters, x: ops.Array) -> Any:
        """The outputs for inputs `x` [..., inputs]: an array, or a tuple of one for each head."""
        if x.shape[-1] != self.sizes[0]:
            raise ValueError(
                f"expected inputs of size {self.sizes[0]} on the last axis of {self!r}; got shape {tuple(x.shape)}. "
                "Flatten the rows, or change the network's first size."
            )
        activation = ACTIVATIONS[self.activation]
        layers = len(self.widths) - 1
        for i in range(layers):
            x = ops.linear(x, parameters[f"{i}.weight"], parameters[f"{i}.bias"])
            if i < layers - 1:
                x = activation(x)
        return ops.split(x, self.heads) if isinstance(self.sizes[-1], tuple) else x

    def __repr__(self) -> str:
        return f"MLP({', '.join(map(str, self.sizes))}, activation={self.activation!r})"
