"""What flows check of their parts: mistakes that would give a wrong density in silence."""

from dataclasses import dataclass

import numpy as np
import pytest

import ppgen
from ppgen import ops
from ppgen.distributions import Empirical, Flow, RealNVP, StandardNormal, StandardUniform, flows
from ppgen.distributions.flows import Compose, Inverse, MultiScale, Squeeze, Transform


@dataclass(frozen=True)
class Forgetful(Transform):
    """Scales each number, and does not sum the log-determinant."""

    dim: int | None = None

    def forward(self, params, x, context=None):
        return 2 * x, x * 0 + np.log(2)

    def inverse(self, params, y, context=None):
        return y / 2, y * 0 - np.log(2)


@pytest.mark.parametrize("shape", [(5, 1), (5, 5), (2, 1, 1)])  # sizes that would broadcast
@pytest.mark.parametrize("named", [True, False])
def test_a_log_determinant_that_is_not_summed_is_caught(shape, named, backend):
    on, dim = ppgen.backends.get(backend), shape[-1]
    flow = Flow(StandardNormal(dim), (Forgetful(dim if named else None),))
    message = (
        r"(?s)a log-determinant for each event, of shape .*, beside values of shape .*; got shape .* from .*Forgetful"
    )
    with pytest.raises(ValueError, match=message), ppgen.using(backend):
        flow.log_prob({}, on.array(np.zeros(shape, np.float32)))


def test_a_log_determinant_for_all_events_may_be_one_number(backend):
    """0-dimensional, as of a constant scale; it counts for each row."""

    class Constant(Forgetful):
        def inverse(self, params, y, context=None):
            return y / 2, -2 * np.log(2)

    on = ppgen.backends.get(backend)
    x = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    with ppgen.using(backend):
        found = on.numpy(Flow(StandardNormal(2), (Constant(2),)).log_prob({}, on.array(x)))
    expected = -0.5 * (x / 2) ** 2 - 0.5 * np.log(2 * np.pi) - np.log(2)
    np.testing.assert_allclose(found, expected.sum(-1), rtol=1e-5)


@pytest.mark.parametrize("event_shape", [(), (1,), (4,), (2, 2)])
def test_elementwise_maps_of_any_rank(event_shape, backend):
    """Each number by itself, then summed over the axes of an event, and only those."""
    on = ppgen.backends.get(backend)
    rank = len(event_shape)
    flow = Flow(StandardNormal(*event_shape), (flows.Exp(rank), flows.AffineConstant(1.0, 2.0, rank)))
    x = np.random.default_rng(0).uniform(1.5, 4, (4, *event_shape)).astype(np.float32)
    with ppgen.using(backend):
        found = on.numpy(flow.log_prob({}, on.array(x)))
    z = np.log((x - 1) / 2)
    expected = -0.5 * z**2 - 0.5 * np.log(2 * np.pi) - z - np.log(2)
    np.testing.assert_allclose(found, expected.reshape(4, -1).sum(-1), rtol=1e-4)


SATURATED = {
    "sigmoid": (flows.Sigmoid(), 50.0),
    "tanh": (flows.Tanh(), 50.0),
    "exp": (flows.Exp(), 200.0),
    "softplus": (flows.Softplus(), 200.0),
}


@pytest.mark.parametrize("name", SATURATED)
def test_every_draw_has_a_density(name, backend):
    """Also where the draw is rounded: the value nearest to an end is not that end."""
    transform, scale = SATURATED[name]
    on = ppgen.backends.get(backend)
    z = on.array(np.linspace(-scale, scale, 41, dtype=np.float32)[:, None])
    with ppgen.using(backend):
        x, log_det = transform.forward({}, z)
        back, log_det_back = transform.inverse({}, x)
    assert all(np.isfinite(on.numpy(array)).all() for array in (x, log_det, back, log_det_back))
    middle = np.abs(on.numpy(z)) < 4
    np.testing.assert_allclose(on.numpy(back)[middle], on.numpy(z)[middle], rtol=1e-3, atol=1e-4)


