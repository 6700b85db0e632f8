"""Convolutions along one or two axes, and their transposes."""

import math
from collections.abc import Sequence

from ppgen.ops.dispatch import Array, dispatched_by

Padding = str | int | Sequence[tuple[int, int]]
"""Zeros around: "same", "causal", a number for each side, or (before, after) of each axis."""


def conv(x: Array, weight: Array, stride: int = 1, padding: Padding = "same", dilation: int = 1) -> Array:
    r"""Correlate sequences or images with a kernel, as networks do; mathematics calls it a convolution with a flipped one.

    .. math:: y_{n, t} = \sum_{c, i} w_{n, c, i} \, x_{c, \, s t + d i - p}

    with s the stride, d the dilation and p the zeros before the first entry; images have two such axes.

    Args:
        x: sequences [..., c, length] or images [..., c, h, w].
        weight: kernels [n, c, k] or [n, c, kh, kw].
        stride: keep every s-th entry of each axis, from the first.
        padding: zeros around. "same" keeps the size, ceil(size / stride), and needs odd kernels; "causal", for
            sequences, puts them all before, so that no entry of the result sees later ones; a number is that of each
            side; pairs (before, after), one an axis, say all.
        dilation: distance of the entries that neighbours in the kernel meet.

    Returns:
        [..., n, length'] or [..., n, h', w'], with size' = (size + before + after - dilation (k - 1) - 1) // stride + 1.

    Example:
        >>> import numpy as np
        >>> from ppgen import ops
        >>> x, weight = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[[1.0, 1.0]]])
        >>> ops.conv(x, weight, padding="causal").tolist()  # each entry and the one before it
        [[1.0, 3.0, 5.0, 7.0]]
    """
    axes = weight.ndim - 2
    pairs = _pairs(padding, tuple(weight.shape[2:]), dilation)
    flat = x.reshape(math.prod(x.shape[: -axes - 1]), *x.shape[-axes - 1 :])
    y = correlate(flat, weight, stride, pairs, dilation)
    return y.reshape(*x.shape[: -axes - 1], *y.shape[1:])


def conv_transpose(x: Array, weight: Array, stride: int = 1, padding: Padding = "same") -> Array:
    r"""The transpose of the linear map `conv` (Zeiler et al., 2010), which makes sequences or images larger.

    .. math:: y_{c, \, s t + i - p} = \sum_{n, \dots} w_{n, c, i} \, x_{n, t}

    Args:
        x: [..., n, length] or [..., n, h, w].
        weight: the kernels of the convolution, [n, c, k] or [n, c, kh, kw].
        stride: of the convolution.
        padding: of the convolution: what it adds around is cut off here. With "same" each side is `stride` times as
            long; with a number p, (size - 1) stride + k - 2 p; negative numbers add zeros.

    Returns:
        [..., c, length'] or [..., c, h', w'].

    Example:
        >>> import numpy as np
        >>> from ppgen import ops
        >>> x, weight = np.array([[1.0, 2.0]]), np.array([[[0.5, 1.0, 0.5]]])
        >>> ops.conv_transpose(x, weight, stride=2).tolist()
        [[1.0, 1.5, 2.0, 1.0]]
    """
    axes = weight.ndim - 2
    pairs = _pairs(padding, tuple(weight.shape[2:]), 1)
    if padding == "same":
        pairs = tuple((before, after - stride + 1) for before, after in pairs)
    flat = x.reshape(math.prod(x.shape[: -axes - 1]), *x.shape[-axes - 1 :])
    y = spread(flat, weight, stride, pairs)
    return y.reshape(*x.shape[: -axes - 1], *y.shape[1:])


Pairs = tuple[tuple[int, int], ...]
"""Zeros before and after, of each axis."""


@dispatched_by("x", "weight")
def correlate(x: Array, weight: Array, stride: int, padding: Pairs, dilation: int) -> Array:
    """`conv` of [rows, c, ...] with the zeros of each axis."""


@dispatched_by("x", "weight")
def spread(x: Array, weight: Array, stride: int, padding: Pairs) -> Array:
    """`conv_transpose` of [rows, n, ...] with what is cut off each axis."""


def _pairs(padding: Padding, kernel: tuple[int, ...], dilation: int) -> Pairs:
    """Zeros before and after, of each axis."""
    if padding == "same":
        if any(k % 2 == 0 for k in kernel):
            raise ValueError(
                f"expected kernels with odd sides; got sides {kernel}. Take odd ones, or say padding=((before, after), ...)."
            )
        return tuple((dilation * (k // 2), dilation * (k // 2)) for k in kernel)
    if padding == "causal" and len(kernel) == 1:
        return ((dilation * (kernel[0] - 1), 0),)
    if isinstance(padding, int):
        return ((padding, padding),) * len(kernel)
    if isinstance(padding, str) or len(padding) != len(kernel):
        raise ValueError(
            f"expected padding to be 'same', 'causal' (for sequences), a number, or {len(kernel)} pairs (before, after), one "
            f"for each side of the kernel; got {padding!r}."
        )
    return tuple((before, after) for before, after in padding)
