"""The rational-quadratic spline: its shape, its ends, and gradients that are never NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from ppgen.distributions import Flow, StandardNormal, flows
from ppgen.distributions.flows import RationalQuadraticSpline

SPLINE = RationalQuadraticSpline(bins=5, bound=2.0)
ENDS = np.array(
    [-np.inf, -1e30, -2.5, -2.0, np.nextafter(np.float32(-2), 0), -0.3, 0.0, 1.0, 2.0, 2.5, 1e30], np.float32
)


def array(x, backend):
    return jnp.asarray(x) if backend == "numpyro" else torch.from_numpy(np.array(x))


def theta(rows, size=1.0, seed=0, spline=SPLINE):
    return (size * np.random.default_rng(seed).normal(size=(rows, spline.outputs))).astype(np.float32)


def gradients(way, theta, x, backend):
    """Gradients of value plus log-slope, to theta and to x."""
    if backend == "numpyro":
        return jax.grad(lambda t, x: sum(part.sum() for part in way(t, x)), (0, 1))(jnp.asarray(theta), jnp.asarray(x))
    t, x = torch.tensor(theta, requires_grad=True), torch.tensor(x, requires_grad=True)
    return torch.autograd.grad(sum(part.sum() for part in way(t, x)), (t, x))


def test_it_starts_as_the_identity(backend):
    x = array(np.linspace(-3, 3, 101, dtype=np.float32), backend)
    for way in (SPLINE.forward, SPLINE.inverse):
        y, log_slope = way(array(np.zeros(SPLINE.outputs, np.float32), backend), x)
        np.testing.assert_allclose(y, x, atol=1e-6)
        np.testing.assert_allclose(log_slope, 0 * np.asarray(x), atol=1e-5)


def test_it_rises_and_ends_where_it_began(backend):
    """Increasing, continuous with its slope at the bounds, and the identity beyond."""
    x = np.linspace(-3, 3, 2001, dtype=np.float32)
    y, log_slope = (np.asarray(v) for v in SPLINE.inverse(array(theta(1), backend), array(x, backend)))
    assert (np.diff(y) > 0).all()
    outside = np.abs(x) >= 2
    np.testing.assert_array_equal(y[outside], x[outside])
    np.testing.assert_array_equal(log_slope[outside], 0)
    assert np.abs(y - x)[~outside].max() > 0.1
    near = np.array([-2 + 1e-4, 2 - 1e-4], np.float32)
    value, slope = SPLINE.inverse(array(theta(1), backend), array(near, backend))
    np.testing.assert_allclose(value, near, atol=2e-4)
    np.testing.assert_allclose(slope, 0, atol=0.02)
    middle = 0.5 * (log_slope[1:] + log_slope[:-1])
    np.testing.assert_allclose(np.diff(y) / np.diff(x), np.exp(middle), rtol=0.02)


def test_it_goes_through_its_knots():
    """By hand: two bins of widths 1 and 3, heights 3 and 1, slope 1 at the knot."""
    spline = RationalQuadraticSpline(bins=2, bound=2.0)
    share = (np.array([1.0, 3.0]) / 4 - 1e-3) / (1 - 2e-3)
    t = jnp.asarray([*np.log(share), *np.log(share[::-1]), 0.0], jnp.float32)
    y, log_slope = spline.inverse(t, jnp.asarray([-1.0, -1.5]))
    # in the first bin s = 3 and both slopes are 1; half way xi (1 - xi) = 1/4 and below = 3 - 4/4 = 2
    np.testing.assert_allclose(y, [1.0, -2 + 3 * (3 / 4 + 1 / 4) / 2], rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_slope), [1.0, 9 * (1 / 4 + 6 / 4 + 1 / 4) / 4], rtol=1e-5)


@pytest.mark.parametrize("size", [0.3, 1.0, 3.0, 30.0])
def test_there_and_back(size, backend):
    """Also where bins have their smallest sizes and slopes."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-2.2, 2.2, 1000).astype(np.float32)
    t = array(theta(1000, size), backend)
    y, log_slope = SPLINE.inverse(t, array(x, backend))
    back, log_slope_back = SPLINE.forward(t, y)
    again, _ = SPLINE.inverse(t, back)
    # where the spline is flat many x have one y in single precision: there the y must agree
    assert (np.minimum(np.abs(np.asarray(back) - x), np.abs(np.asarray(again) - np.asarray(y))) < 1e-4).all()
    if size <= 1:
        np.testing.assert_allclose(back, x, atol=1e-4)
        np.testing.assert_allclose(log_slope_back, -np.asarray(log_slope), atol=1e-3)
    assert np.isfinite(np.asarray(log_slope_back)).all()


@pytest.mark.parametrize("size", [0.0, 1.0, 30.0, 300.0])
@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_gradients_are_finite_everywhere(way, size, backend):
    """Below, at, within and beyond the bounds, at knots, and at logits that saturate."""
    knots = np.linspace(-2, 2, 6, dtype=np.float32)
    x = np.concatenate([ENDS[1:], knots, np.nextafter(knots, np.float32(9)), np.nextafter(knots, np.float32(-9))])
    to_theta, to_x = gradients(getattr(SPLINE, way), theta(len(x), size), x, backend)
    assert np.isfinite(np.asarray(to_theta)).all()
    assert np.isfinite(np.asarray(to_x)).all()
    outside = np.abs(x) >= 2
    np.testing.assert_array_equal(np.asarray(to_theta)[outside], 0)
    np.testing.assert_array_equal(np.asarray(to_x)[outside], 1)


def test_infinite_values_pass(backend):
    for way in (SPLINE.forward, SPLINE.inverse):
        y, log_slope = way(array(theta(len(ENDS)), backend), array(ENDS, backend))
        assert np.asarray(y)[0] == -np.inf
        assert np.isfinite(np.asarray(log_slope)).all()


def test_gradients_are_those_of_differences():
    """In double precision, both ways, to theta and to x."""
    t = torch.tensor(theta(7).astype(np.float64), requires_grad=True)
    x = torch.linspace(-1.9, 1.8, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(SPLINE.forward, (t, x))
    assert torch.autograd.gradcheck(SPLINE.inverse, (t, x))


def test_the_tails_are_those_of_the_base(backend):
    """What lies beyond the bound keeps the density of the base: a spline moves no mass there."""
    flow = Flow(StandardNormal(2), (flows.Coupling(2, SPLINE, hidden=(8,)),))
    rng = np.random.default_rng(0)
    params = {
        path: array(rng.normal(size=spec.shape).astype(np.float32), backend) for path, spec in flow.specs().items()
    }
    x = array(np.array([[0.3, 2.5], [0.3, -7.0]], np.float32), backend)
    np.testing.assert_allclose(flow.log_prob(params, x), StandardNormal(2).log_prob({}, x), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bins": 1}, "expected 2 to 500 bins; got 1"),
        ({"bins": 2.0}, "expected 2 to 500 bins; got 2.0"),
        ({"bins": 600}, "expected 2 to 500 bins; got 600"),
        ({"bound": 0.0}, "expected a positive bound; got 0.0"),
    ],
)
def test_wrong_splines(arguments, message):
    with pytest.raises(ValueError, match=message):
        RationalQuadraticSpline(**arguments)
