"""Every function of `ppgen.ops` against NumPy and SciPy, on JAX and on torch."""

import inspect
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.special
import torch

import ppgen
from ppgen import ops

RNG = np.random.default_rng(0)
X = np.concatenate([[0.0, -0.0, 1.0, -1.0, 30.0, -30.0], RNG.normal(size=6)]).astype(np.float32).reshape(3, 4)
POSITIVE = np.abs(X) + 0.1
Y = RNG.normal(size=(3, 4)).astype(np.float32)
SQUARE = RNG.normal(size=(2, 3, 3)).astype(np.float32)
LOGS = np.array([[-np.inf, 0.0, 1.0], [-np.inf, -np.inf, -np.inf], [500.0, 501.0, -800.0]], np.float32)
VECTORS = RNG.normal(size=(5, 3, 4)).astype(np.float32)
WEIGHT, BIAS = RNG.normal(size=(4, 2)).astype(np.float32), RNG.normal(size=2).astype(np.float32)
CLASSES = np.array([[0, 2], [1, 0]], np.int32)
IMAGES = RNG.normal(size=(2, 3, 5, 4)).astype(np.float32)
KERNEL = RNG.normal(size=(2, 3, 3, 5)).astype(np.float32)


def convolution(images, kernel):
    """Channel by channel; the other images and outputs too."""
    if images.ndim == 4:
        return np.stack([convolution(image, kernel) for image in images])
    pairs = [[scipy.signal.correlate2d(x, w, "same") for x, w in zip(images, row, strict=True)] for row in kernel]
    return np.sum(pairs, 1)


def numpy_gelu(x):
    return x * scipy.special.ndtr(x)


def logsumexp(x, axis=-1, keepdims=False):
    return scipy.special.logsumexp(x.astype(np.float64), axis=axis, keepdims=keepdims)


