"""Convolution networks on images [..., channels, height, width]."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ppgen import ops
from ppgen.arguments import assign, is_size, size, sizes
from ppgen.nn.mlp import ACTIVATIONS, check_activation
from ppgen.nn.spec import Parameters, Spec
from ppgen.nn.start import bound, linear


@dataclass(frozen=True)
class ConvNet:
    """Residual blocks of convolutions that keep the size of the image; the outputs start at zero.

        h = W * x + V c + b;    h = h + B * f(A * f(h) + a) + b'  for each block;    out = C * f(h) + d

    with * a convolution, f the activation and c the context, the same at all pixels. B looks at one pixel, the others
    at `kernel` x `kernel`. It is `ResidualMLP` for images, and the conditioner of couplings of images.

    Args:
        inputs: channels of x.
        hidden: channels inside each residual block; the first number is also the channels of h.
        outputs: channels of the result.
        kernel: side of the convolutions, odd.
        context: size of the context; 0 for none.
        activation: see `ppgen.nn.MLP`.

    Example:
        >>> import numpy as np
        >>> from ppgen import nn
        >>> net = nn.ConvNet(3, (16,), 6)
        >>> rng = np.random.default_rng(0)
        >>> params = {path: spec.draw(rng) for path, spec in net.specs().items()}
        >>> net.apply(params, np.ones((5, 3, 8, 8), np.float32)).shape
        (5, 6, 8, 8)
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    kernel: int = 3
    context: int = 0
    activation: str = "relu"

    def __post_init__(self) -> None:
        assign(
            self,
            inputs=size("ConvNet", "inputs", self.inputs),
            hidden=sizes("ConvNet", "hidden", self.hidden),
            outputs=size("ConvNet", "outputs", self.outputs),
            kernel=_odd(self.kernel),
            context=size("ConvNet", "context", self.context, 0),
        )
        check_activation(self.activation)

    def specs(self) -> dict[str, Spec]:
        """The parameters by path."""
        width, k = self.hidden[0], self.kernel
        entering = self.inputs * k**2 + self.context
        specs = _layer("in", self.inputs, width, k, entering)
        if self.context:
            specs["context.weight"] = Spec((self.context, width), bound(entering))
        for i, inner in enumerate(self.hidden):
            specs |= _layer(f"{i}", width, inner, k) | _layer(f"{i}.back", inner, width, 1)
        return specs | {"out.weight": Spec((self.outputs, width, k, k)), "out.bias": Spec((self.outputs,))}

    def apply(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        """The outputs [..., outputs, h, w] for `x` [..., inputs, h, w] and `context` [..., context]."""
        if x.ndim < 3 or x.shape[-3] != self.inputs:
            raise ValueError(
                f"expected images [..., {self.inputs}, height, width] for {self!r}; got shape {tuple(x.shape)}."
            )
        f = ACTIVATIONS[self.activation]
        h = _convolve(params, "in", x)
        if self.context:
            h = h + (context @ params["context.weight"])[..., None, None]
        for i in range(len(self.hidden)):
            h = h + _convolve(params, f"{i}.back", f(_convolve(params, f"{i}", f(h))))
        return _convolve(params, "out", f(h))


@dataclass(frozen=True)
class ConvEncoder:
    """Convolutions with stride 2, then a linear layer: an image [..., c, h, w] to [..., outputs].

    Args:
        shape: channels, height and width of an image; the sides can be halved once for each hidden layer.
        hidden: channels of the convolutions.
        outputs: size of the result, or a tuple of sizes for several results, as in `ppgen.nn.MLP`.
        kernel: side of the convolutions, odd.
        activation: see `ppgen.nn.MLP`.

    Example:
        >>> import numpy as np
        >>> from ppgen import nn
        >>> net = nn.ConvEncoder((1, 28, 28), (16, 32), (20, 20))
        >>> rng = np.random.default_rng(0)
        >>> params = {path: spec.draw(rng) for path, spec in net.specs().items()}
        >>> loc, log_scale = net.apply(params, np.ones((5, 1, 28, 28), np.float32))
        >>> loc.shape
        (5, 20)
    """

    shape: tuple[int, int, int]
    hidden: tuple[int, ...]
    outputs: int | tuple[int, ...]
    kernel: int = 3
    activation: str = "relu"

    def __post_init__(self) -> None:
        several = isinstance(self.outputs, tuple)
        assign(
            self,
            hidden=sizes("ConvEncoder", "hidden", self.hidden, empty=True),
            outputs=(sizes if several else size)("ConvEncoder", "outputs", self.outputs),
            kernel=_odd(self.kernel),
        )
        assign(self, shape=_image(self.shape, self.hidden))
        check_activation(self.activation)

    def specs(self) -> dict[str, Spec]:
        """The parameters by path."""
        specs = {}
        for i, (m, n) in enumerate(pairwise((self.shape[0], *self.hidden))):
            specs |= _layer(f"{i}", m, n, self.kernel)
        height, width = _halved(self.shape, self.hidden)
        return specs | linear("out", self.hidden[-1] * height * width, sum(self._heads))

    def apply(self, params: Parameters, x: ops.Array) -> ops.Array | tuple[ops.Array, ...]:
        """The outputs for images `x` [..., c, h, w]."""
        if tuple(x.shape[-3:]) != tuple(self.shape):
            raise ValueError(
                f"expected images of shape {self.shape} on the last three axes for {self!r}; got {tuple(x.shape)}. "
                "Reshape the rows, as in x.reshape(-1, 1, 28, 28)."
            )
        for i in range(len(self.hidden)):
            x = ACTIVATIONS[self.activation](_convolve(params, f"{i}", x, stride=2))
        x = x.reshape(*x.shape[:-3], math.prod(x.shape[-3:]))
        out = ops.linear(x, params["out.weight"], params["out.bias"])
        return ops.split(out, self._heads) if isinstance(self.outputs, tuple) else out

    @property
    def _heads(self) -> tuple[int, ...]:
        return self.outputs if isinstance(self.outputs, tuple) else (self.outputs,)


@dataclass(frozen=True)
class ConvDecoder:
    """A linear layer, then convolutions that each double the sides: [..., inputs] to an image [..., c, h, w].

    Pixels are repeated before a convolution, which leaves no checkerboard as transposed convolutions do (Odena et al.,
    2016).

    Args:
        inputs: size of the last axis of what is decoded.
        hidden: channels before each doubling.
        shape: channels, height and width of an image; the sides can be halved once for each hidden layer.
        kernel: side of the convolutions, odd.
        activation: see `ppgen.nn.MLP`.

    Example:
        >>> import numpy as np
        >>> from ppgen import nn
        >>> net = nn.ConvDecoder(20, (32, 16), (1, 28, 28))
        >>> rng = np.random.default_rng(0)
        >>> params = {path: spec.draw(rng) for path, spec in net.specs().items()}
        >>> net.apply(params, np.ones((5, 20), np.float32)).shape
        (5, 1, 28, 28)
    """

    inputs: int
    hidden: tuple[int, ...]
    shape: tuple[int, int, int]
    kernel: int = 3
    activation: str = "relu"

    def __post_init__(self) -> None:
        assign(
            self,
            inputs=size("ConvDecoder", "inputs", self.inputs),
            hidden=sizes("ConvDecoder", "hidden", self.hidden, empty=True),
            kernel=_odd(self.kernel),
        )
        assign(self, shape=_image(self.shape, self.hidden))
        check_activation(self.activation)

    def specs(self) -> dict[str, Spec]:
        """The parameters by path."""
        height, width = _halved(self.shape, self.hidden)
        specs = linear("in", self.inputs, self.hidden[0] * height * width)
        for i, (m, n) in enumerate(pairwise((*self.hidden, self.shape[0]))):
            specs |= _layer(f"{i}", m, n, self.kernel)
        return specs

    def apply(self, params: Parameters, x: ops.Array) -> ops.Array:
        """Images [..., c, h, w] for `x` [..., inputs]."""
        if x.shape[-1] != self.inputs:
            raise ValueError(
                f"expected inputs of size {self.inputs} on the last axis of {self!r}; got shape {tuple(x.shape)}."
            )
        h = ops.linear(x, params["in.weight"], params["in.bias"])
        h = h.reshape(*h.shape[:-1], self.hidden[0], *_halved(self.shape, self.hidden))
        for i in range(len(self.hidden)):
            h = _convolve(params, f"{i}", _doubled(ACTIVATIONS[self.activation](h)))
        return h


# layers --------------------------------------------------------------------------------------------------------------


def _layer(name: str, inputs: int, outputs: int, kernel: int, entering: int = 0) -> dict[str, Spec]:
    """Weight and bias of a convolution; `entering` is how many numbers enter a unit, where a context does too."""
    limit = bound(entering or inputs * kernel**2)
    return {f"{name}.weight": Spec((outputs, inputs, kernel, kernel), limit), f"{name}.bias": Spec((outputs,), limit)}


def _convolve(params: Parameters, name: str, x: ops.Array, stride: int = 1) -> ops.Array:
    return ops.conv(x, params[f"{name}.weight"], stride) + params[f"{name}.bias"][:, None, None]


def _doubled(x: ops.Array) -> ops.Array:
    """Each pixel four times: [..., c, h, w] to [..., c, 2 h, 2 w]."""
    *lead, height, width = x.shape
    four = ops.broadcast_to(x[..., :, None, :, None], (*lead, height, 2, width, 2))
    return four.reshape(*lead, 2 * height, 2 * width)


def _image(shape: Any, hidden: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape of an image as integers; or ValueError, also where its sides cannot be halved once a hidden layer."""
    times = 2 ** len(hidden)
    whole = isinstance(shape, Sequence) and len(shape) == 3 and all(map(is_size, shape))
    if not whole or not hidden or any(side % times for side in shape[1:]):
        raise ValueError(
            f"expected images (channels, height, width) whose sides can be halved {len(hidden)} times, once for each of at "
            f"least one hidden layer; got shape {shape} and hidden {hidden}. Pad the images, or take fewer layers."
        )
    channels, height, width = map(int, shape)
    return channels, height, width


def _halved(shape: tuple[int, int, int], hidden: tuple[int, ...]) -> tuple[int, int]:
    """Height and width after as many halvings as there are hidden layers."""
    times = 2 ** len(hidden)
    return shape[1] // times, shape[2] // times


def _odd(kernel: Any) -> int:
    if not is_size(kernel) or kernel % 2 == 0:
        raise ValueError(f"expected an odd kernel; got {kernel!r}.")
    return int(kernel)
