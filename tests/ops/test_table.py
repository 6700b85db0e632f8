"""Every function of `ppgen.ops`: values against NumPy and SciPy on both libraries, gradients of the two against each other."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.special
import torch

import ppgen
from ppgen import ops

RNG = np.random.default_rng(0)
X = np.concatenate([[0.0, -0.0, 1.0, -1.0, 30.0, -30.0], RNG.normal(size=6)]).astype(np.float32).reshape(3, 4)
POSITIVE = np.abs(X) + 0.1
AWAY = np.copysign(POSITIVE, X)  # from 0
Y = RNG.normal(size=(3, 4)).astype(np.float32)
TIES = np.float32([[1, 2, 2, -1], [0, 0, 0, 0], [3, 1, 3, 1]])
SQUARE = RNG.normal(size=(2, 3, 3)).astype(np.float32)
POSITIVE_DEFINITE = SQUARE @ SQUARE.swapaxes(-1, -2) + np.eye(3, dtype=np.float32)
LOGS = np.array([[-np.inf, 0.0, 1.0], [-np.inf, -np.inf, -np.inf], [500.0, 501.0, -800.0]], np.float32)
VECTORS = RNG.normal(size=(5, 3, 4)).astype(np.float32)
WEIGHT, BIAS = RNG.normal(size=(4, 2)).astype(np.float32), RNG.normal(size=2).astype(np.float32)
CLASSES = np.array([[0, 2], [1, 0]], np.int32)
SEQUENCES = RNG.normal(size=(2, 3, 7)).astype(np.float32)
IMAGES = RNG.normal(size=(2, 3, 5, 4)).astype(np.float32)
FILTER = RNG.normal(size=(4, 3, 3)).astype(np.float32)
KERNEL = RNG.normal(size=(2, 3, 3, 5)).astype(np.float32)
HEADS = RNG.normal(size=(3, 2, 4, 6)).astype(np.float32)  # queries, keys and values of two rows, four places
HIDDEN = np.where(RNG.random((4, 4)) < 0.3, -np.inf, RNG.normal(size=(4, 4))).astype(np.float32)
HIDDEN[0] = -np.inf
AXES = [
    (((),), {"axis": ()}),
    ((-1, True), {"axis": -1, "keepdims": True}),
    (((0, -1), True), {"axis": (0, -1), "keepdims": True}),
    ((None, True), {"keepdims": True}),
]


def correlation(x, weight, stride=1, padding=None, dilation=1):
    """A sum over the places of the kernel; `padding` as pairs, None for the size of the input."""
    kernel = weight.shape[2:]
    if x.ndim > weight.ndim - 1:
        return np.stack([correlation(row, weight, stride, padding, dilation) for row in x])
    padding = padding or [(dilation * (k // 2),) * 2 for k in kernel]
    x = np.pad(x.astype(np.float64), [(0, 0), *padding])
    sizes = [(n - dilation * (k - 1) - 1) // stride + 1 for n, k in zip(x.shape[1:], kernel, strict=True)]
    y = np.zeros((len(weight), *sizes))
    for place in np.ndindex(kernel):
        window = tuple(
            slice(dilation * i, dilation * i + stride * n, stride) for i, n in zip(place, sizes, strict=True)
        )
        y += np.einsum("nc,c...->n...", weight[:, :, *place], x[:, *window][:, *(slice(n) for n in sizes)])
    return y


def transposed(x, weight, stride, padding, sizes):
    """The transpose of `correlation` for images of given sides: <transposed(x), e> = <x, correlation(e)> for all e."""
    shape = (weight.shape[1], *sizes)
    basis = np.eye(math.prod(shape)).reshape(-1, *shape)
    there = correlation(basis, weight, stride, padding).reshape(len(basis), -1)
    return (x.reshape(len(x), -1) @ there.T).reshape(-1, *shape)


def attention(query, key, value, bias=0.0, causal=False):
    with np.errstate(invalid="ignore"):
        scores = np.einsum("...td,...sd->...ts", query, key) / math.sqrt(query.shape[-1]) + bias
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf) if causal else scores
        return np.nan_to_num(scipy.special.softmax(scores.astype(np.float64), -1)) @ value


def layer_norm(x, scale, bias, epsilon=1e-5):
    x = x.astype(np.float64)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) * scale + bias


def numpy_gelu(x):
    return x * scipy.special.ndtr(x)


def logsumexp(x, axis=-1, keepdims=False):
    return scipy.special.logsumexp(x.astype(np.float64), axis=axis, keepdims=keepdims)


def reductions(function, x, *more):
    """Over all axes, none, some; and more choices of axes, and whether to keep them."""
    choices = [((), {}), ((-1,), {"axis": -1}), (([0, 1],), {"axis": (0, 1)}), *more]
    return [((x, *arguments), function(x, **keywords)) for arguments, keywords in choices]


# name: [(arguments, what NumPy gives)]; NumPy arrays among the arguments become arrays of the library
TABLE = {
    "exp": [((X,), np.exp(X))],
    "expm1": [((X * 1e-4,), np.expm1(X.astype(np.float64) * 1e-4))],
    "log": [((POSITIVE,), np.log(POSITIVE))],
    "log1p": [((POSITIVE * 1e-4,), np.log1p(POSITIVE.astype(np.float64) * 1e-4))],
    "sqrt": [((POSITIVE,), np.sqrt(POSITIVE))],
    "square": [((X,), X**2)],
    "absolute": [((X,), np.abs(X))],
    "sign": [((X,), np.sign(X)), ((np.float32([np.nan, -np.inf]),), [np.nan, -1.0])],
    "sin": [((X,), np.sin(X))],
    "cos": [((X,), np.cos(X))],
    "sinh": [((Y,), np.sinh(Y))],
    "cosh": [((Y,), np.cosh(Y))],
    "arcsinh": [((X,), np.arcsinh(X))],
    "tanh": [((X,), np.tanh(X))],
    "erf": [((X,), scipy.special.erf(X))],
    "lgamma": [((POSITIVE,), scipy.special.gammaln(POSITIVE))],
    "digamma": [((POSITIVE,), scipy.special.psi(POSITIVE))],
    "floor": [((X,), np.floor(X))],
    "sigmoid": [((X,), scipy.special.expit(X))],
    "relu": [((X,), np.maximum(X, 0))],
    "softplus": [((X,), np.logaddexp(0, X)), ((X * 50,), np.logaddexp(0, X * 50))],
    "leaky_relu": [((X,), np.where(X > 0, X, 0.2 * X))],
    "elu": [((AWAY,), np.where(AWAY > 0, AWAY, np.expm1(np.minimum(AWAY, 0))))],
    "silu": [((X,), X * scipy.special.expit(X))],
    "gelu": [((X,), numpy_gelu(X))],
    "maximum": [((X, Y), np.maximum(X, Y)), ((TIES, 1.0), np.maximum(TIES, 1.0)), ((0.5, X), np.maximum(X, 0.5))],
    "minimum": [((X, Y), np.minimum(X, Y)), ((TIES, 1.0), np.minimum(TIES, 1.0)), ((0.5, X), np.minimum(X, 0.5))],
    "logaddexp": [
        ((X, Y), np.logaddexp(X, Y)),
        ((LOGS, LOGS[::-1].copy()), np.logaddexp(LOGS, LOGS[::-1])),
        ((LOGS, -np.inf), LOGS),
        ((np.float32([np.inf, np.inf, 1.0]), np.float32([np.inf, 0.0, np.inf])), [np.inf] * 3),
    ],
    "where": [
        ((X > 0, X, Y), np.where(X > 0, X, Y)),
        ((X > 0, X, 0.0), np.where(X > 0, X, 0)),
        ((X > 0, 1.0, 0.0), np.where(X > 0, 1.0, 0.0)),
    ],
    "clip": [
        ((X, -0.5, 0.5), np.clip(X, -0.5, 0.5)),
        ((X, 0.0), np.clip(X, 0, None)),
        ((X, None, 0.0), np.clip(X, None, 0)),
    ],
    "finite": [
        ((LOGS,), np.where(np.isfinite(LOGS), LOGS, 0)),
        ((np.float32([np.nan, -np.inf, 1.0]),), [0.0, 0.0, 1.0]),
    ],
    "sum": reductions(np.sum, X, *AXES),
    "prod": [*reductions(np.prod, Y, *AXES), ((TIES, -1), TIES.prod(-1))],
    "mean": reductions(np.mean, X),
    "var": reductions(np.var, TIES),
    "std": [*reductions(np.std, TIES), ((LOGS[0] * np.nan,), np.nan)],
    "amax": reductions(np.max, TIES),
    "amin": reductions(np.min, TIES),
    "any": reductions(np.any, X > 0),
    "all": reductions(np.all, X > -25),
    "logsumexp": [
        *[(arguments, logsumexp(*arguments)) for arguments in ((X,), (X, 0), (X, 0, True), (X, None), (LOGS,))],
        ((X, ()), X),
        ((VECTORS, (0, -1), True), logsumexp(VECTORS, (0, -1), True)),
    ],
    "logmeanexp": [((X,), logsumexp(X, 0) - math.log(3)), ((LOGS, -1), logsumexp(LOGS) - math.log(3))],
    "softmax": [((X,), scipy.special.softmax(X, -1)), ((X, 0), scipy.special.softmax(X, 0))],
    "log_softmax": [((X,), scipy.special.log_softmax(X, -1)), ((X, 0), scipy.special.log_softmax(X, 0))],
    "cumsum": [((X,), np.cumsum(X, -1)), ((X, 0), np.cumsum(X, 0))],
    "sort": [
        ((X,), np.sort(X)),
        ((X, 0), np.sort(X, 0)),
        ((TIES,), np.sort(TIES)),
        ((np.float32([1.0, np.nan, -np.inf]),), [-np.inf, 1.0, np.nan]),
    ],
    "argsort": [((X,), np.argsort(X, kind="stable")), ((TIES, 0), np.argsort(TIES, 0, kind="stable"))],
    "argmax": [((X,), X.argmax(-1)), ((TIES, 0), TIES.argmax(0))],
    "zeros_like": [((X,), np.zeros((3, 4)))],
    "ones_like": [((X,), np.ones((3, 4)))],
    "one_hot": [((CLASSES, 3), np.eye(3)[CLASSES]), ((CLASSES.astype(np.int64), 4), np.eye(4)[CLASSES])],
    "as_integer": [((X * 3,), np.trunc(X * 3)), ((X > 0,), X > 0), ((CLASSES,), CLASSES)],
    "stack": [(([X, Y],), np.stack([X, Y])), (((X, Y), -1), np.stack([X, Y], -1))],
    "concatenate": [(([X, Y],), np.concatenate([X, Y], -1)), (((X, Y), 0), np.concatenate([X, Y]))],
    "split": [((X, (1, 3)), [X[:, :1], X[:, 1:]]), ((VECTORS, (2, 3), 0), [VECTORS[:2], VECTORS[2:]])],
    "broadcast_to": [((X, (2, 3, 4)), np.broadcast_to(X, (2, 3, 4)))],
    "tile": [((X, (2,)), np.tile(X, 2)), ((X, [2, 1, 3]), np.tile(X, (2, 1, 3)))],
    "moveaxis": [((VECTORS, 0, -1), np.moveaxis(VECTORS, 0, -1))],
    "take": [
        ((X, [3, 0]), X[:, [3, 0]]),
        ((X, [2, 1, 1], 0), X[[2, 1, 1]]),
        ((X, CLASSES, 0), X[CLASSES]),
        ((VECTORS, CLASSES, 1), VECTORS[:, CLASSES]),
        ((X, CLASSES[0, 1]), X[:, 2]),
    ],
    "permute": [((X, np.array([2, 0, 3, 1])), X[:, [2, 0, 3, 1]]), ((X, np.array([2, 0, 1]), 0), X[[2, 0, 1]])],
    "take_along": [((X, np.array([[1], [0], [3]])), np.array([[X[0, 1]], [X[1, 0]], [X[2, 3]]]))],
    "window": [((X, 1, 2), X[:, 1:3]), ((X, 3, 2), X[:, 2:]), ((X, 1, 1, 0), X[1:2])],
    "put_window": [
        ((X, Y[:, :2], 1), np.concatenate([X[:, :1], Y[:, :2], X[:, 3:]], 1)),
        ((X, Y[:, :2], 3), np.concatenate([X[:, :2], Y[:, :2]], 1)),
        ((X, Y[:1], 1, 0), np.stack([X[0], Y[0], X[2]])),
    ],
    "pad": [((X, 2), np.pad(X, ((0, 0), (0, 2)))), ((X, 1, 0), np.pad(X, ((0, 1), (0, 0)))), ((X, 0), X)],
    "matmul": [
        ((X, WEIGHT), X @ WEIGHT),
        ((VECTORS, WEIGHT), VECTORS @ WEIGHT),
        ((SQUARE, SQUARE[0]), SQUARE @ SQUARE[0]),
        ((X, WEIGHT[:, 0]), X @ WEIGHT[:, 0]),
    ],
    "einsum": [
        (("ij,ij->i", X, Y), np.einsum("ij,ij->i", X, Y)),
        (("kij,jm->kim", VECTORS, WEIGHT), np.einsum("kij,jm->kim", VECTORS, WEIGHT)),
    ],
    "linear": [
        ((X, WEIGHT, BIAS), X @ WEIGHT + BIAS),
        ((VECTORS, WEIGHT, BIAS), VECTORS @ WEIGHT + BIAS),
        ((X[0], WEIGHT, BIAS), X[0] @ WEIGHT + BIAS),
    ],
    "inverse": [((SQUARE,), np.linalg.inv(SQUARE)), ((SQUARE[0],), np.linalg.inv(SQUARE[0]))],
    "cholesky": [((POSITIVE_DEFINITE,), np.linalg.cholesky(POSITIVE_DEFINITE))],
    "solve_triangular": [
        ((np.tril(SQUARE), SQUARE), np.linalg.solve(np.tril(SQUARE), SQUARE)),
        ((np.triu(SQUARE), SQUARE, False), np.linalg.solve(np.triu(SQUARE), SQUARE)),
    ],
    "conv": [
        ((IMAGES, KERNEL), correlation(IMAGES, KERNEL)),
        ((IMAGES[0], KERNEL[:, :, :1, 1:4], 1), correlation(IMAGES[0], KERNEL[:, :, :1, 1:4])),
        ((IMAGES[None], KERNEL, 2), correlation(IMAGES, KERNEL, 2)[None]),
        ((IMAGES, KERNEL, 1, 2), correlation(IMAGES, KERNEL, 1, [(2, 2), (2, 2)])),
        ((IMAGES, KERNEL[..., :2], 2, ((2, 0), (1, 1))), correlation(IMAGES, KERNEL[..., :2], 2, [(2, 0), (1, 1)])),
        ((IMAGES, KERNEL[..., :3], 1, "same", 2), correlation(IMAGES, KERNEL[..., :3], 1, None, 2)),
        ((SEQUENCES, FILTER), correlation(SEQUENCES, FILTER)),
        ((SEQUENCES[0], FILTER[..., :2], 1, "causal", 3), correlation(SEQUENCES[0], FILTER[..., :2], 1, [(3, 0)], 3)),
        ((SEQUENCES, FILTER, 2, 0), correlation(SEQUENCES, FILTER, 2, [(0, 0)])),
    ],
    "conv_transpose": [
        ((IMAGES[:, :2], KERNEL, 1), transposed(IMAGES[:, :2], KERNEL, 1, None, (5, 4))),
        ((IMAGES[:, :2], KERNEL, 2), transposed(IMAGES[:, :2], KERNEL, 2, None, (10, 8))),
        ((IMAGES[:, :2], KERNEL, 2, 1), transposed(IMAGES[:, :2], KERNEL, 2, [(1, 1), (1, 1)], (9, 9))),
        ((IMAGES[:, :2], KERNEL, 1, ((0, 2), (3, 1))), transposed(IMAGES[:, :2], KERNEL, 1, [(0, 2), (3, 1)], (5, 4))),
        ((SEQUENCES[:, :2], FILTER[:2], 3), transposed(SEQUENCES[:, :2], FILTER[:2], 3, None, (21,))),
    ],
    "layer_norm": [
        ((VECTORS, Y[0], Y[1]), layer_norm(VECTORS, Y[0], Y[1])),
        ((TIES, Y[0], Y[1], 1e-2), layer_norm(TIES, Y[0], Y[1], 1e-2)),
    ],
    "attention": [
        (tuple(HEADS), attention(*HEADS)),
        ((*HEADS, None, True), attention(*HEADS, causal=True)),
        ((HEADS[0], HEADS[1, :, :3], HEADS[2, :, :3, :2]), attention(HEADS[0], HEADS[1, :, :3], HEADS[2, :, :3, :2])),
        ((*HEADS, HIDDEN), attention(*HEADS, HIDDEN)),
        ((*HEADS, np.stack([HIDDEN, HIDDEN.T]), True), attention(*HEADS, np.stack([HIDDEN, HIDDEN.T]), True)),
        (tuple(HEADS[:, 0]), attention(*HEADS[:, 0])),
    ],
    "stop_gradient": [((X,), X)],
}
TYPE = {"any": "bool", "all": "bool", "argmax": "int", "argsort": "int", "as_integer": "int"}
ARRAY = {"numpyro": (jax.Array, jnp.asarray), "pyro": (torch.Tensor, lambda x: torch.from_numpy(np.array(x)))}
ELSEWHERE = (  # in the other files here
    "active", "activate", "arange", "as_float", "as_type_of", "asarray", "associative_scan", "cond", "depth", "entry", "eye",
    "finfo", "grad", "known_equal", "ones", "recompute", "scan", "settle", "triangular_solution", "vmap", "while_loop", "zeros",
)  # fmt: skip


def test_the_table_has_every_function():
    public = [name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))]
    assert sorted(public) == sorted([*TABLE, *ELSEWHERE])
    assert all(getattr(ops, name).__doc__ for name in public)


def results(function, cases, backend):
    """Of each case what the function gives and the gradient of its sum; of the first one that of the gradient's sum, too."""
    _, array = ARRAY[backend]
    trees = [jax.tree.flatten(arguments, is_leaf=lambda x: x is None) for arguments in cases]
    arrays = [{i: array(x) for i, x in enumerate(leaves) if hasattr(x, "dtype")} for leaves, _ in trees]
    floats = [{i: x for i, x in parts.items() if str(x.dtype).endswith("float32")} for parts in arrays]

    def value(case, arrays, floats):
        leaves, tree = trees[case]
        return function(*jax.tree.unflatten(tree, (dict(enumerate(leaves)) | arrays[case] | floats).values()))

    def run(arrays, floats):
        slopes = [ops.grad(lambda x, i=i: total(value(i, arrays, x))) for i in range(len(cases))]
        values = [value(i, arrays, x) for i, x in enumerate(floats)]
        if not floats[0] or "float" not in str(jax.tree.leaves(values[0])[0].dtype):
            return values, [], []
        first = [slope(x) for slope, x in zip(slopes, floats, strict=True) if x]
        return values, first, ops.grad(lambda x: total(slopes[0](x)))(floats[0])

    with ppgen.using(backend):
        values, *gradients = (jax.jit(run) if backend == "numpyro" else run)(arrays, floats)
    return values, jax.tree.leaves(gradients)