# name: [(arguments, what NumPy gives)]; NumPy arrays among the arguments become arrays of the library
TABLE = {
    "exp": [((X,), np.exp(X))],
    "expm1": [((X * 1e-4,), np.expm1(X.astype(np.float64) * 1e-4))],
    "log": [((POSITIVE,), np.log(POSITIVE))],
    "log1p": [((POSITIVE * 1e-4,), np.log1p(POSITIVE.astype(np.float64) * 1e-4))],
    "sqrt": [((POSITIVE,), np.sqrt(POSITIVE))],
    "square": [((X,), X**2)],
    "absolute": [((X,), np.abs(X))],
    "sin": [((X,), np.sin(X))],
    "cos": [((X,), np.cos(X))],
    "sinh": [((Y,), np.sinh(Y))],
    "cosh": [((Y,), np.cosh(Y))],
    "arcsinh": [((X,), np.arcsinh(X))],
    "tanh": [((X,), np.tanh(X))],
    "sigmoid": [((X,), scipy.special.expit(X))],
    "relu": [((X,), np.maximum(X, 0))],
    "softplus": [((X,), np.logaddexp(0, X)), ((X * 50,), np.logaddexp(0, X * 50))],
    "leaky_relu": [((X,), np.where(X > 0, X, 0.2 * X))],
    "elu": [((X,), np.where(X > 0, X, np.expm1(np.minimum(X, 0))))],
    "silu": [((X,), X * scipy.special.expit(X))],
    "gelu": [((X,), numpy_gelu(X))],
    "sum": [
        ((X,), X.sum()),
        ((X, 0), X.sum(0)),
        ((X, ()), X),
        ((X, -1, True), X.sum(-1, keepdims=True)),
        ((VECTORS, (0, -1)), VECTORS.sum((0, -1))),
        ((VECTORS, [0, 1], True), VECTORS.sum((0, 1), keepdims=True)),
    ],
    "mean": [((X,), X.mean()), ((X, 0), X.mean(0)), ((X, -1), X.mean(-1))],
    "amax": [((X, 0), X.max(0)), ((VECTORS, -1), VECTORS.max(-1))],
    "logsumexp": [
        ((X,), logsumexp(X)),
        ((X, 0), logsumexp(X, 0)),
        ((X, 0, True), logsumexp(X, 0, True)),
        ((LOGS,), logsumexp(LOGS)),
    ],
    "logmeanexp": [((X,), logsumexp(X, 0) - math.log(3)), ((LOGS, -1), logsumexp(LOGS) - math.log(3))],
    "softmax": [((X,), scipy.special.softmax(X, -1)), ((X, 0), scipy.special.softmax(X, 0))],
    "log_softmax": [((X,), scipy.special.log_softmax(X, -1)), ((X, 0), scipy.special.log_softmax(X, 0))],
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
    "stack": [(([X, Y],), np.stack([X, Y])), (((X, Y), -1), np.stack([X, Y], -1))],
    "concatenate": [(([X, Y],), np.concatenate([X, Y], -1)), (((X, Y), 0), np.concatenate([X, Y]))],
    "broadcast_to": [((X, (2, 3, 4)), np.broadcast_to(X, (2, 3, 4)))],
    "one_hot": [((CLASSES, 3), np.eye(3)[CLASSES]), ((CLASSES.astype(np.int64), 4), np.eye(4)[CLASSES])],
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
    "stop_gradient": [((X,), X)],
    "as_integer": [((X * 3,), np.trunc(X * 3)), ((X > 0,), X > 0), ((CLASSES,), CLASSES)],
    "floor": [((X,), np.floor(X))],
    "maximum": [((X, Y), np.maximum(X, Y))],
    "cumsum": [((X,), np.cumsum(X, -1)), ((X, 0), np.cumsum(X, 0))],
    "argmax": [((X,), X.argmax(-1)), ((X, 0), X.argmax(0))],
    "moveaxis": [((VECTORS, 0, -1), np.moveaxis(VECTORS, 0, -1))],
    "permute": [((X, np.array([2, 0, 3, 1])), X[:, [2, 0, 3, 1]]), ((X, np.array([2, 0, 1]), 0), X[[2, 0, 1]])],
    "take": [((X, [3, 0]), X[:, [3, 0]]), ((X, [2, 1, 1], 0), X[[2, 1, 1]])],
    "take_along": [((X, np.array([[1], [0], [3]])), np.array([[X[0, 1]], [X[1, 0]], [X[2, 3]]]))],
    "window": [((X, 1, 2), X[:, 1:3]), ((X, 3, 2), X[:, 2:]), ((X, 1, 1, 0), X[1:2])],
    "finite": [
        ((LOGS,), np.where(np.isfinite(LOGS), LOGS, 0)),
        ((np.float32([np.nan, -np.inf, 1.0]),), [0.0, 0.0, 1.0]),
    ],
    "pad": [((X, 2), np.pad(X, ((0, 0), (0, 2)))), ((X, 1, 0), np.pad(X, ((0, 1), (0, 0)))), ((X, 0), X)],
    "put_window": [
        ((X, Y[:, :2], 1), np.concatenate([X[:, :1], Y[:, :2], X[:, 3:]], 1)),
        ((X, Y[:, :2], 3), np.concatenate([X[:, :2], Y[:, :2]], 1)),
        ((X, Y[:1], 1, 0), np.stack([X[0], Y[0], X[2]])),
    ],
    "every": [((X > 0,), False), ((POSITIVE > 0,), True)],
    "conv": [
        ((IMAGES, KERNEL), convolution(IMAGES, KERNEL)),
        ((IMAGES[0], KERNEL[:, :, :1, 1:4], 1), convolution(IMAGES[0], KERNEL[:, :, :1, 1:4])),
        ((IMAGES[None], KERNEL, 2), convolution(IMAGES, KERNEL)[None, ..., ::2, ::2]),
    ],
    "solve_triangular": [((np.tril(SQUARE), SQUARE), np.linalg.solve(np.tril(SQUARE), SQUARE))],
}
ELEMENTWISE = [*list(TABLE)[: list(TABLE).index("sum")], "stop_gradient"]
LOOPS = {"associative_scan", "entry", "scan", "while_loop", "recompute", "settle", "triangular_solution"}
CREATE = {"asarray", "as_float", "as_type_of", "zeros", "ones", "arange", "eye"}
CONTEXT = {"active", "activate", "finfo", "known_equal"}
PIECES = {"split": [((X, (1, 3)), [X[:, :1], X[:, 1:]]), ((VECTORS, (2, 3), 0), [VECTORS[:2], VECTORS[2:]])]}
LIBRARY = {"numpyro": jax.Array, "pyro": torch.Tensor}
TENSOR = {"numpyro": jnp.asarray, "pyro": lambda x: torch.from_numpy(np.array(x))}


