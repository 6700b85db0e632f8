"""Noise that both backends share, and values forced on joints, so that losses and gradients are numbers to compare."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import torch

import ppgen
from ppgen import Batch, Joint


class Noise:
    """Base noise from a table: the n-th draw of a run is the same on both backends, particle by particle.

    On NumPyro a particle's key is replaced by its number, under `vmap` too; each random function looks its noise up in
    a table indexed by that number. On Pyro the same table is read with the particle axis in front.

    Attributes:
        particles: number of particles K of the run that is under way.
        forced: values for the discrete draws, [K, ...] each, instead of noise.
    """

    def __init__(self, seed=0):
        self.seed, self.particles, self.calls, self.forced = seed, 1, 0, None

    def restart(self):
        self.calls = 0

    def table(self, kind, shape):
        """Noise of the next draw: [K, *shape of one particle]."""
        self.calls += 1
        rng = np.random.default_rng([self.seed, self.calls])
        size = (self.particles, *shape)
        return (rng.normal(size=size) if kind == "normal" else rng.random(size)).astype(np.float32)

    # NumPyro: shapes are those of one particle

    def jax(self, key, kind, shape):
        number = jax.random.key_data(key)[1]
        return jax.numpy.asarray(self.table(kind, tuple(shape)))[number]

    def jax_key(self, key, count):
        if count is None:  # a handler splits the key of a particle: both halves keep its number
            return [key, key]
        if count > 1:
            data = np.zeros((count, 2), np.uint32)
            data[:, 1] = np.arange(count)
            return jax.random.wrap_key_data(jax.numpy.asarray(data))
        return [key] * count

    # Pyro: shapes have the particle axis in front when there are several, then axes of size 1 for absent plates

    def torch(self, kind, shape):
        shape = tuple(shape)
        own = shape[1:] if self.particles > 1 else shape
        squeezed = tuple(n for n in own if n != 1)
        return torch.from_numpy(self.table(kind, squeezed)).reshape(shape)


@pytest.fixture
def noise(monkeypatch):
    """Replaces the random functions of JAX and torch by a shared `Noise`."""
    shared = Noise()

    def numbered(key):  # the key of the only particle
        return jax.random.wrap_key_data(jax.numpy.zeros(2, np.uint32))

    def squeezed(kind):
        def draw(key, shape=(), dtype=float, **rest):
            return shared.jax(key, kind, tuple(n for n in shape if n != 1)).reshape(shape)

        return draw

    def jax_bernoulli(key, p=0.5, shape=None):
        shape = np.shape(p) if shape is None else shape
        return squeezed("uniform")(key, shape) < p

    def jax_categorical(key, logits, shape=None, **rest):
        p = jax.nn.softmax(logits, -1)
        u = squeezed("uniform")(key, p.shape[:-1] if shape is None else shape)
        return (u[..., None] > jax.numpy.cumsum(p, -1)).sum(-1)

    def numpyro_categorical(key, p, shape=()):  # NumPyro's own is compiled once, and would keep its first noise
        u = squeezed("uniform")(key, shape or p.shape[:-1])
        return (u[..., None] > jax.numpy.cumsum(p, -1)).sum(-1)

    def torch_bernoulli(p):
        return (shared.torch("uniform", p.shape) < p).to(p.dtype)

    def torch_categorical(self, sample_shape=()):
        shape = self._extended_shape(torch.Size(sample_shape))
        u = shared.torch("uniform", shape)
        return (u[..., None] > self.probs.expand((*shape, -1)).cumsum(-1)).sum(-1)

    for name in ("numpyro", "pyro"):
        kind = type(ppgen.backends.get(name))

        def run(self, program, parameters, key, fixed, drawn, rows, particles, *rest, _run=kind.run):
            shared.particles = particles
            try:
                return _run(self, program, parameters, key, fixed, drawn, rows, particles, *rest)
            finally:
                shared.particles = 1  # as where a program is only looked at

        monkeypatch.setattr(kind, "run", run)
    split = shared.jax_key
    monkeypatch.setattr(jax.random, "split", lambda key, num=None: split(key, num))
    monkeypatch.setattr(jax.random, "fold_in", lambda key, data: numbered(key))
    monkeypatch.setattr(jax.random, "normal", squeezed("normal"))
    monkeypatch.setattr(jax.random, "uniform", squeezed("uniform"))
    monkeypatch.setattr(jax.random, "bernoulli", jax_bernoulli)
    monkeypatch.setattr(jax.random, "categorical", jax_categorical)
    monkeypatch.setattr("numpyro.distributions.discrete.categorical", numpyro_categorical)
    for family in ("normal", "multivariate_normal"):
        monkeypatch.setattr(
            f"torch.distributions.{family}._standard_normal", lambda shape, dtype, device: shared.torch("normal", shape)
        )
    for what in ("normal", "uniform"):
        monkeypatch.setattr(
            f"ppgen.backends.pyro.densities.Noise.{what}", lambda self, shape, what=what: shared.torch(what, shape)
        )
    monkeypatch.setattr(torch, "bernoulli", torch_bernoulli)
    monkeypatch.setattr(torch.distributions.Categorical, "sample", torch_categorical)
    return shared


@pytest.fixture
def play(noise):
    """Losses and gradients at given noise: `play(trainer, state, data)(normal=eps, uniform=u)`, each [particles, rows]."""

    def prepare(trainer, state, data):
        backend, batch = trainer.backend, trainer.device(data)

        def run(parameters, tables):
            noise.table = lambda kind, shape: tables[kind].reshape(-1, *shape)
            try:
                return trainer._turn(parameters, batch, trainer.algorithm.roles, state.key, state.step, state.carry)[:2]
            finally:
                del noise.table

        run = backend.compile(run)

        def call(**tables):
            losses, grads = run(state.parameters, {kind: np.float32(table) for kind, table in tables.items()})
            return (
                {role: float(loss) for role, loss in losses.items()},
                {name: np.asarray(backend.numpy(grad), float) for name, grad in grads.items()},
            )

        return call

    return prepare


class Forced:
    """Values that joints give instead of drawing: `forced(guide={"z": z})`, and `dream={...}` for the model's dreams.

    Values are [particles, ...], or one function of the joint and the batch for all of a program's values.
    """

    def __init__(self):
        self.held = {}

    def __call__(self, **values):
        self.held = values

    def values(self, who, joint, batch):
        given = self.held[who]
        given = given(joint, batch) if callable(given) else given
        arrays = {name: joint.backend.array(_single(value)) for name, value in given.items()}
        particles = next(iter(arrays.values())).shape[0]
        return Batch(arrays, rows=batch.rows, drawn=arrays, particles=particles)

    def compiled(self, trainer, state, data):
        """Losses by role and gradients by parameter, in NumPy, as a function of the forced values."""
        backend, batch = trainer.backend, trainer.device(data)

        def play(parameters, forced):
            self(**forced)
            return trainer._turn(parameters, batch, trainer.algorithm.roles, state.key, state.step, state.carry)[:2]

        play = backend.compile(play)

        def call(**forced):
            arrays = {who: {n: backend.array(_single(v)) for n, v in given.items()} for who, given in forced.items()}
            losses, grads = play(state.parameters, arrays)
            self()
            return (
                {role: float(loss) for role, loss in losses.items()},
                {name: np.asarray(backend.numpy(grad), float) for name, grad in grads.items()},
            )

        return call


def as_drawn(trace, values):
    """The trace of given values, as if it had drawn them, without a gradient through the draw."""
    drawn = {name: replace(trace[name], value=value, how="held") for name, value in values.items()}
    return replace(trace, terms={**trace.terms, **drawn})


def _single(value):
    return value.astype(np.float32) if isinstance(value, np.ndarray) else value


@pytest.fixture
def forced(monkeypatch):
    """Makes joints draw and dream given values; see `Forced`."""
    values, draw, dream = Forced(), Joint.draw, Joint.dream

    def forced_draw(self, batch=None, particles=1, rows=None, **options):
        if self.program.role not in values.held:
            return draw(self, batch, particles, rows, **options)
        given = values.values(self.program.role, self, batch)
        assert given.particles == particles, "the algorithm draws another number of particles"
        return as_drawn(self.trace(batch | given), given)

    def forced_dream(self, batch, particles=1, emit=(), **options):
        if "dream" not in values.held:
            return dream(self, batch, particles, emit, **options)
        given = values.values("dream", self, batch)
        return as_drawn(self.trace(batch | given), given)

    monkeypatch.setattr(Joint, "draw", forced_draw)
    monkeypatch.setattr(Joint, "dream", forced_dream)
    return values
