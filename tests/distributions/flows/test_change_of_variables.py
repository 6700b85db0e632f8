"""A change of variables keeps the mass: against closed forms and quadrature."""

import contextlib
import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import torch

import ppgen
from ppgen.distributions import IAF, MAF, NICE, NSF, Flow, RealNVP, StandardNormal, StandardUniform, flows

SMALL = {"transforms": 2, "hidden": (8, 8)}
READY = {
    "nice": lambda dim, context=0: NICE(dim, **SMALL, context=context),
    "realnvp": lambda dim, context=0: RealNVP(dim, **SMALL, context=context),
    "maf": lambda dim, context=0: MAF(dim, **SMALL, context=context),
    "iaf": lambda dim, context=0: IAF(dim, **SMALL, context=context),
    "nsf": lambda dim, context=0: NSF(dim, **SMALL, context=context, bins=4, bound=3.0),
    "nsf_autoregressive": lambda dim, context=0: NSF(
        dim, **SMALL, context=context, bins=4, bound=3.0, autoregressive=True
    ),
}


def plane(points, sizes):
    """A grid of the plane [n * n, 2] from points on a line, and the area of each of its cells."""
    grid = np.stack(np.meshgrid(points, points, indexing="ij"), -1).reshape(-1, 2)
    return grid, np.outer(sizes, sizes).reshape(-1)


STEPS = np.linspace(-3.6, 3.6, 361)
GRID, CELLS = plane(np.sinh(STEPS), np.cosh(STEPS) * (STEPS[1] - STEPS[0]))  # fine in the middle, and out to 18


def array(x, backend):
    x = np.asarray(x, np.float32)
    return jnp.asarray(x) if backend == "numpyro" else torch.from_numpy(np.array(x))


def moved(part, backend, size=0.05, seed=0):
    """Parameters away from the start, where a flow is the identity."""
    rng = np.random.default_rng(seed)
    start = {path: spec.draw(rng) for path, spec in part.specs().items()}
    return {path: array(x + size * rng.normal(size=x.shape), backend) for path, x in start.items()}


def mass(flow, backend, params=None, context=None):
    """The integral of the density of a flow in two dimensions."""
    params = moved(flow, backend) if params is None else params
    given = None if context is None else array(context, backend)
    log_prob = jax.jit(flow.log_prob) if backend == "numpyro" else flow.log_prob
    with contextlib.nullcontext() if backend == "numpyro" else torch.no_grad():
        return float(np.exp(np.asarray(log_prob(params, array(GRID, backend), given), np.float64)) @ CELLS)


# closed forms ---------------------------------------------------------------------------------------------------


def test_uniform_stretched(backend):
    """z uniform on (0, 1), x = 2 z + 1: density 1/2 on (1, 3) and nothing outside."""
    flow = Flow(StandardUniform(1), (flows.AffineConstant(loc=1.0, scale=2.0),))
    p = ppgen.backends.get(backend).density(flow, {})
    with np.errstate(divide="ignore"):
        expected = np.log([0.0, 0.5, 0.5, 0.5, 0.0])
    x = array([[0.99], [1.01], [2.0], [2.99], [3.01]], backend)
    np.testing.assert_allclose(np.asarray(p.log_prob(x)), expected, rtol=1e-6)
    assert (float(p.support.base_constraint.lower_bound), float(p.support.base_constraint.upper_bound)) == (1.0, 3.0)
    draws = np.asarray(p.sample(jax.random.key(0), (1000,)) if backend == "numpyro" else p.sample((1000,)))
    assert 1 <= draws.min() < 1.05
    assert 2.95 < draws.max() <= 3


CLOSED = {
    "exp": (flows.Exp(), scipy.stats.lognorm(1.0), [0.2, 1.0, 5.0]),
    "sigmoid": (flows.Sigmoid(), None, [0.1, 0.5, 0.9]),
    "tanh": (flows.Tanh(), None, [-0.9, 0.1, 0.7]),
    "softplus": (flows.Softplus(), None, [0.05, 0.7, 4.0]),
    "affine": (flows.AffineConstant(2.0, -3.0), scipy.stats.norm(2.0, 3.0), [-4.0, 0.0, 5.0]),
}


@pytest.mark.parametrize("name", CLOSED)
def test_maps_of_one_normal(name, backend):
    """Against SciPy; where it lacks the density, the mass between two points is that between their origins."""
    transform, twin, x = CLOSED[name]
    flow = Flow(StandardNormal(1), (transform,))
    density = np.exp(np.asarray(flow.log_prob({}, array(np.array(x)[:, None], backend))))
    if twin is not None:
        np.testing.assert_allclose(density, twin.pdf(x), rtol=1e-5)
    low, high = x[0], x[-1]
    line = np.linspace(low, high, 20001)
    between = np.trapezoid(np.exp(np.asarray(flow.log_prob({}, array(line[:, None], backend)), np.float64)), line)
    ends = np.asarray(transform.inverse({}, array([[low], [high]], backend))[0])[:, 0]
    assert between == pytest.approx(abs(np.diff(scipy.stats.norm.cdf(ends)))[0], abs=1e-5)


