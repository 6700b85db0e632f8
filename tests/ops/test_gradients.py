"""Gradients: at edges, of gradients, of each row; and functions without memory."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

import ppgen
from ppgen import ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4)).astype(np.float32)
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
    "sign": 0.0,
    "exp": 1.0,
    "expm1": 1.0,
    "log1p": 1.0,
    "erf": 2 / np.sqrt(np.pi),
    "std": 0.0,
}


def test_gradients_at_zero(backend, tensor, compiled):
    """The two libraries choose the same subgradient where there are several."""

    def all_of_them(x):
        return [ops.grad(lambda x, name=name: ops.sum(getattr(ops, name)(x)))(x) for name in AT_ZERO]

    found = compiled(all_of_them)(tensor(np.zeros(2, np.float32)))
    for (name, expected), one in zip(AT_ZERO.items(), found, strict=True):
        np.testing.assert_allclose(np.asarray(one), expected, rtol=1e-6, err_msg=name)


def test_gradients_at_the_ends_of_a_clip(backend, tensor):
    """They are whole, as inside: a fresh spline has its knots on round numbers, where data are."""
    x = tensor(np.array([-2.0, -1.0, 0.0, 2.0, 3.0], np.float32))
    np.testing.assert_array_equal(np.asarray(ops.grad(lambda x: ops.sum(ops.clip(x, -1.0, 2.0)))(x)), [0, 1, 1, 1, 0])


def test_gradients_with_minus_infinity(backend, tensor, compiled):
    """A weight of zero gets no gradient, and spoils no other."""

    def all_of_them(x):
        functions = ops.logsumexp, ops.logmeanexp, ops.softmax, ops.log_softmax
        return [ops.grad(lambda x, f=f: ops.sum(f(x, 0)[-1]))(x) for f in functions]

    for found in compiled(all_of_them)(tensor(np.array([[-np.inf], [0.0], [1.0]], np.float32))):
        assert np.isfinite(np.asarray(found)).all(), found
        assert found[0] == 0


def test_gradients_of_logaddexp_at_infinity(backend, tensor, compiled):
    """Where both are zero probabilities too; and the second derivative where they are equal."""
    x = tensor(np.float32([-np.inf, -np.inf, 0.0, np.inf, 1.0, 0.0]))
    y = tensor(np.float32([-np.inf, 0.0, -np.inf, 0.0, 1.0, np.inf]))
    dx, dy = map(np.asarray, compiled(ops.grad(lambda both: ops.sum(ops.logaddexp(*both))))((x, y)))
    np.testing.assert_allclose(dx + dy, 1)
    np.testing.assert_allclose(dx[1:], [0, 1, 1, 0.5, 0])
    slope = ops.grad(lambda x: ops.logaddexp(x, 1.0))
    np.testing.assert_allclose(float(compiled(ops.grad(slope))(x[4])), 0.25)


def test_stop_gradient_stops_it(backend, tensor):
    x = np.array([1.0, 2.0], np.float32)
    np.testing.assert_array_equal(np.asarray(ops.grad(lambda x: ops.sum(ops.stop_gradient(x)))(tensor(x))), 0)
    np.testing.assert_array_equal(np.asarray(ops.grad(lambda x: ops.sum(x * ops.stop_gradient(x)))(tensor(x))), x)


def test_where_hides_the_gradient_of_the_other_branch(backend, tensor):
    def safe(x):
        return ops.sum(ops.where(x > 0, ops.sqrt(ops.where(x > 0, x, 1.0)), 0.0))

    np.testing.assert_allclose(np.asarray(ops.grad(safe)(tensor(np.array([-1.0, 4.0], np.float32)))), [0, 0.25])


def test_grad_of_a_tree(backend, tensor):
    """As far as the function depends on it: zeros elsewhere, further arguments held fixed, a number for a number."""
    tree = {"a": tensor(X), "b": [tensor(X[0]), tensor(X[1])], "c": None}
    found = ops.grad(lambda tree, y: ops.sum(tree["a"] ** 2) + ops.sum(tree["b"][0] * y))(tree, tensor(X[2]))
    np.testing.assert_allclose(np.asarray(found["a"]), 2 * X, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(found["b"][0]), X[2])
    np.testing.assert_array_equal(np.asarray(found["b"][1]), 0)
    assert found["c"] is None
    with ppgen.using(backend):
        assert float(ops.grad(lambda x: x**3)(2.0)) == 12
        np.testing.assert_array_equal(np.asarray(ops.grad(lambda x: 3.0)(tensor(X))), np.zeros_like(X))


def test_grad_holds_fixed_what_is_not_its_argument(backend, tensor):
    """The same x, once as the argument and once not."""
    x = tensor(X)
    if backend == "pyro":
        x.requires_grad_()
    found = ops.grad(lambda y: ops.sum(y * x))(x)
    np.testing.assert_array_equal(ops.stop_gradient(found), X)


def test_a_penalty_on_gradients(backend, tensor):
    """The gradient, for the weights, of the gradient for the inputs: an exact answer for |d/dx sum tanh(x w)|^2."""
    w = RNG.normal(size=4).astype(np.float32)

    def penalty(w):
        return ops.sum(ops.grad(lambda x: ops.sum(ops.tanh(x @ w)))(tensor(X)) ** 2)

    if backend == "pyro":
        leaf = tensor(w).requires_grad_()
        (found,) = torch.autograd.grad(penalty(leaf), leaf)
    else:
        found = jax.grad(penalty)(w)
    slope = 1 - np.tanh(X @ w) ** 2  # the penalty is sum slope^2 |w|^2
    expected = 2 * w * (slope**2).sum() + (w**2).sum() * (X.T @ (-4 * slope**2 * np.tanh(X @ w)))
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4, atol=1e-5)


def test_gradients_are_constants_where_nothing_else_wants_them():
    """Steps along gradients on torch keep no graph of all steps before; nor without gradients."""
    x = torch.ones(3)
    for _ in range(3):
        x = x - 0.1 * ops.grad(lambda x: ops.sum(x**2))(x)
    assert not x.requires_grad
    with torch.no_grad():
        assert torch.equal(ops.grad(lambda x: ops.sum(x**2))(x), 2 * x)


def test_gradients_of_each_row(backend, tensor, compiled):
    """`vmap` of `grad` gives what a loop gives, weights being shared; twice differentiated too."""
    w, y = tensor(RNG.normal(size=(4, 2)).astype(np.float32)), tensor(RNG.normal(size=3).astype(np.float32))

    def loss(w, row, y):
        return ops.sum(ops.softplus(row @ w) * y)

    slope = ops.grad(loss)
    penalty = ops.grad(lambda row: ops.sum(slope(w, row, 1.0) ** 2))

    def both(x):
        rows = [(slope(w, row, y[i]), penalty(row)) for i, row in enumerate(x)]
        at_once = ops.vmap(slope, (None, 0, 0))(w, x, y), ops.vmap(penalty)(x)
        return at_once, [ops.stack(parts) for parts in zip(*rows, strict=True)]

    for found, one_by_one in zip(*compiled(both)(tensor(X)), strict=True):
        np.testing.assert_allclose(np.asarray(found), np.asarray(one_by_one), rtol=1e-4, atol=1e-5)
    swapped = ops.vmap(lambda tree: {"sum": tree["x"] + tree["x"]}, 1)({"x": tensor(X)})
    np.testing.assert_array_equal(np.asarray(swapped["sum"]), 2 * X.T)


def test_recompute_gives_the_same_gradient(backend, tensor):
    def fn(x):
        return ops.sum(ops.tanh(ops.sin(x)) ** 2)

    found, expected = ops.grad(ops.recompute(fn))(tensor(X)), ops.grad(fn)(tensor(X))
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-6)


def test_linear_under_vmap_and_gradients():
    """JAX's `vmap` folds its axis into the rows; gradients, second ones too, are those of a plain product."""
    rng = np.random.default_rng(0)
    x, w, b = (jnp.asarray(rng.normal(size=size), jnp.float32) for size in ((5, 4, 3), (3, 2), (2,)))

    def plain(x, w, b):
        return jnp.sin(x @ w + b).sum()

    def over(axis):
        return lambda x, w, b: jax.vmap(lambda row: jnp.sin(ops.linear(row, w, b)), in_axes=axis)(x).sum()

    @jax.jit
    def derivatives(x, w, b):
        functions = plain, lambda x, w, b: jnp.sin(ops.linear(x, w, b)).sum(), over(0), over(1)
        return [jax.grad(fn, (0, 1, 2))(x, w, b) for fn in functions], [
            jax.hessian(lambda w, fn=fn: fn(x, w, b))(w) for fn in (over(0), plain)
        ]

    (wanted, *found), second = derivatives(x, w, b)
    for gradients in found:
        for got, want in zip(gradients, wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(*second, rtol=1e-4, atol=1e-4)
    many = jnp.stack([w, 2 * w])
    np.testing.assert_allclose(jax.vmap(lambda w: ops.linear(x, w, b))(many)[1], x @ (2 * w) + b, rtol=1e-5, atol=1e-5)