def convert(argument, backend):
    if isinstance(argument, np.ndarray):
        return TENSOR[backend](argument)
    if isinstance(argument, list | tuple) and argument and isinstance(argument[0], np.ndarray):
        return type(argument)(convert(part, backend) for part in argument)
    return argument


TYPE = {"every": ("bool",), "argmax": ("int32", "int64"), "as_integer": ("int32", "int64")}


def test_the_table_has_every_function():
    public = {
        name
        for name, value in vars(ops).items()
        if inspect.isfunction(value) and value.__module__.startswith("ppgen.ops.") and not name.startswith("_")
    }
    assert public == TABLE.keys() | CREATE | CONTEXT | LOOPS | PIECES.keys()


@pytest.mark.parametrize(
    ("name", "arguments", "expected"), [(name, *case) for name, cases in TABLE.items() for case in cases]
)
def test_against_numpy(name, arguments, expected, backend):
    """Outside `using` the arrays decide the library; inside it, for where(), so may the backend."""
    with ppgen.using(backend):
        found = getattr(ops, name)(*(convert(a, backend) for a in arguments))
    assert isinstance(found, LIBRARY[backend])
    assert found.shape == np.shape(expected)
    assert str(found.dtype).removeprefix("torch.") in TYPE.get(name, ("float32",))
    np.testing.assert_allclose(np.asarray(found), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "case"), [(name, i) for name, cases in PIECES.items() for i in range(len(cases))])
def test_functions_of_several_results(name, case, backend):
    arguments, expected = PIECES[name][case]
    found = getattr(ops, name)(*(convert(a, backend) for a in arguments))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, LIBRARY[backend])
        np.testing.assert_allclose(np.asarray(one), other, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["exp", "softplus", "sum", "logsumexp", "leaky_relu", "gelu", "stop_gradient"])
def test_the_arrays_decide_the_library(name, backend):
    """Also against the active backend, and without one."""
    other = "pyro" if backend == "numpyro" else "numpyro"
    assert isinstance(getattr(ops, name)(TENSOR[backend](X)), LIBRARY[backend])
    with ppgen.using(other):
        assert isinstance(getattr(ops, name)(TENSOR[backend](X)), LIBRARY[backend])


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_numbers_go_to_the_active_library(name, backend):
    """`ops.exp(0.5)` inside a program."""
    with ppgen.using(backend):
        found = getattr(ops, name)(0.5)
    expected = np.asarray(getattr(ops, name)(jnp.asarray(0.5)))
    assert isinstance(found, LIBRARY[backend]) or name == "stop_gradient"  # JAX leaves a number a number
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)


CREATED = {
    "zeros": (((2, 3),), np.zeros((2, 3)), "float32"),
    "ones": (([2, 3],), np.ones((2, 3)), "float32"),
    "eye": ((3,), np.eye(3), "float32"),
    "arange": ((4,), np.arange(4), None),
}


@pytest.mark.parametrize("name", CREATED)
def test_arrays_are_created_in_the_active_library(name, backend):
    arguments, expected, dtype = CREATED[name]
    with ppgen.using(backend):
        found = getattr(ops, name)(*arguments)
    assert isinstance(found, LIBRARY[backend])
    assert dtype is None or str(found.dtype).removeprefix("torch.") == dtype
    np.testing.assert_array_equal(np.asarray(found), expected)


