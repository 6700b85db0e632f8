"""Joints own their randomness."""

import numpy as np
import pytest

import ppgen
from ppgen import dist, ops, plate, sample
from ppgen.errors import NoLikelihoodError, ProgramError


def model(rows):
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0))
        sample("x", dist.Normal(z, 1.0))


@pytest.fixture
def p(backend):
    problem = ppgen.Problem(model, data={"x": np.zeros(3, np.float32)}, backend=backend)
    with ppgen.using(backend):
        yield problem.joints()["model"]


def drawn(joint):
    return joint.backend.numpy(joint.draw(rows=3).values["z"])


def test_every_draw_is_fresh(p):
    """Also those of `frozen`, however they alternate."""
    draws = [drawn(p), drawn(p.frozen), drawn(p.frozen), drawn(p), drawn(p.at(0)), drawn(p.at(1))]
    assert len(np.unique(np.concatenate(draws))) == 6 * 3


def test_a_joint_at_a_key_repeats_itself(p):
    np.testing.assert_array_equal(drawn(p.at(4)), drawn(p.at(4)))
    one = p.at(4)
    assert (drawn(one) != drawn(one)).all(), "within it, draws are fresh"


def test_loops_need_keys_of_their_own(p):
    def without(carry, i):
        return carry, p.draw(rows=3).values["z"][0]

    with pytest.raises(ProgramError, match=r"draws inside a loop.*p\.at\(i\)\.draw"):
        ops.scan(without, ops.zeros(()), ops.arange(4))

    def by_turn(carry, i):
        return carry, p.at(i).draw(rows=3).values["z"][0]

    _, z = ops.scan(by_turn, ops.zeros(()), ops.arange(4))
    assert len(np.unique(p.backend.numpy(z))) == 12


def test_a_trace_tells_how_each_site_got_its_value(p):
    batch = ppgen.Batch({"x": ops.zeros((3,))})
    trace = p.draw(batch, particles=2)
    assert {name: term.how for name, term in trace.items()} == {"z": "pathwise", "x": "given"}
    assert p.draw(batch, pathwise=False)["z"].how == "held"
    assert list(trace.latent) == list(trace.drawn) == ["z"] and list(trace.observed) == ["x"]
    numpy = p.backend.numpy
    np.testing.assert_allclose(
        numpy(trace.log_prob), numpy(trace["z"].log_prob) + numpy(trace["x"].log_prob), rtol=1e-6
    )
    again = p.trace(batch | trace.values)
    np.testing.assert_allclose(numpy(again.latent.log_prob), numpy(trace.drawn.log_prob), rtol=1e-5)
    np.testing.assert_allclose(numpy(again.observed.log_prob), numpy(trace["x"].log_prob), rtol=1e-5)


def test_a_density_that_is_not_there_is_said(p):
    dream = p.dream(ppgen.Batch({"x": ops.zeros((3,))}), emit=["x"], density=True)
    with pytest.raises(NoLikelihoodError, match=r"site 'x' of the model; it sent its mean"):
        _ = dream.log_prob
    assert dream.without("x").log_prob.shape == (1, 3)


def test_a_plate_that_knows_its_size_needs_no_rows(backend):
    def model():
        with plate("data", 3):
            sample("x", dist.Normal(0.0, 1.0))

    problem = ppgen.Problem(model, data={"x": np.zeros(3, np.float32)}, backend=backend, full_batch=True)
    assert problem.joints()["model"].draw(particles=2)["x"].log_prob.shape == (2, 3)
