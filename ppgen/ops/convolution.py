"""Convolution of images."""

import math

import jax
import jax.numpy as jnp

from ppgen.ops.dispatch import Array, torch_of


def conv(x: Array, weight: Array, stride: int = 1) -> Array:
    """Correlate images `x` [..., c, h, w] with `weight` [n, c, kh, kw], kh and kw odd: [..., n, h, w].

    Zeros around the image keep its size. A stride s keeps every s-th row and column, from the first: ceil(h / s) rows.
    """
    torch = torch_of(x, weight)
    kh, kw = weight.shape[-2:]
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError(f"expected kernels with odd sides; got a weight of shape {tuple(weight.shape)}.")
    rows, columns = kh // 2, kw // 2
    flat = x.reshape(math.prod(x.shape[:-3]), *x.shape[-3:])
    if torch is None:
        dtype, padding = jnp.result_type(x, weight), ((rows, rows), (columns, columns))
        y = jax.lax.conv_general_dilated(flat.astype(dtype), weight.astype(dtype), (stride, stride), padding)
    else:
        y = torch.nn.functional.conv2d(flat, weight, stride=stride, padding=(rows, columns))
    return y.reshape(*x.shape[:-3], *y.shape[-3:])