@pytest.mark.parametrize("name", CREATED)
def test_without_an_active_backend_arrays_are_jaxs(name):
    assert ops.active() is None
    assert isinstance(getattr(ops, name)(*CREATED[name][0]), jax.Array)


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool", "float16"])
@pytest.mark.parametrize("value", [1.0, [0.0, 1.0], np.array([0, 1]), np.array([0.0, 1.0])], ids=repr)
def test_asarray_by_name_of_the_type(value, dtype, backend):
    with ppgen.using(backend):
        found = ops.asarray(value, dtype)
    assert isinstance(found, LIBRARY[backend])
    assert str(found.dtype).removeprefix("torch.") == dtype
    np.testing.assert_array_equal(np.asarray(found), np.asarray(value, dtype))


def test_asarray_keeps_an_array_as_it_is(backend):
    x = TENSOR[backend](X)
    assert ops.asarray(x) is x


@pytest.mark.parametrize("value", [0.5, [0.5, 1.5], np.array([0.5, 1.5], np.float32)], ids=repr)
def test_asarray_of_numbers_is_single_precision(value, backend):
    with ppgen.using(backend):
        assert str(ops.asarray(value).dtype).removeprefix("torch.") == "float32"


def gradient(function, x, backend):
    """Of the sum of `function` at `x`, as NumPy."""
    if backend == "numpyro":
        return np.asarray(jax.grad(lambda x: jnp.sum(function(x)))(jnp.asarray(x)))
    x = torch.tensor(x, requires_grad=True)
    total = function(x).sum()
    return torch.autograd.grad(total, x)[0].numpy() if total.requires_grad else np.zeros(x.shape, np.float32)


AT_ZERO = {
    "softplus": 0.5,
    "relu": 0.0,
    "leaky_relu": 0.2,
    "elu": 1.0,
    "silu": 0.5,
    "gelu": 0.5,
    "tanh": 1.0,
    "sigmoid": 0.25,
    "square": 0.0,
    "absolute": 0.0,
    "exp": 1.0,
    "expm1": 1.0,
    "log1p": 1.0,
}


@pytest.mark.parametrize("name", AT_ZERO)
def test_gradients_at_zero(name, backend):
    """The two libraries choose the same subgradient where there are several."""
    found = gradient(getattr(ops, name), np.zeros(2, np.float32), backend)
    np.testing.assert_allclose(found, AT_ZERO[name], rtol=1e-6)


def test_gradients_at_the_ends_of_a_clip(backend):
    """They are whole, as inside: a fresh spline has its knots on round numbers, where data are."""
    found = gradient(lambda x: ops.clip(x, -1.0, 2.0), np.array([-2.0, -1.0, 0.0, 2.0, 3.0], np.float32), backend)
    np.testing.assert_array_equal(found, [0, 1, 1, 1, 0])


def test_known_equal(backend):
    """An answer of the host, and no while it is not known."""
    x = TENSOR[backend](X)
    assert ops.known_equal(x, x)
    assert not ops.known_equal(x, x * 2)
    seen = []
    jax.jit(lambda x: seen.append(ops.known_equal(x, x)) or x)(X)
    assert seen == [False]


def test_finfo(backend):
    assert ops.finfo(TENSOR[backend](X)).eps == np.finfo(np.float32).eps


@pytest.mark.parametrize("name", ["logsumexp", "logmeanexp", "softmax", "log_softmax"])
def test_gradients_with_minus_infinity(name, backend):
    """A weight of zero gets no gradient, and spoils no other."""
    x = np.array([[-np.inf], [0.0], [1.0]], np.float32)
    found = gradient(lambda x: getattr(ops, name)(x, 0)[-1], x, backend)
    assert np.isfinite(found).all(), found
    assert found[0] == 0


def test_logsumexp_of_nothing_but_minus_infinity(backend):
    x = TENSOR[backend](np.full(3, -np.inf, np.float32))
    assert float(ops.logsumexp(x)) == -np.inf
    assert float(ops.logmeanexp(x)) == -np.inf


