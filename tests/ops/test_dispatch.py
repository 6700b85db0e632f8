"""Which library a function acts on, and that both libraries keep the signatures that `ppgen.ops` writes."""

import importlib
import inspect
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import ppgen
from ppgen import ops

X = np.array([0.0, 1.0, -2.0], np.float32)
NUMBERS = [
    name
    for name, function in vars(importlib.import_module("ppgen.ops.elementwise")).items()
    if hasattr(function, "__wrapped__") and len(inspect.signature(function).parameters) == 1
]
THEMES = [
    module.name for module in pkgutil.iter_modules(ops.__path__) if not module.ispkg and module.name != "dispatch"
]


def dispatched(theme):
    """The functions of a file that are written in two libraries."""
    module = importlib.import_module(f"ppgen.ops.{theme}")
    return {
        name: function
        for name, function in vars(module).items()
        if inspect.isfunction(function) and hasattr(function, "__wrapped__") and function.__module__ == module.__name__
    }


@pytest.mark.parametrize("library_name", ["jax", "torch"])
@pytest.mark.parametrize("theme", THEMES)
def test_both_libraries_keep_the_signatures(theme, library_name):
    """Names, order and defaults of the arguments; a library's own function may take more."""
    if not dispatched(theme):
        return
    module = importlib.import_module(f"ppgen.ops.{library_name}.{theme}")
    for name, function in dispatched(theme).items():
        written = inspect.signature(function).parameters.values()
        if any(parameter.kind is parameter.POSITIONAL_ONLY for parameter in written):
            continue
        given = list(inspect.signature(getattr(module, name)).parameters.values())
        assert [(p.name, p.default) for p in written] == [(p.name, p.default) for p in given[: len(written)]], name
        assert all(parameter.default is not parameter.empty for parameter in given[len(written) :]), name


def test_help_shows_the_signature():
    assert str(inspect.signature(ops.scan)) == str(inspect.signature(ops.scan.__wrapped__))
    assert ops.logsumexp.__doc__ == "Log sum e^x over `axis`, without overflow."
    assert ops.logsumexp.__module__ == "ppgen.ops.axes"


