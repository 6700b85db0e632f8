"""Array functions: creation, arithmetic, reductions, indexing."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppgen.ops.dispatch import Array, torch_of


def _both(name: str, jax_fn: Any, torch_name: str | None = None, doc: str = "") -> Any:
    """An elementwise function that both libraries have."""

    def function(x: Array) -> Array:
        torch = torch_of(x)
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
sinh = _both("sinh", jnp.sinh, doc="Hyperbolic sine, elementwise.")
cosh = _both("cosh", jnp.cosh, doc="Hyperbolic cosine, elementwise.")
arcsinh = _both("arcsinh", jnp.arcsinh, doc="Inverse hyperbolic sine, elementwise.")
tanh = _both("tanh", jnp.tanh, doc="Hyperbolic tangent, elementwise.")
sigmoid = _both("sigmoid", jax.nn.sigmoid, doc="1 / (1 + e^-x), elementwise.")
relu = _both("relu", jax.nn.relu, doc="max(x, 0), elementwise.")


def softplus(x: Array) -> Array:
    """log(1 + e^x), elementwise and without overflow; its gradient at 0 is 1/2."""
    torch = torch_of(x)
    return jax.nn.softplus(x) if torch is None else torch.nn.functional.softplus(asarray(x))


def leaky_relu(x: Array) -> Array:
    """X where positive, 0.2 x elsewhere: the usual choice in critics."""
    torch = torch_of(x)
    return jnp.where(x > 0, x, 0.2 * x) if torch is None else torch.nn.functional.leaky_relu(asarray(x), 0.2)


def elu(x: Array) -> Array:
    """X where positive, e^x - 1 elsewhere."""
    torch = torch_of(x)
    return jax.nn.elu(x) if torch is None else torch.nn.functional.elu(asarray(x))


def silu(x: Array) -> Array:
    """X * sigmoid(x)."""
    torch = torch_of(x)
    return jax.nn.silu(x) if torch is None else torch.nn.functional.silu(asarray(x))


def gelu(x: Array) -> Array:
    """X * Phi(x), with the exact normal distribution function."""
    torch = torch_of(x)
    return jax.nn.gelu(x, approximate=False) if torch is None else torch.nn.functional.gelu(asarray(x))


def asarray(x: Any, dtype: str | None = None, like: Array | None = None) -> Array:
    """`x` as an array of the active library, or of that of `like`; `dtype` by name ("float32", "int32", "bool")."""
    torch = torch_of(x, like)
    if torch is None:
        return jnp.asarray(x, dtype)
    if dtype is None and like is None and isinstance(x, torch.Tensor):
        return x  # as_tensor takes a microsecond to see that, and this is called everywhere
    dtype = None if dtype is None else getattr(torch, dtype)
    return torch.as_tensor(x, dtype=dtype, device=getattr(like, "device", None))


def zeros(shape: Sequence[int], like: Array | None = None) -> Array:
    """Zeros of the number type of `like`; by default, of the active library's default float type."""
    torch = torch_of(like)
    dtype = None if like is None else like.dtype
    return jnp.zeros(shape, dtype) if torch is None else torch.zeros(tuple(shape), dtype=dtype)


def ones(shape: Sequence[int]) -> Array:
    """Ones of the active library's default float type."""
    torch = torch_of()
    return jnp.ones(shape) if torch is None else torch.ones(tuple(shape))


def arange(n: int, like: Array | None = None) -> Array:
    """The integers 0 to n - 1, of the library of `like`; by default, of the active one."""
    torch = torch_of(like)
    return jnp.arange(n) if torch is None else torch.arange(n, device=getattr(like, "device", None))


def eye(n: int) -> Array:
    """The n x n identity."""
    torch = torch_of()
    return jnp.eye(n) if torch is None else torch.eye(n)


