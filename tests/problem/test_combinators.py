"""Samplers made of samplers are properly weighted: mean weights are ratios of normalisers."""

import numpy as np
import pytest

import ppgen
from ppgen import dist, plate, sample
from ppgen.problem.combinators import block, compose, extend, propose, resample, weighted

X = np.array([0.5, -1.0], np.float32)
PARTICLES = {"numpyro": 20_000, "pyro": 3_000}  # Pyro runs kernels, which take drawn values, once a particle


def model(rows):
    with plate("data", rows):
        a = sample("a", dist.Normal(0.0, 1.0))
        b = sample("b", dist.Normal(a, 1.0))
        sample("x", dist.Normal(b, 1.0))


def guide(x):
    with plate("data", len(x)):
        a = sample("a", dist.Normal(0.3 * x, 1.0))
        sample("b", dist.Normal(0.5 * (a + x), 1.0))


def forward(b, x):
    with plate("data", len(x)):
        sample("moved", dist.Normal(0.6 * b + 0.2 * x, 0.9))


def backward(moved, x):
    with plate("data", len(x)):
        sample("b", dist.Normal(0.6 * moved, 1.0))


def conditional(a, x):
    """The model's own b given a and x."""
    with plate("data", len(x)):
        sample("b", dist.Normal((a + x) / 2, 0.5**0.5))


EXACT = -0.5 * X**2 / 3 - 0.5 * np.log(2 * np.pi * 3)


@pytest.fixture
def joints(backend):
    """The programs as joints, and the data."""
    problem = ppgen.Problem(model, guide, data={"x": X}, backend=backend)
    brought = {"forward": forward, "backward": backward, "conditional": conditional}
    problem = problem.playing(("model", "guide", *brought), brought)
    with ppgen.using(backend):
        yield problem.joints(), ppgen.Batch(problem.device({"x": X}))


class Moved:
    """The model with b under another name."""

    def __init__(self, p):
        self.p = p

    def log_prob(self, values):
        names = {"a": values["a"], "b": values["moved"]}
        z = ppgen.Batch(names, drawn=names, rows=2, particles=values.particles)
        return self.p.log_prob(ppgen.Batch({"x": values["x"]}) | z)


def error(joints, sampler, batch):
    """How far the log mean weight is from the evidence, in its standard errors of about 1 / sqrt(K)."""
    backend = joints["model"].backend
    particles = PARTICLES[backend.name]
    found = backend.numpy(weighted(sampler, batch, particles).log_mean_weight)
    return np.abs(found - EXACT).max() * particles**0.5


def test_propose_is_importance_sampling(joints):
    joints, batch = joints
    assert error(joints, propose(joints["model"], joints["guide"]), batch) < 8


def test_weights_stay_proper_through_every_combinator(joints):
    """Importance sampling, resampling, a step to moved variables with an extended target, and a Gibbs block."""
    joints, batch = joints
    p = joints["model"]
    first = propose(p, joints["guide"])
    again = block(p, resample(first, p), joints["conditional"])
    moved = propose(extend(Moved(p), joints["backward"]), compose(resample(again, p), joints["forward"]))
    for sampler in (resample(first, p), again, moved):
        assert error(joints, sampler, batch) < 8
    z = weighted(moved, batch, 5)
    assert set(z.values) == {"a", "moved"}, "the kernel's site has done its work"
    assert set(z.renamed(moved="b").values) == {"a", "b"}


def test_a_block_that_draws_from_the_conditional_leaves_weights_alone(joints):
    joints, batch = joints
    p = joints["model"]
    first = weighted(propose(p, joints["guide"]), batch, 50)
    after = weighted(block(p, first, joints["conditional"]), batch, 50)
    numpy = p.backend.numpy
    np.testing.assert_allclose(numpy(after.log_weight), numpy(first.log_weight), atol=1e-4)
    assert (numpy(after.values["b"]) != numpy(first.values["b"])).all()
    assert (numpy(after.values["a"]) == numpy(first.values["a"])).all()


def test_a_forgotten_backward_kernel_is_noticed(joints):
    """A planted bug: without the extension the weights are no longer proper."""
    joints, batch = joints
    p = joints["model"]
    wrong = propose(Moved(p), compose(propose(p, joints["guide"]), joints["forward"]))
    assert error(joints, wrong, batch) > 10