def test_stop_gradient_stops_it(backend):
    x = np.array([1.0, 2.0], np.float32)
    np.testing.assert_array_equal(gradient(ops.stop_gradient, x, backend), 0)
    np.testing.assert_array_equal(gradient(lambda x: x * ops.stop_gradient(x), x, backend), x)


def test_where_hides_the_gradient_of_the_other_branch(backend):
    x = np.array([-1.0, 4.0], np.float32)
    safe = gradient(lambda x: ops.where(x > 0, ops.sqrt(ops.where(x > 0, x, 1.0)), 0.0), x, backend)
    np.testing.assert_allclose(safe, [0, 0.25])


def test_broadcast_gives_its_gradient_back(backend):
    found = gradient(lambda x: ops.broadcast_to(x, (5, 2)), np.ones(2, np.float32), backend)
    np.testing.assert_array_equal(found, 5)


def test_a_backend_is_active_inside_its_block_only():
    numpyro, pyro = ppgen.backends.get("numpyro"), ppgen.backends.get("pyro")
    with ppgen.using("numpyro"):
        assert ops.active() is numpyro
        with ppgen.using("pyro"):
            assert ops.active() is pyro
        assert ops.active() is numpyro
    assert ops.active() is None
    with pytest.raises(RuntimeError), ppgen.using("pyro"):
        raise RuntimeError
    assert ops.active() is None


def test_documented():
    assert all(getattr(ops, name).__doc__ for name in TABLE.keys() | CREATE | CONTEXT)


def test_linear_under_vmap_and_gradients():
    """`vmap` folds its axis into the rows; gradients, second ones too, are those of a plain product."""
    rng = np.random.default_rng(0)
    x, w, b = (jnp.asarray(rng.normal(size=size), jnp.float32) for size in ((5, 4, 3), (3, 2), (2,)))

    def plain(x, w, b):
        return jnp.sin(x @ w + b).sum()

    def over(axis):
        return lambda x, w, b: jax.vmap(lambda row: jnp.sin(ops.linear(row, w, b)), in_axes=axis)(x).sum()

    wanted = jax.grad(plain, (0, 1, 2))(x, w, b)
    for fn in (lambda x, w, b: jnp.sin(ops.linear(x, w, b)).sum(), over(0), over(1), jax.jit(over(0))):
        for got, want in zip(jax.grad(fn, (0, 1, 2))(x, w, b), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    second = [jax.hessian(lambda w, fn=fn: fn(x, w, b))(w) for fn in (over(0), plain)]
    np.testing.assert_allclose(*second, rtol=1e-4, atol=1e-4)
    many = jnp.stack([w, 2 * w])
    np.testing.assert_allclose(jax.vmap(lambda w: ops.linear(x, w, b))(many)[1], x @ (2 * w) + b, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ops.linear(x[0, 0], w, b), x[0, 0] @ w + b, rtol=1e-5)


def test_scan_and_while_loop(backend):
    x = TENSOR[backend](X)
    last, sums = ops.scan(lambda carry, row: (carry + row, {"sum": carry + row}), x[0] * 0, x)
    np.testing.assert_allclose(np.asarray(sums["sum"]), np.cumsum(X, 0), rtol=1e-6)
    _, back = ops.scan(lambda carry, row: (carry + row, carry + row), x[0] * 0, x, reverse=True)
    np.testing.assert_allclose(np.asarray(back), np.cumsum(X[::-1], 0)[::-1], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(last), X.sum(0), rtol=1e-6)
    found = ops.while_loop(lambda carry: (carry < 10).all(), lambda carry: carry * 2, TENSOR[backend](POSITIVE / 40))
    assert isinstance(found, LIBRARY[backend])
    assert (np.asarray(found) >= 10).any()
    assert (np.asarray(found) / 2 < 10).all()


def test_entries_of_a_table_along_a_count(backend):
    table, x = np.array([2.0, 0.5, -1.0]), TENSOR[backend](X)
    count, rows = ops.scan(lambda i, row: (i + 1, row * ops.entry(table, i)), 0, x)
    assert int(count) == 3
    np.testing.assert_allclose(np.asarray(rows), X * table[:, None].astype(np.float32))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 8])