CALLS = {
    "first": lambda a, b: ops.exp(a),
    "second": lambda a, b: ops.maximum(0.5, a),
    "by name": lambda a, b: ops.sum(x=a),
    "in a list": lambda a, b: ops.stack([a, a]),
    "in a tuple": lambda a, b: ops.concatenate((a, a), 0),
    "among others": lambda a, b: ops.einsum("i,i->i", a, a),
    "in a tree": lambda a, b: ops.scan(lambda carry, x: (carry + x["x"], x["x"]), 0.0, {"x": a})[1],
    "like": lambda a, b: ops.zeros((2,), like=a),
    "as type of": lambda a, b: ops.as_type_of(b, a),
    "after a number": lambda a, b: ops.where(True, 0.0, a),
    "of a transformation": lambda a, b: ops.vmap(lambda n, x: n * x, (None, 0))(2.0, a),
    "of a gradient": lambda a, b: ops.grad(lambda tree: ops.sum(tree["x"] ** 2))({"y": {}, "x": a})["x"],
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_arrays_decide_the_library(call, backend, tensor, library):
    """Against NumPy's, which have none, and the active backend; twice, for what was looked up the first time."""
    for active in ("numpyro", "pyro"):
        with ppgen.using(active):
            assert isinstance(call(tensor(X), X), library)
    assert isinstance(call(tensor(X), X), library)


def test_numbers_go_to_the_active_library(backend, tensor, library):
    """`ops.exp(0.5)` inside a program."""
    assert len(NUMBERS) > 20
    for name in NUMBERS[:: 9 if backend == "numpyro" else 1]:  # JAX takes numbers anyway
        with ppgen.using(backend):
            found = getattr(ops, name)(0.5)
        assert isinstance(found, library), name
        assert float(found) == float(getattr(ops, name)(tensor(np.float32(0.5)))), name
    with ppgen.using(backend):
        assert isinstance(ops.maximum(0.5, 0.25), library)
        assert float(ops.stop_gradient(0.5)) == 0.5  # JAX leaves a number a number


CREATED = {
    "zeros": (((2, 3),), np.zeros((2, 3)), "float32"),
    "ones": (([2, 3],), np.ones((2, 3)), "float32"),
    "eye": ((3,), np.eye(3), "float32"),
    "arange": ((4,), np.arange(4), "int"),
}


@pytest.mark.parametrize("name", CREATED)
def test_arrays_are_created_in_the_active_library(name, backend, library):
    arguments, expected, dtype = CREATED[name]
    with ppgen.using(backend):
        found = getattr(ops, name)(*arguments)
    assert isinstance(found, library)
    assert str(found.dtype).removeprefix("torch.").startswith(dtype)
    np.testing.assert_array_equal(np.asarray(found), expected)
    assert ops.active() is None
    assert isinstance(getattr(ops, name)(*arguments), jax.Array)


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool", "float16"])
def test_asarray_by_name_of_the_type(dtype, backend, library):
    for value in (1.0, [0.0, 1.0], np.array([0, 1]), np.array([0.0, 1.0])):
        with ppgen.using(backend):
            found = ops.asarray(value, dtype)
        assert isinstance(found, library)
        assert str(found.dtype).removeprefix("torch.") == dtype
        np.testing.assert_array_equal(np.asarray(found), np.asarray(value, dtype))


def test_asarray_keeps_an_array_as_it_is(backend, tensor):
    x = tensor(X)
    assert ops.asarray(x) is x


def test_numbers_are_single_precision(backend):
    with ppgen.using(backend):
        for value in (0.5, [0.5, 1.5], np.array([0.5, 1.5], np.float32)):
            assert "float32" in str(ops.asarray(value).dtype)


def test_floats_keep_their_type(backend, tensor):
    half = tensor(np.ones(1, np.float16))
    with ppgen.using(backend):
        assert "float32" in str(ops.as_float(np.array([1, 2])).dtype)
        assert "float16" in str(ops.as_float(np.array([1, 2], np.float16)).dtype)
        assert "float16" in str(ops.as_float(np.array([1, 2]), half).dtype)
        assert "float16" in str(ops.as_type_of([1.0, 2.0], half).dtype)
        assert "float16" in str(ops.zeros((3,), half).dtype)
    assert ops.finfo(half).eps == np.finfo(np.float16).eps


def test_known_equal(backend, tensor):
    """An answer of the host, and no while it is not known."""
    x = tensor(X)
    assert ops.known_equal(x, x)
    assert not ops.known_equal(x, x * 2)
    seen = []
    jax.jit(lambda y: seen.extend([ops.known_equal(y, X), ops.known_equal(jnp.asarray(X), y)]) or y)(X)
    assert seen == [False, False]


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ops.conv(x, np.ones((1, 3, 2), np.float32)), r"expected kernels with odd sides; got sides \(2,\)"),
        (
            lambda x: ops.conv(x[None], np.ones((1, 1, 3, 3), np.float32), padding="causal"),
            "for sequences.*got 'causal'",
        ),
        (lambda x: ops.conv(x, np.ones((1, 3, 3), np.float32), padding=((1, 1), (1, 1))), "or 1 pairs"),
        (lambda x: ops.attention(x, x[:2], x[:2], causal=True), "expected as many keys as queries.*got 2 and 3"),
        (
            lambda x: ops.grad(lambda x: x * 2)(x),
            r"expected a function with a scalar result.*got a result of shape \(3, 5\)",
        ),
    ],
)
def test_wrong_arguments(call, message, backend, tensor):
    with pytest.raises(ValueError, match=message):
        call(tensor(np.ones((3, 5), np.float32)))


def test_positions_that_are_not_there(backend, tensor):
    """JAX cannot raise, and gives no number; a negative one is not the last."""
    for index in (3, -1):
        index = tensor(np.array([0, index]))
        if backend == "numpyro":
            assert np.isnan(jax.jit(lambda i: ops.take(jnp.asarray(X), i))(index)[1])
        else:
            with pytest.raises(IndexError):
                ops.take(tensor(X), index)


def test_types_are_told_apart_once():
    """A tensor's subclass, a tracer, a key and a tree of them all have a library; Python's numbers have none."""
    from ppgen.ops.dispatch import _library_of

    assert _library_of(torch.nn.Parameter(torch.zeros(1))) == "torch"
    assert _library_of(jax.random.key(0)) == "jax"
    assert _library_of([0.5, None, {"a": (torch.zeros(1),)}]) == "torch"
    assert _library_of(({}, "name", X, 3)) is None
    seen = []
    jax.jit(jax.grad(lambda x: (seen.append(_library_of(x)), x)[1]))(1.0)
    assert seen == ["jax"]
