"""Array functions that act on whichever library the arrays (or the running program) belong to.

A function looks at its arrays: torch tensors go to torch, everything else to JAX. Functions that create arrays
ask the active backend. Nothing here keeps state but the context variable that says which backend is running.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Array = Any
"""A jax.Array or a torch.Tensor."""

_active: ContextVar[Any] = ContextVar("ppgen_backend", default=None)


def active() -> Any | None:
    """The backend whose program is running, or None."""
    return _active.get()


@contextmanager
def activate(backend: Any) -> Iterator[None]:
    """Make `backend` the active one inside a `with` block."""
    token = _active.set(backend)
    try:
        yield
    finally:
        _active.reset(token)


def _torch(*arrays: Any) -> Any | None:
    """The torch module if any array is a tensor, or if none decides and a torch backend is running."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    for x in arrays:
        if isinstance(x, torch.Tensor):
            return torch
        if isinstance(x, jax.Array):
            return None
    backend = _active.get()
    return torch if backend is not None and backend.library == "torch" else None


def _both(name: str, jax_fn: Any, torch_name: str | None = None, doc: str = "") -> Any:
    """An elementwise function that both libraries have."""

    def function(x: Array) -> Array:
        torch = _torch(x)
        if torch is None:
            return jax_fn(x)
        return getattr(torch, torch_name or name)(asarray(x))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


exp = _both("exp", jnp.exp, doc="e^x, elementwise.")
expm1 = _both("expm1", jnp.expm1, doc="e^x - 1, accurate near 0.")
log = _both("log", jnp.log, doc="Natural logarithm, elementwise.")
log1p = _both("log1p", jnp.log1p, doc="log(1 + x), accurate near 0.")
sqrt = _both("sqrt", jnp.sqrt, doc="Square root, elementwise.")
square = _both("square", jnp.square, doc="x squared, elementwise.")
absolute = _both("absolute", lambda x: x * jnp.sign(x), doc="|x|, elementwise; its gradient at 0 is 0.")
sin = _both("sin", jnp.sin, doc="Sine, elementwise.")
cos = _both("cos", jnp.cos, doc="Cosine, elementwise.")
tanh = _both("tanh", jnp.tanh, doc="Hyperbolic tangent, elementwise.")
sigmoid = _both("sigmoid", jax.nn.sigmoid, doc="1 / (1 + e^-x), elementwise.")
relu = _both("relu", jax.nn.relu, doc="max(x, 0), elementwise.")
isfinite = _both("isfinite", jnp.isfinite, doc="False where x is NaN or infinite.")


def softplus(x: Array) -> Array:
    """log(1 + e^x), elementwise and without overflow; its gradient at 0 is 1/2."""
    torch = _torch(x)
    return jax.nn.softplus(x) if torch is None else torch.nn.functional.softplus(asarray(x))


def leaky_relu(x: Array) -> Array:
    """X where positive, 0.2 x elsewhere: the usual choice in critics."""
    torch = _torch(x)
    return jnp.where(x > 0, x, 0.2 * x) if torch is None else torch.nn.functional.leaky_relu(asarray(x), 0.2)


def elu(x: Array) -> Array:
    """X where positive, e^x - 1 elsewhere."""
    torch = _torch(x)
    return jax.nn.elu(x) if torch is None else torch.nn.functional.elu(asarray(x))


def silu(x: Array) -> Array:
    """X * sigmoid(x)."""
    torch = _torch(x)
    return jax.nn.silu(x) if torch is None else torch.nn.functional.silu(asarray(x))


def gelu(x: Array) -> Array:
    """X * Phi(x), with the exact normal distribution function."""
    torch = _torch(x)
    return jax.nn.gelu(x, approximate=False) if torch is None else torch.nn.functional.gelu(asarray(x))


def asarray(x: Any, dtype: str | None = None) -> Array:
    """`x` as an array of the active library; `dtype` by name (`"float32"`, `"int32"`, `"bool"`)."""
    torch = _torch(x)
    if torch is None:
        return jnp.asarray(x, dtype)
    return torch.as_tensor(x, dtype=None if dtype is None else getattr(torch, dtype))


def zeros(shape: Sequence[int]) -> Array:
    """Zeros of the active library's default float type."""
    torch = _torch()
    return jnp.zeros(shape) if torch is None else torch.zeros(tuple(shape))


def ones(shape: Sequence[int]) -> Array:
    """Ones of the active library's default float type."""
    torch = _torch()
    return jnp.ones(shape) if torch is None else torch.ones(tuple(shape))


def arange(n: int) -> Array:
    """The integers 0 to n - 1."""
    torch = _torch()
    return jnp.arange(n) if torch is None else torch.arange(n)


def eye(n: int) -> Array:
    """The n x n identity."""
    torch = _torch()
    return jnp.eye(n) if torch is None else torch.eye(n)