def test_associative_scan(length, reverse, backend):
    """Products of matrices, whose order matters."""
    matrices = np.random.default_rng(0).normal(size=(length, 2, 3, 3)).astype(np.float32)
    wanted = [matrices[-1 if reverse else 0]]
    for matrix in matrices[-2::-1] if reverse else matrices[1:]:
        wanted.append(matrix @ wanted[-1] if reverse else wanted[-1] @ matrix)
    found = ops.associative_scan(lambda a, b: a @ b, TENSOR[backend](matrices), reverse)
    assert isinstance(found, LIBRARY[backend])
    np.testing.assert_allclose(np.asarray(found), wanted[::-1] if reverse else wanted, rtol=1e-4, atol=1e-4)


def lower(w):
    """Entries of x = tanh(x w) + b depend on earlier ones only, through the upper triangle of w."""
    return w * ops.as_type_of(np.triu(np.ones((5, 5)), 1), w)


def test_mask(backend):
    """Of each number type, also where the first use was in inference mode, and of a copy from a file."""
    mask = pickle.loads(pickle.dumps(ops.Mask(Y > 0)))
    for kind in (np.float32, np.float16):
        with torch.inference_mode():
            mask(TENSOR[backend](X.astype(kind)))
        weight = TENSOR[backend](X.astype(kind))
        if backend == "pyro":
            weight.requires_grad_()
            (gradient,) = torch.autograd.grad(ops.sum(mask(weight) ** 2), weight)
        else:
            gradient = jax.grad(lambda w: ops.sum(mask(w) ** 2))(weight)
        assert mask(weight).dtype == weight.dtype
        np.testing.assert_array_equal(np.asarray(gradient), np.where(Y > 0, 2 * X.astype(kind), 0))


def test_settle(backend):
    """It ends at the fixed point: by tolerance, by the number of turns, and through turns that overflow."""
    w, b = (TENSOR[backend](RNG.normal(size=shape).astype(np.float32)) for shape in ((5, 5), (3, 5)))
    x = ops.settle(lambda x: ops.tanh(x @ lower(w)) + b, b * 0, 5)
    np.testing.assert_allclose(np.asarray(x), np.asarray(ops.tanh(x @ lower(w)) + b), atol=1e-6)
    one = ops.settle(lambda x: ops.tanh(x @ lower(w)) + b, b * 0, 1)
    np.testing.assert_allclose(np.asarray(one), np.asarray(b), atol=1e-6)
    steep = ops.settle(lambda x: x**3 @ lower(w * 0 + 1) + b, b * 0 + 1e20, 5)
    assert np.isfinite(np.asarray(steep)).all()
    nowhere = ops.settle(lambda x: x * 0 + ops.log(b * 0 - 1), b * 0, 5)
    assert np.isnan(np.asarray(nowhere)).all()  # a solution that is not finite is not taken for 0


def test_settle_exactly(backend):
    """It stops at the first turn that changes nothing, not at one that changes little."""
    seen = []

    chain = TENSOR[backend](np.float32([[0, 1e-9, 0], [0, 0, 1], [0, 0, 0]]))
    b = TENSOR[backend](np.float32([[1, 0, 0], [1, 1, 1]]))  # small numbers in a row and in columns of large ones

    def turns(exact):
        seen.clear()
        with jax.disable_jit():
            return ops.settle(lambda x: (seen.append(x), x @ chain + b)[1], b * 0, 9, exact)

    np.testing.assert_array_equal(np.asarray(turns(True)), np.float32([[1, 1e-9, 1e-9], [1, 1, 2]]))
    assert len(seen) == 4
    turns(False)
    assert len(seen) == 3


