"""Single layers: convolution, embedding, layer normalisation."""

import math
from dataclasses import dataclass

from ppgen import ops
from ppgen.arguments import assign, size, sizes
from ppgen.nn.spec import Parameters, Spec


@dataclass(frozen=True)
class Convolution:
    r"""A convolution of sequences or images, as a network learns it: a correlation with kernels, and a bias.

    .. math:: y_{n, t} = b_n + \sum_{c, i} w_{n, c, i} \, x_{c, \, s t + d i - p}

    Args:
        inputs: channels of x.
        outputs: channels of the result.
        kernel: the sides of the kernels, one for sequences, two for images.
        stride: keep every s-th entry of each axis.
        padding: "same", "causal" (sequences), a number for each side, or pairs (before, after); see `ppgen.ops.conv`.
        dilation: distance of the entries that neighbours in the kernel meet.

    Example:
        >>> import numpy as np
        >>> from ppgen import nn
        >>> net = nn.Convolution(3, 8, kernel=(2,), padding="causal", dilation=4)
        >>> rng = np.random.default_rng(0)
        >>> params = {path: spec.draw(rng) for path, spec in net.specs().items()}
        >>> net.apply(params, np.ones((5, 3, 20), np.float32)).shape
        (5, 8, 20)
    """

    inputs: int
    outputs: int
    kernel: tuple[int, ...] = (3, 3)
    stride: int = 1
    padding: str | int | tuple[tuple[int, int], ...] = "same"
    dilation: int = 1

    def __post_init__(self) -> None:
        numbers = {
            name: size("Convolution", name, getattr(self, name)) for name in ("inputs", "outputs", "stride", "dilation")
        }
        assign(self, kernel=sizes("Convolution", "kernel", self.kernel), **numbers)
        if len(self.kernel) > 2:
            raise ValueError(
                f"Convolution: expected one side of the kernel for sequences, two for images; got {self.kernel}."
            )
        if isinstance(self.padding, list | tuple):
            assign(self, padding=tuple((int(before), int(after)) for before, after in self.padding))

    def specs(self) -> dict[str, Spec]:
        """The parameters by path."""
        bound = 1 / math.sqrt(self.inputs * math.prod(self.kernel))
        return {"weight": Spec((self.outputs, self.inputs, *self.kernel), bound), "bias": Spec((self.outputs,), bound)}

    def apply(self, params: Parameters, x: ops.Array) -> ops.Array:
        """[..., outputs, length'] or [..., outputs, h', w'] for `x` [..., inputs, length] or [..., inputs, h, w]."""
        axes = len(self.kernel)
        if x.ndim <= axes or x.shape[-axes - 1] != self.inputs:
            wanted = "length" if axes == 1 else "height, width"
            raise ValueError(
                f"expected an array [..., {self.inputs}, {wanted}] for {self!r}; got shape {tuple(x.shape)}."
            )
        y = ops.conv(x, params["weight"], self.stride, self.padding, self.dilation)
        return y + params["bias"].reshape(-1, *(1,) * axes)


@dataclass(frozen=True)
class Embedding:
    """A row of numbers for each class: row x of a table, a linear map of a one-hot code.

    Args:
        classes: number of classes.
        outputs: numbers for each.

    Example:
        >>> import numpy as np
        >>> from ppgen import nn
        >>> net = nn.Embedding(10, 4)
        >>> net.apply({"weight": np.ones((10, 4))}, np.array([[1, 2, 3]])).shape
        (1, 3, 4)
    """

    classes: int
    outputs: int

    def __post_init__(self) -> None:
        assign(self, **{name: size("Embedding", name, getattr(self, name)) for name in ("classes", "outputs")})

    def specs(self) -> dict[str, Spec]:
        """The parameters by path; of all inputs of this layer one is not 0, so their bound is 1."""
        return {"weight": Spec((self.classes, self.outputs), 1.0)}

    def apply(self, params: Parameters, x: ops.Array) -> ops.Array:
        """[..., outputs] for class numbers `x` [...]; one that is no class gives NaN, or torch raises, see `ops.take`."""
        if "int" not in str(x.dtype):
            raise ValueError(
                f"expected class numbers, integers from 0 to {self.classes - 1}, for {self!r}; got {x.dtype}. "
                "Pass ppgen.ops.as_integer(x) where they are whole numbers of another type."
            )
        return ops.take(params["weight"], x, 0)


@dataclass(frozen=True)
class LayerNorm:
    r"""Layer normalisation (Ba et al., 2016) over the last axis: mean 0 and variance 1, then a learnt scale and bias.

    .. math:: y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \cdot \text{scale} + \text{bias}

    Args:
        inputs: size of the last axis.
        epsilon: keeps rows of equal entries finite.

    Example:
        >>> import numpy as np
        >>> from ppgen import nn
        >>> net = nn.LayerNorm(2)
        >>> params = {path: spec.draw(np.random.default_rng(0)) for path, spec in net.specs().items()}
        >>> net.apply(params, np.array([[1.0, 3.0]])).round(2).tolist()
        [[-1.0, 1.0]]
    """

    inputs: int
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        assign(self, inputs=size("LayerNorm", "inputs", self.inputs))
        if not self.epsilon > 0:
            raise ValueError(f"LayerNorm: expected a positive epsilon; got {self.epsilon!r}.")

    def specs(self) -> dict[str, Spec]:
        """The parameters by path."""
        return {"scale": Spec((self.inputs,), centre=1.0), "bias": Spec((self.inputs,))}

    def apply(self, params: Parameters, x: ops.Array) -> ops.Array:
        """[..., inputs] for `x` [..., inputs]."""
        if x.shape[-1] != self.inputs:
            raise ValueError(
                f"expected inputs of size {self.inputs} on the last axis of {self!r}; got shape {tuple(x.shape)}."
            )
        return ops.layer_norm(x, params["scale"], params["bias"], self.epsilon)