def sum(x: Array, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Array:
    """Sum over `axis` (all axes by default)."""
    torch = _torch(x)
    if torch is None:
        return jnp.sum(x, axis=axis if axis is None or isinstance(axis, int) else tuple(axis), keepdims=keepdims)
    return torch.sum(x, dim=axis, keepdim=keepdims) if axis is not None else torch.sum(x)


def mean(x: Array, axis: int | None = None) -> Array:
    """Mean over `axis` (all axes by default)."""
    return x.mean(axis)


def amax(x: Array, axis: int) -> Array:
    """The largest entry along `axis`."""
    torch = _torch(x)
    return jnp.max(x, axis) if torch is None else torch.amax(x, axis)


def logsumexp(x: Array, axis: int = -1, keepdims: bool = False) -> Array:
    """Log sum e^x over `axis`, without overflow."""
    torch = _torch(x)
    if torch is None:
        return jax.nn.logsumexp(x, axis=axis, keepdims=keepdims)
    return torch.logsumexp(x, dim=axis, keepdim=keepdims)


def logmeanexp(x: Array, axis: int = 0) -> Array:
    """Log mean e^x over `axis`, without overflow: the log of an average of weights."""
    return logsumexp(x, axis=axis) - math.log(x.shape[axis])


def softmax(x: Array, axis: int = -1) -> Array:
    """e^x normalised to sum to one over `axis`."""
    torch = _torch(x)
    return jax.nn.softmax(x, axis=axis) if torch is None else torch.softmax(x, dim=axis)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """The logarithm of `softmax`, without overflow."""
    torch = _torch(x)
    return jax.nn.log_softmax(x, axis=axis) if torch is None else torch.log_softmax(x, dim=axis)


def where(condition: Array, x: Any, y: Any) -> Array:
    """`x` where the condition holds, `y` elsewhere."""
    torch = _torch(condition, x, y)
    return jnp.where(condition, x, y) if torch is None else torch.where(condition, x, y)


def clip(x: Array, low: float | None = None, high: float | None = None) -> Array:
    """`x` cut to [low, high]."""
    torch = _torch(x)
    return jnp.clip(x, low, high) if torch is None else torch.clamp(x, low, high)


def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Join arrays along a new axis."""
    torch = _torch(*arrays)
    return jnp.stack(arrays, axis) if torch is None else torch.stack(tuple(arrays), axis)


def concatenate(arrays: Sequence[Array], axis: int = -1) -> Array:
    """Join arrays along an axis they have."""
    torch = _torch(*arrays)
    return jnp.concatenate(arrays, axis) if torch is None else torch.cat(tuple(arrays), axis)


def split(x: Array, sizes: Sequence[int], axis: int = -1) -> tuple[Array, ...]:
    """`x` cut along an axis into pieces of the given sizes; the inverse of `concatenate`."""
    torch = _torch(x)
    return tuple(jax.lax.split(x, sizes, axis % x.ndim) if torch is None else torch.split(x, tuple(sizes), axis))


def broadcast_to(x: Array, shape: Sequence[int]) -> Array:
    """`x` repeated to `shape`, without a copy where the library can."""
    torch = _torch(x)
    return jnp.broadcast_to(x, shape) if torch is None else torch.broadcast_to(x, tuple(shape))


def one_hot(x: Array, classes: int) -> Array:
    """Class numbers as rows of an identity: [...] integers to [..., classes] floats."""
    torch = _torch(x)
    if torch is None:
        return jax.nn.one_hot(x, classes)
    return torch.nn.functional.one_hot(x.long(), classes).to(torch.get_default_dtype())


def einsum(equation: str, *arrays: Array) -> Array:
    """Einstein summation."""
    torch = _torch(*arrays)
    return jnp.einsum(equation, *arrays) if torch is None else torch.einsum(equation, *arrays)


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """X @ weight + bias for `x` [..., m], `weight` [m, n], `bias` [n]."""
    torch = _torch(x, weight)
    if torch is None:
        return _product.bind(jnp.asarray(x), jnp.asarray(weight)) + bias
    return torch.addmm(bias, x, weight) if x.ndim == 2 else x @ weight + bias


def _flat_product(x: jax.Array, weight: jax.Array) -> jax.Array:
    """X @ weight with all axes of `x` but the last folded into one."""
    return (x.reshape(-1, x.shape[-1]) @ weight).reshape(*x.shape[:-1], weight.shape[-1])


def _weight_gradient(cotangent: jax.Array, x: jax.Array, _: Any) -> jax.Array:
    return x.reshape(-1, x.shape[-1]).T @ cotangent.reshape(-1, cotangent.shape[-1])


def _batched_product(operands: tuple, axes: tuple) -> tuple[jax.Array, int]:
    """Under `vmap` an axis of particles joins the other leading axes of `x`; a batch of weights is an ordinary product."""
    (x, weight), (x_axis, weight_axis) = operands, axes
    if weight_axis is None:
        return _product.bind(jnp.moveaxis(x, x_axis, 0), weight), 0
    return jax.vmap(jnp.matmul, (x_axis, weight_axis))(x, weight), 0


_product = Primitive("ppgen_product")  # a matrix product that stays two-dimensional under vmap: a tenth faster on CPUs
_product.def_impl(jax.jit(_flat_product))
_product.def_abstract_eval(lambda x, w: jax.core.ShapedArray((*x.shape[:-1], w.shape[-1]), jnp.result_type(x, w)))
mlir.register_lowering(_product, mlir.lower_fun(_flat_product, multiple_results=False))
ad.defbilinear(_product, lambda cotangent, _, weight: _product.bind(cotangent, weight.T), _weight_gradient)
batching.primitive_batchers[_product] = _batched_product


def inverse(x: Array) -> Array:
    """The inverse of a matrix, or of each matrix in a batch [..., n, n]."""
    torch = _torch(x)
    return jnp.linalg.inv(x) if torch is None else torch.linalg.inv(x)


def stop_gradient(x: Array) -> Array:
    """`x` as a constant: no gradient flows through it."""
    torch = _torch(x)
    return jax.lax.stop_gradient(x) if torch is None else asarray(x).detach()
