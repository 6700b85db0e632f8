"""Convolutions along one or two axes, and their transposes."""

from torch import Tensor
from torch.nn import functional

from ppgen.ops.convolution import Pairs


def correlate(x: Tensor, weight: Tensor, stride: int, padding: Pairs, dilation: int) -> Tensor:
    conv = functional.conv1d if len(padding) == 1 else functional.conv2d
    if all(before == after for before, after in padding):
        return conv(x, weight, stride=stride, padding=[before for before, _ in padding], dilation=dilation)
    return conv(_padded(x, padding), weight, stride=stride, dilation=dilation)


def spread(x: Tensor, weight: Tensor, stride: int, padding: Pairs) -> Tensor:
    conv_transpose = functional.conv_transpose1d if len(padding) == 1 else functional.conv_transpose2d
    whole = conv_transpose(x, weight, stride=stride)
    return _padded(whole, tuple((-before, -after) for before, after in padding))


def _padded(x: Tensor, padding: Pairs) -> Tensor:
    """`x` with zeros around its last axes; a negative number of them cuts."""
    return functional.pad(x, [count for pair in reversed(padding) for count in pair])