def total(parts):
    """The sum of some arrays, with weights that tell the entries apart."""
    parts = jax.tree.leaves(parts)
    weights = [np.cos(np.arange(math.prod(part.shape), dtype=np.float32)).reshape(part.shape) for part in parts]
    return sum(ops.sum(part * ops.as_type_of(w, part)) for part, w in zip(parts, weights, strict=True))


@pytest.mark.parametrize("name", TABLE)
def test_function(name):
    """Values are NumPy's; the gradients of the two libraries agree, at ties and at the ends too."""
    gradients = {}
    for backend, (library, _) in ARRAY.items():
        values, gradients[backend] = results(getattr(ops, name), [arguments for arguments, _ in TABLE[name]], backend)
        for found, (_, expected) in zip(values, TABLE[name], strict=True):
            assert isinstance(found, library | tuple)
            for one, other in zip(found, expected, strict=True) if name == "split" else [(found, expected)]:
                assert one.shape == np.shape(other)
                assert str(one.dtype).removeprefix("torch.").startswith(TYPE.get(name, "float32"))
                np.testing.assert_allclose(np.asarray(one), other, rtol=2e-5, atol=2e-6)
    for one, two in zip(*gradients.values(), strict=True):
        one, two = np.asarray(one), np.asarray(two)
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4 * max(1, np.nan_to_num(np.abs(two)).max(initial=0)))


def in_jax(wrong):
    """A bug in one of the two libraries."""
    return lambda right: lambda x, *rest: (wrong if isinstance(x, jax.Array) else right)(x, *rest)


PLANTED = {
    "absolute": in_jax(jnp.abs),  # another gradient at 0
    "std": in_jax(lambda x, axis=None: jnp.std(x, axis if axis is None or isinstance(axis, int) else tuple(axis))),
    "sort": in_jax(lambda x, axis=-1: jnp.sort(jax.lax.stop_gradient(x), axis)),
    "elu": in_jax(lambda x: jnp.where(x > 0, x, jax.lax.stop_gradient(jnp.expm1(x)) + x - jax.lax.stop_gradient(x))),
    "softplus": lambda right: lambda x: ops.log(1 + ops.exp(x)),  # overflows
    "var": lambda right: lambda x, axis=None: ops.sum(right(x, axis)) if axis is None else right(x, axis) * 3 / 2,
    "conv": lambda right: lambda x, weight, *rest: right(x, ops.take(weight, range(weight.shape[-1])[::-1]), *rest),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_caught(name, monkeypatch):
    monkeypatch.setattr(ops, name, PLANTED[name](getattr(ops, name)))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        test_function(name)