def sum(x: Array, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Array:
    """Sum over `axis` (all axes by default)."""
    torch = torch_of(x)
    if torch is None:
        return jnp.sum(x, axis=axis if axis is None or isinstance(axis, int) else tuple(axis), keepdims=keepdims)
    if axis == ():  # torch takes no axes for all of them
        return x
    return torch.sum(x, dim=axis, keepdim=keepdims) if axis is not None else torch.sum(x)


def mean(x: Array, axis: int | None = None) -> Array:
    """Mean over `axis` (all axes by default)."""
    return x.mean(axis)


def amax(x: Array, axis: int) -> Array:
    """The largest entry along `axis`."""
    torch = torch_of(x)
    return jnp.max(x, axis) if torch is None else torch.amax(x, axis)


def logsumexp(x: Array, axis: int = -1, keepdims: bool = False) -> Array:
    """Log sum e^x over `axis`, without overflow."""
    torch = torch_of(x)
    if torch is None:
        return jax.nn.logsumexp(x, axis=axis, keepdims=keepdims)
    return torch.logsumexp(x, dim=axis, keepdim=keepdims)


def logmeanexp(x: Array, axis: int = 0) -> Array:
    """Log mean e^x over `axis`, without overflow: the log of an average of weights."""
    return logsumexp(x, axis=axis) - math.log(x.shape[axis])


def softmax(x: Array, axis: int = -1) -> Array:
    """e^x normalised to sum to one over `axis`."""
    torch = torch_of(x)
    return jax.nn.softmax(x, axis=axis) if torch is None else torch.softmax(x, dim=axis)


def log_softmax(x: Array, axis: int = -1) -> Array:
    """The logarithm of `softmax`, without overflow."""
    torch = torch_of(x)
    return jax.nn.log_softmax(x, axis=axis) if torch is None else torch.log_softmax(x, dim=axis)


def where(condition: Array, x: Any, y: Any) -> Array:
    """`x` where the condition holds, `y` elsewhere."""
    torch = torch_of(condition, x, y)
    return jnp.where(condition, x, y) if torch is None else torch.where(condition, x, y)


def clip(x: Array, low: float | None = None, high: float | None = None) -> Array:
    """`x` cut to [low, high]; at the ends its gradient is still 1 (that of `jnp.clip` is 1/2 there)."""
    torch = torch_of(x)
    if torch is not None:
        return torch.clamp(x, low, high)
    x = x if low is None else jnp.where(x < low, low, x)
    return x if high is None else jnp.where(x > high, high, x)


def finfo(x: Array) -> np.finfo:
    """The limits of the floating point numbers of `x`."""
    return np.finfo(str(x.dtype).removeprefix("torch."))


def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Join arrays along a new axis."""
    torch = torch_of(*arrays)
    return jnp.stack(arrays, axis) if torch is None else torch.stack(tuple(arrays), axis)


def concatenate(arrays: Sequence[Array], axis: int = -1) -> Array:
    """Join arrays along an axis they have."""
    torch = torch_of(*arrays)
    return jnp.concatenate(arrays, axis) if torch is None else torch.cat(tuple(arrays), axis)


def split(x: Array, sizes: Sequence[int], axis: int = -1) -> tuple[Array, ...]:
    """`x` cut along an axis into pieces of the given sizes; the inverse of `concatenate`."""
    torch = torch_of(x)
    return tuple(jax.lax.split(x, sizes, axis % x.ndim) if torch is None else torch.split(x, tuple(sizes), axis))


def broadcast_to(x: Array, shape: Sequence[int]) -> Array:
    """`x` repeated to `shape`, without a copy where the library can."""
    torch = torch_of(x)
    return jnp.broadcast_to(x, shape) if torch is None else torch.broadcast_to(x, tuple(shape))


def one_hot(x: Array, classes: int) -> Array:
    """Class numbers as rows of an identity: [...] integers to [..., classes] floats."""
    torch = torch_of(x)
    if torch is None:
        return jax.nn.one_hot(x, classes)
    return torch.nn.functional.one_hot(x.long(), classes).to(torch.get_default_dtype())


def einsum(equation: str, *arrays: Array) -> Array:
    """Einstein summation."""
    torch = torch_of(*arrays)
    return jnp.einsum(equation, *arrays) if torch is None else torch.einsum(equation, *arrays)


def stop_gradient(x: Array) -> Array:
    """`x` as a constant: no gradient flows through it."""
    torch = torch_of(x)
    return jax.lax.stop_gradient(x) if torch is None else asarray(x).detach()


def as_float(x: Any, like: Array | None = None) -> Array:
    """`x` in floating point: floats as they are, integers and booleans in the number type of `like` or the default."""
    torch = torch_of(x, like)
    if torch is None:
        x = jnp.asarray(x)
        return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float if like is None else like.dtype)
    x = asarray(x)
    return x if x.is_floating_point() else x.to(torch.get_default_dtype() if like is None else like.dtype)


def as_integer(x: Array) -> Array:
    """`x` as integers, cut towards 0."""
    torch = torch_of(x)
    return jnp.asarray(x).astype(int) if torch is None else torch.as_tensor(x).long()


def as_type_of(x: Any, like: Array) -> Array:
    """`x` as an array of the library and the number type of `like`."""
    torch = torch_of(like)
    return jnp.asarray(x, like.dtype) if torch is None else torch.as_tensor(x, dtype=like.dtype)


def floor(x: Array) -> Array:
    """The largest integer at most x, elementwise."""
    torch = torch_of(x)
    return jnp.floor(x) if torch is None else torch.floor(x)


def maximum(x: Array, y: Array) -> Array:
    """The larger of two arrays, elementwise."""
    torch = torch_of(x, y)
    return jnp.maximum(x, y) if torch is None else torch.maximum(x, y)


def cumsum(x: Array, axis: int = -1) -> Array:
    """Running sums along an axis."""
    torch = torch_of(x)
    return jnp.cumsum(x, axis) if torch is None else torch.cumsum(x, axis)


def argmax(x: Array, axis: int = -1) -> Array:
    """Where the largest entry along `axis` is."""
    return x.argmax(axis)


def moveaxis(x: Array, source: int, target: int) -> Array:
    """`x` with one axis moved to another place."""
    torch = torch_of(x)
    return jnp.moveaxis(x, source, target) if torch is None else torch.movedim(x, source, target)


def take(x: Array, index: np.ndarray, axis: int = -1) -> Array:
    """The entries of an axis at fixed positions, in their order: a permutation or a selection."""
    torch = torch_of(x)
    if torch is None:
        return jnp.take(x, np.asarray(index), axis)
    return torch.index_select(x, axis, torch.as_tensor(np.array(index)))


def permute(x: Array, order: Array, axis: int = -1) -> Array:
    """The entries of an axis in another order, a permutation [n] that may be computed."""
    torch = torch_of(x, order)
    if torch is None:
        return jnp.moveaxis(_permute_rows(jnp.moveaxis(x, axis, 0), order), 0, axis)
    return torch.index_select(asarray(x), axis, order)


@jax.custom_vjp
def _permute_rows(x: Array, order: Array) -> Array:
    """x[order]. Its gradient, too, picks rows; that of indexing adds them up one by one, several times as slow."""
    return x[order]


_permute_rows.defvjp(
    lambda x, order: (x[order], order),
    lambda order, cotangent: (cotangent[jnp.argsort(order)], None),
)


def take_along(x: Array, index: Array, axis: int = -1) -> Array:
    """One entry along `axis` for each entry of `index`, an integer array of as many axes as `x`."""
    torch = torch_of(x)
    if torch is None:
        return jnp.take_along_axis(x, index, axis)
    return torch.take_along_dim(x, index.long(), axis)


def window(x: Array, start: Any, size: int, axis: int = -1) -> Array:
    """`size` entries of an axis from `start`, which may be computed; near the end the last `size` ones."""
    torch = torch_of(x)
    if torch is None:
        return jax.lax.dynamic_slice_in_dim(x, start, size, axis)
    return torch.narrow(x, axis, min(int(start), x.shape[axis] - size), size)


def put_window(x: Array, piece: Array, start: Any, axis: int = -1) -> Array:
    """`x` with `piece` in the place that `window` of its size would read."""
    torch = torch_of(x)
    if torch is None:
        return jax.lax.dynamic_update_slice_in_dim(x, piece, start, axis)
    start = min(int(start), x.shape[axis] - piece.shape[axis])
    return torch.slice_scatter(x, piece, axis, start, start + piece.shape[axis])


def pad(x: Array, count: int, axis: int = -1) -> Array:
    """`x` with `count` zeros behind the last entry of an axis."""
    shape = list(x.shape)
    shape[axis] = count
    return concatenate([x, zeros(shape, x)], axis)


def finite(x: Array) -> Array:
    """`x` with 0 in place of what is NaN or infinite."""
    torch = torch_of(x)
    return jnp.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0) if torch is None else torch.nan_to_num(x, 0.0, 0.0, 0.0)


def every(x: Array) -> Array:
    """True when all entries are."""
    return x.all()


def known_equal(x: Array, y: Array) -> bool:
    """Whether two arrays of one shape are known to be equal: never while JAX compiles, when values are not known."""
    torch = torch_of(x)
    if torch is not None:
        return torch.equal(x, y)
    return not isinstance(x, jax.core.Tracer) and bool((x == y).all())
