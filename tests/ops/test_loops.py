"""Loops: they give what Python's give, go over keys, and know how deep they are."""

import jax
import numpy as np
import pytest

import ppgen
from ppgen import ops

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def test_scan(backend, tensor):
    x = tensor(X)
    last, sums = ops.scan(lambda carry, row: (carry + row, {"sum": carry + row}), x[0] * 0, x)
    np.testing.assert_allclose(np.asarray(sums["sum"]), np.cumsum(X, 0), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(last), X.sum(0), rtol=1e-6)
    _, back = ops.scan(lambda carry, row: (carry + row, carry + row), x[0] * 0, x, reverse=True)
    np.testing.assert_allclose(np.asarray(back), np.cumsum(X[::-1], 0)[::-1], rtol=1e-6)
    with ppgen.using(backend):
        _, numbers = ops.scan(lambda carry, i: (carry, 2.0), 0, ops.arange(3))
    np.testing.assert_array_equal(np.asarray(numbers), [2, 2, 2])


def test_scan_over_keys(backend, library):
    """Each turn has a key of its own, one of the backend's kind."""
    on = ppgen.backends.get(backend)
    keys = [on.fold_in(on.key(0), i) for i in range(3)]
    with ppgen.using(backend):
        many = jax.numpy.stack(keys) if backend == "numpyro" else np.array(keys, np.uint64)
        seen = []
        step = lambda i, key: (i + 1, (seen.append(on.fold_in(key, 7)), i * 2)[1])  # noqa: E731
        _, twice = ops.scan(step, 0, many)
    np.testing.assert_array_equal(np.asarray(twice), [0, 2, 4])
    if backend == "pyro":
        assert seen == [on.fold_in(key, 7) for key in keys]
        assert all(isinstance(key, int) for key in seen)
    else:
        draws = ops.scan(lambda carry, key: (carry, jax.random.normal(on.fold_in(key, 7))), 0, many)[1]
        expected = [jax.random.normal(on.fold_in(key, 7)) for key in keys]
        np.testing.assert_allclose(np.asarray(draws), np.asarray(expected), rtol=1e-6)


def test_a_loop_over_nothing_is_refused_by_torch(tensor):
    with ppgen.using("pyro"), pytest.raises(ValueError, match="expected xs of at least one slice"):
        ops.scan(lambda carry, x: (carry, x), 0, ops.zeros((0, 3)))


def test_while_loop(backend, tensor, library):
    found = ops.while_loop(lambda x: ops.all(x < 10), lambda x: x * 2, tensor(np.abs(X) + 0.1))
    assert isinstance(found, library)
    assert (np.asarray(found) >= 10).any()
    assert (np.asarray(found) / 2 < 10).all()


def test_cond(backend, tensor):
    """The branch that the predicate names, with its gradient; the other one is not to be seen in it."""

    def root(x):
        return ops.cond(ops.all(x > 0), lambda x: ops.sum(ops.sqrt(x)), lambda x: ops.sum(x) * 3, x)

    for x, slope in ((np.abs(X) + 1, 0.5 / np.sqrt(np.abs(X) + 1)), (X, np.full_like(X, 3))):
        run = jax.jit(ops.grad(root)) if backend == "numpyro" else ops.grad(root)
        np.testing.assert_allclose(np.asarray(run(tensor(x))), slope, rtol=1e-5)
        with ppgen.using(backend):
            assert float(ops.cond(True, lambda: ops.asarray(1.0), lambda: ops.asarray(2.0))) == 1


def test_entries_of_a_table_along_a_count(backend, tensor):
    """The count starts as a number, or comes as an array."""
    table, x = np.array([2.0, 0.5, -1.0]), tensor(X)
    expected = X * table[:, None].astype(np.float32)
    count, rows = ops.scan(lambda i, row: (i + 1, row * ops.entry(table, i)), 0, x)
    assert int(count) == 3
    np.testing.assert_allclose(np.asarray(rows), expected)
    _, rows = ops.scan(lambda c, i_row: (c, i_row[1] * ops.entry(table, i_row[0])), 0, (ops.arange(3, x), x))
    np.testing.assert_allclose(np.asarray(rows), expected)


@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(reverse, backend, tensor, library):
    """Products of matrices, whose order matters."""
    for length in (1, 2, 3, 7, 8):
        matrices = np.random.default_rng(0).normal(size=(length, 2, 3, 3)).astype(np.float32)
        wanted = [matrices[-1 if reverse else 0]]
        for matrix in matrices[-2::-1] if reverse else matrices[1:]:
            wanted.append(matrix @ wanted[-1] if reverse else wanted[-1] @ matrix)
        found = ops.associative_scan(lambda a, b: a @ b, tensor(matrices), reverse)
        assert isinstance(found, library)
        np.testing.assert_allclose(np.asarray(found), wanted[::-1] if reverse else wanted, rtol=1e-4, atol=1e-4)


def test_depth(backend, tensor):
    """Each kind of loop counts once, one in another twice, whatever the backend; branches and gradients do not."""
    seen = []

    def note(name, x):
        seen.append((name, ops.depth()))
        return x

    x = tensor(np.abs(X))
    ops.scan(lambda c, row: (note("scan", c), ops.scan(lambda d, y: (note("inner", d), y), c, row)[1]), x[0, 0], x)
    ops.while_loop(lambda x: note("condition", ops.any(x < 9)), lambda x: note("while", x * 2), x)
    ops.associative_scan(lambda a, b: note("associative", a + b), x)
    ops.vmap(lambda row: note("vmap", row))(x)
    ops.cond(ops.any(x < 9), lambda x: note("cond", x), lambda x: note("cond", x), x)
    ops.grad(lambda x: note("grad", ops.sum(x)))(x)
    ops.recompute(lambda x: note("recompute", x))(x)
    assert set(seen) == {
        ("scan", 1), ("inner", 2), ("condition", 1), ("while", 1), ("associative", 1), ("vmap", 1),
        ("cond", 0), ("grad", 0), ("recompute", 0),
    }  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        ops.while_loop(lambda x: 1 / 0, lambda x: x, x)
    assert ops.depth() == 0