def test_uniform_draws_are_inside():
    """Random numbers in [0, 1) are 0 now and then, whose logit is infinite."""

    class Zero:
        def uniform(self, shape):
            return ops.zeros(shape)

    with ppgen.using("numpyro"):
        flow = Flow(StandardUniform(1), (Inverse(flows.Sigmoid()),))
        x, log_prob = flow.draw_with_log_prob({}, Zero(), (2,))
    assert np.isfinite(x).all()
    assert np.isfinite(log_prob).all()


def test_columns_of_their_own_scale():
    """Arrays are taken as they come from the data, and the transform stays a value."""
    table = np.random.default_rng(0).normal(size=(9, 3)) * [1, 10, 100]
    transform = flows.AffineConstant(table.mean(0), table.std(0))
    assert transform == flows.AffineConstant(table.mean(0).tolist(), tuple(table.std(0)))
    assert hash(transform) == hash(flows.AffineConstant(table.mean(0), table.std(0)))
    assert transform.dim == 3
    z, _ = transform.inverse({}, table.astype(np.float32))
    np.testing.assert_allclose(z, (table - table.mean(0)) / table.std(0), atol=1e-5)


def test_the_support_of_a_tree_is_that_of_its_last_stage():
    stage = Compose((Inverse(Squeeze()), flows.Sigmoid(3)))
    assert MultiScale((1, 2, 2), (stage,)).support == "unit_interval"


@pytest.mark.parametrize("size", [np.int64(4), np.prod((2, 2))])
def test_sizes_of_numpy_are_sizes(size):
    assert RealNVP(size, transforms=2) == RealNVP(4, transforms=2)
    assert repr(flows.MAF(size)) == repr(flows.MAF(4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Flow(StandardNormal(2), (flows.Exp(rank=2),)),
            r"events with 1 axes.*got rank 2: .*build it with rank=1",
        ),
        (lambda: Flow(StandardNormal(), (flows.Exp(),)), r"events with 0 axes.*got rank 1"),
        (lambda: Flow(StandardNormal(1, 4, 4), (flows.Sigmoid(),)), r"events with 3 axes.*build it with rank=3"),
        (lambda: Flow(StandardNormal(2), (flows.Logit(),)), r"events with 1 axes.*got rank 3"),
        (lambda: MultiScale((1, 2, 2), (flows.LU(4),)), "events with 3 axes.*got rank 1"),
        (lambda: Compose((flows.LU(2), flows.Sigmoid(3))), r"one number of event axes; got \[1, 3\]"),
        (
            lambda: Flow(StandardNormal(1), (Inverse(flows.Sigmoid()),)),
            r"values in 'unit_interval' for Inverse\(.*what comes before it gives 'real'",
        ),
        (lambda: Flow(StandardUniform(1), (flows.LU(1), Inverse(flows.Exp()))), r"values in 'positive'.*gives 'real'"),
        (lambda: Flow(StandardNormal(1), (flows.Exp(), Inverse(flows.Tanh()))), r"values in \(-1.0, 1.0\).*'positive'"),
        (lambda: Inverse(flows.LU), r"the transform to be a Transform, such as flows.Sigmoid\(\); got <class"),
        (lambda: flows.Repeat(2, ppgen.nn.MLP(2, 2)), r"the transform to be a Transform, such as flows.LU\(2\)"),
        (lambda: MultiScale((1, 2, 2), (ppgen.nn.MLP(2, 2),)), "each stage to be a Transform"),
        (lambda: flows.Affine(bound=0.0), "a positive bound of the log scale; got 0.0"),
        (lambda: Flow(Empirical([[0.0], [1.0]]), (flows.LU(1),)), "a base with a density; got Empirical"),
        (lambda: flows.AffineConstant((1.0, 2.0), (1.0, 2.0, 3.0)), r"for as many columns; got \[2, 3\]"),
        (lambda: flows.AffineConstant([[1.0]]), "a number or one a column"),
    ],
)
def test_parts_that_do_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_parts_that_fit():
    """An interval within another, a positive number where any real will do, and the way back."""
    halves = flows.AffineConstant(0.0, 0.5)
    assert Flow(StandardUniform(1), (halves, Inverse(flows.Sigmoid()))).support == "real"
    assert Flow(StandardNormal(1), (flows.Exp(), flows.LU(1), flows.Softplus())).support == "positive"
    assert Inverse(flows.Logit(rank=1)).domain == pytest.approx((-0.05 / 0.9, 0.95 / 0.9))
