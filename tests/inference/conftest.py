"""Noise that both backends share, so that their losses and gradients can be compared number by number."""

import jax
import numpy as np
import pytest
import torch

import ppgen


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

    def torch_categorical(self, sample_shape=torch.Size()):
        shape = self._extended_shape(sample_shape)
        u = shared.torch("uniform", shape)
        return (u[..., None] > self.probs.expand((*shape, -1)).cumsum(-1)).sum(-1)

    for name in ("numpyro", "pyro"):
        kind = type(ppgen.backends.get(name))

        def run(self, program, parameters, key, fixed, drawn, rows, particles, *rest, _run=kind.run):
            shared.particles = particles
            return _run(self, program, parameters, key, fixed, drawn, rows, particles, *rest)

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
    monkeypatch.setattr(torch, "bernoulli", torch_bernoulli)
    monkeypatch.setattr(torch.distributions.Categorical, "sample", torch_categorical)
    return shared
