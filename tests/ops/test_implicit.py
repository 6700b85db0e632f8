"""Fixed points, and the gradient of equations that have one; masks, which make them triangular."""

import pickle

import jax
import numpy as np
import pytest
import torch

from ppgen import ops

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 3, 4)).astype(np.float32)


def lower(w):
    """Entries of x = tanh(x w) + b depend on earlier ones only, through the upper triangle of w."""
    return w * ops.as_type_of(np.triu(np.ones((5, 5)), 1), w)


def test_mask(backend, tensor):
    """Of each number type, also where the first use was in inference mode, and of a copy from a file."""
    mask = pickle.loads(pickle.dumps(ops.Mask(Y > 0)))
    for kind in (np.float32, np.float16):
        with torch.inference_mode():
            mask(tensor(X.astype(kind)))
        weight = tensor(X.astype(kind))
        if backend == "pyro":
            weight.requires_grad_()
            (gradient,) = torch.autograd.grad(ops.sum(mask(weight) ** 2), weight)
        else:
            gradient = jax.grad(lambda w: ops.sum(mask(w) ** 2))(weight)
        assert mask(weight).dtype == weight.dtype
        np.testing.assert_array_equal(np.asarray(gradient), np.where(Y > 0, 2 * X.astype(kind), 0))


def test_settle(backend, tensor):
    """It ends at the fixed point: by tolerance, by the number of turns, and through turns that overflow."""
    w, b = (tensor(RNG.normal(size=shape).astype(np.float32)) for shape in ((5, 5), (3, 5)))
    x = ops.settle(lambda x: ops.tanh(x @ lower(w)) + b, b * 0, 5)
    np.testing.assert_allclose(np.asarray(x), np.asarray(ops.tanh(x @ lower(w)) + b), atol=1e-6)
    one = ops.settle(lambda x: ops.tanh(x @ lower(w)) + b, b * 0, 1)
    np.testing.assert_allclose(np.asarray(one), np.asarray(b), atol=1e-6)
    steep = ops.settle(lambda x: x**3 @ lower(w * 0 + 1) + b, b * 0 + 1e20, 5)
    assert np.isfinite(np.asarray(steep)).all()
    nowhere = ops.settle(lambda x: x * 0 + ops.log(b * 0 - 1), b * 0, 5)
    assert np.isnan(np.asarray(nowhere)).all()  # a solution that is not finite is not taken for 0


def test_settle_exactly(backend, tensor):
    """It stops at the first turn that changes nothing, not at one that changes little."""
    seen = []

    chain = tensor(np.float32([[0, 1e-9, 0], [0, 0, 1], [0, 0, 0]]))
    b = tensor(np.float32([[1, 0, 0], [1, 1, 1]]))  # small numbers in a row and in columns of large ones

    def turns(exact):
        seen.clear()
        with jax.disable_jit():
            return ops.settle(lambda x: (seen.append(x), x @ chain + b)[1], b * 0, 9, exact)

    np.testing.assert_array_equal(np.asarray(turns(True)), np.float32([[1, 1e-9, 1e-9], [1, 1, 2]]))
    assert len(seen) == 4
    turns(False)
    assert len(seen) == 3


def test_settle_knows_columns_of_other_sizes(backend, tensor):
    """A chain of small numbers beside one that is large: none of them stops early."""
    chain = np.diag(np.full(5, 0.8, np.float32), 1)
    chain[0, 1] = 0
    b = np.array([1e7, 0, 1, 1, 1, 1], np.float32)
    for rows in (b, np.stack([b, b / 2])):
        w, shift = tensor(chain), tensor(rows)
        x = np.asarray(ops.settle(lambda x, w=w, shift=shift: x @ w + shift, shift * 0, 6))
        np.testing.assert_allclose(x, rows @ np.linalg.inv(np.eye(6) - chain), rtol=1e-6)
    empty = tensor(np.zeros((0, 6), np.float32))
    assert ops.settle(lambda x: x @ w, empty, 6).shape == (0, 6)


def test_the_gradient_of_a_triangular_solution(backend, tensor):
    """It is that of the loop that finds the solution, for the parameters of the equation and through other uses."""
    w, b, ct = (RNG.normal(size=shape).astype(np.float32) for shape in ((5, 5), (3, 5), (3, 5)))

    def total(x, w):
        return ops.sum(x**2 * ops.as_type_of(ct, x)) + ops.sum(w * x[0])

    def by_loop(pair):
        w, b = pair
        x = b * 0
        for _ in range(5):
            x = ops.tanh(x @ lower(w)) + b
        return total(x, w)

    def by_equation(pair):
        w, b = pair

        def g(x):
            return ops.tanh(x @ lower(w)) + b

        return total(ops.triangular_solution(g, lambda: ops.settle(g, b * 0, 5), b * 0, 5), w)

    def derivatives(pair):
        """First ones, and those of a penalty on them."""
        slopes = [ops.grad(f) for f in (by_equation, by_loop)]
        penalties = [lambda pair, slope=slope: sum(ops.sum(part**2) for part in slope(pair)) for slope in slopes]
        return [(*slope(pair), *ops.grad(penalty)(pair)) for slope, penalty in zip(slopes, penalties, strict=True)]

    pair = tensor(w), tensor(b)
    found, expected = (jax.jit(derivatives) if backend == "numpyro" else derivatives)(pair)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-3, atol=1e-3)
    if backend == "numpyro":

        @jax.jit
        def more(w, b):
            ones = ((ops.ones_like(w), ops.ones_like(b)),)
            many = jax.vmap(lambda w: jax.grad(by_equation)((w, b))[0])(ops.stack([w, 2 * w]))
            return many[0], [jax.jvp(f, ((w, b),), ones)[1] for f in (by_equation, by_loop)]

        several, forward = more(w, b)
        np.testing.assert_allclose(several, expected[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(*forward, rtol=1e-4)
    else:
        leaves = tuple(x.requires_grad_() for x in pair)
        for one, other in zip(torch.autograd.grad(by_equation(leaves), leaves), expected[:2], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)  # that of the equation, not of a loop
        with pytest.raises(NotImplementedError, match="first derivative"):
            torch.autograd.grad(by_equation(leaves), leaves, create_graph=True)
        with torch.no_grad():
            assert not by_equation(leaves).requires_grad