def test_settle_knows_columns_of_other_sizes(backend):
    """A chain of small numbers beside one that is large: none of them stops early."""
    chain = np.diag(np.full(5, 0.8, np.float32), 1)
    chain[0, 1] = 0
    b = np.array([1e7, 0, 1, 1, 1, 1], np.float32)
    for rows in (b, np.stack([b, b / 2])):
        w, shift = TENSOR[backend](chain), TENSOR[backend](rows)
        x = np.asarray(ops.settle(lambda x, w=w, shift=shift: x @ w + shift, shift * 0, 6))
        np.testing.assert_allclose(x, rows @ np.linalg.inv(np.eye(6) - chain), rtol=1e-6)
    empty = TENSOR[backend](np.zeros((0, 6), np.float32))
    assert ops.settle(lambda x: x @ w, empty, 6).shape == (0, 6)


def test_the_gradient_of_a_triangular_solution(backend):
    """It is that of the loop that finds the solution, for the parameters of the equation and through other uses."""
    w, b, ct = (RNG.normal(size=shape).astype(np.float32) for shape in ((5, 5), (3, 5), (3, 5)))

    def by_loop(w, b):
        x = b * 0
        for _ in range(5):
            x = ops.tanh(x @ lower(w)) + b
        return ops.sum(x**2 * ops.as_type_of(ct, x)) + ops.sum(w * x[0])

    def by_equation(w, b):
        def g(x):
            return ops.tanh(x @ lower(w)) + b

        x = ops.triangular_solution(g, lambda: ops.settle(g, b * 0, 5), b * 0, 5)
        return ops.sum(x**2 * ops.as_type_of(ct, x)) + ops.sum(w * x[0])

    if backend == "numpyro":
        found, expected = (jax.jit(jax.grad(f, (0, 1)))(w, b) for f in (by_equation, by_loop))
        several = jax.vmap(jax.grad(by_equation), (0, None))(np.stack([w, 2 * w]), b)
        np.testing.assert_allclose(several[0], expected[0], rtol=1e-4, atol=1e-4)
        tangents = (np.ones_like(w), np.ones_like(b))
        forward = [jax.jvp(f, (w, b), tangents)[1] for f in (by_equation, by_loop)]
        np.testing.assert_allclose(*forward, rtol=1e-4)
        twice = [jax.grad(lambda b, f=f: jax.grad(f)(w, b).sum())(b) for f in (by_equation, by_loop)]
        np.testing.assert_allclose(*twice, rtol=1e-3, atol=1e-3)
    else:
        inputs = torch.tensor(w, requires_grad=True), torch.tensor(b, requires_grad=True)
        found, expected = (torch.autograd.grad(f(*inputs), inputs) for f in (by_equation, by_loop))
        with pytest.raises(NotImplementedError, match="first derivative"):
            torch.autograd.grad(by_equation(*inputs), inputs, create_graph=True)
        with torch.no_grad():
            assert not by_equation(*inputs).requires_grad
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-4)


def test_recompute_gives_the_same_gradient(backend):
    def fn(x):
        return ops.sum(ops.tanh(ops.sin(x)) ** 2)

    if backend == "numpyro":
        found, expected = jax.grad(ops.recompute(fn))(jnp.asarray(X)), jax.grad(fn)(jnp.asarray(X))
    else:
        x = torch.tensor(X, requires_grad=True)
        (found,), (expected,) = torch.autograd.grad(ops.recompute(fn)(x), x), torch.autograd.grad(fn(x), x)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-6)


def test_as_float_keeps_floats(backend):
    with ppgen.using(backend):
        assert "float32" in str(ops.as_float(np.array([1, 2])).dtype)
        assert "float16" in str(ops.as_float(np.array([1, 2], np.float16)).dtype)
        assert "float16" in str(ops.as_float(np.array([1, 2]), TENSOR[backend](np.ones(1, np.float16))).dtype)
        assert "float16" in str(ops.as_type_of([1.0, 2.0], TENSOR[backend](np.ones(1, np.float16))).dtype)