@pytest.mark.parametrize(
    ("transform", "outside"),
    [
        (flows.Exp(), [-1.0, 0.0]),
        (flows.Softplus(), [-1.0, 0.0]),
        (flows.Sigmoid(), [-0.5, 0.0, 1.0, 1.5]),
        (flows.Tanh(), [-1.5, -1.0, 1.0, 2.0]),
    ],
    ids=repr,
)
def test_outside_of_the_support(transform, outside, backend):
    """Minus infinity, and gradients that are not NaN, also where a linear map comes before."""
    flow = Flow(StandardNormal(1), (flows.LU(1), transform))
    params, x = moved(flow, backend), array(np.array(outside)[:, None], backend)
    assert (np.asarray(flow.log_prob(params, x)[0]) == -np.inf).all()
    one = array([[0.3]], backend)
    if backend == "numpyro":
        both = jnp.concatenate([one, x])
        grads = jax.grad(lambda p: jnp.where(jnp.arange(len(both)) == 0, flow.log_prob(p, both), 0).sum())(params)
        grads = list(grads.values())
    else:
        for value in params.values():
            value.requires_grad_()
        both = torch.cat([one, x])
        log_prob = flow.log_prob(params, both)
        grads = torch.autograd.grad(torch.where(torch.isfinite(log_prob), log_prob, 0.0).sum(), list(params.values()))
    assert all(np.isfinite(np.asarray(grad)).all() for grad in grads)


def test_area_of_a_mapped_square(backend):
    """The unit square under a linear map has the area |det|: counted on a grid of the plane."""
    transform = flows.Compose((flows.LU(2), flows.Permutation((1, 0)), flows.AffineConstant(0.5, (1.5, -0.8))))
    params = moved(transform, backend, size=0.5, seed=3)
    grid, cells = plane(np.linspace(-12, 12, 481), np.full(481, 0.05))
    origin, _ = transform.inverse(params, array(grid, backend))
    origin = np.asarray(origin)
    covered = ((origin > 0) & (origin < 1)).all(-1)
    _, log_det = transform.forward(params, array([[0.2, 0.7]], backend))
    fine = covered @ cells
    assert fine == pytest.approx(float(np.exp(np.asarray(log_det)[0])), abs=0.06)
    corners, _ = transform.forward(params, array([[0, 0], [1, 0], [0, 1]], backend))
    sides = np.asarray(corners, np.float64)[1:] - np.asarray(corners, np.float64)[0]
    assert abs(np.linalg.det(sides)) == pytest.approx(float(np.exp(np.asarray(log_det)[0])), rel=1e-5)


# quadrature -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", READY)
def test_mass_is_one(name, backend):
    flow = READY[name](2)
    assert mass(flow, backend) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("name", READY)
def test_mass_is_one_at_each_context(name, backend):
    flow = READY[name](2, context=3)
    for seed in range(2):
        context = np.random.default_rng(seed).normal(size=3)
        assert mass(flow, backend, context=context) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("name", ["maf", "iaf", "nsf_autoregressive"])
def test_mass_is_one_in_one_dimension(name, backend):
    flow = READY[name](1)
    line = np.linspace(-20, 20, 4001)
    log_prob = np.asarray(flow.apply(moved(flow, backend)).log_prob(array(line[:, None], backend)).tolist())
    assert np.trapezoid(np.exp(log_prob), line) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("part", [flows.LU, flows.ActNorm, flows.Coupling, flows.AutoregressiveTransform])
def test_a_dropped_log_determinant_is_caught(part, backend):
    """The quadrature above can fail: a transform that forgets how it stretches is far from mass one."""

    @dataclass(frozen=True)
    class Forgetful(part):
        def inverse(self, params, y, context=None):
            x, log_det = super().inverse(params, y, context)
            return x, log_det * 0

    whole, broken = (Flow(StandardNormal(2), (kind(2),)) for kind in (part, Forgetful))
    params = moved(whole, backend, size=0.15, seed=3)
    assert mass(whole, backend, params) == pytest.approx(1, abs=2e-3)
    assert abs(mass(broken, backend, params) - 1) > 0.05


@pytest.mark.parametrize("name", READY)
def test_draws_have_the_moments_of_the_density(name, backend):
    """Mean and covariance of draws against the same by quadrature, within five standard errors."""
    flow = READY[name](2)
    params = moved(flow, backend)
    p = flow.apply(params)
    with contextlib.nullcontext() if backend == "numpyro" else torch.no_grad():
        weight = np.exp(np.asarray(p.log_prob(array(GRID, backend)), np.float64)) * CELLS
        torch.manual_seed(0)
        n = 20_000
        x = np.asarray(p.sample(jax.random.key(0), (n,)) if backend == "numpyro" else p.sample((n,)), np.float64)
    moments = functools.partial(np.stack, axis=-1)
    of = lambda x: moments([x[:, 0], x[:, 1], x[:, 0] ** 2, x[:, 1] ** 2, x[:, 0] * x[:, 1]])  # noqa: E731
    expected, found = weight @ of(GRID), of(x)
    assert (np.abs(found.mean(0) - expected) < 5 * found.std(0) / np.sqrt(n) + 0.01).all()
