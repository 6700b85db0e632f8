"""Every model of the registry, set up once on each backend and shared by all tests."""

import functools
from dataclasses import dataclass, field

import numpy as np
import pytest

import ppgen
from ppgen.inference import ALGORITHMS
from ppgen.inference.exact.enumeration import log_evidence
from ppgen.models.registry import MODELS

ROWS = 5


@dataclass(frozen=True)
class Setup:
    """A model and a guide under a backend, at parameters away from their start: zeros and ones would hide mistakes."""

    problem: ppgen.Problem
    parameters: dict
    data: dict
    compiled: dict = field(default_factory=dict)

    @property
    def backend(self):
        return self.problem.backend

    @property
    def params(self):
        """Constrained parameters as NumPy arrays."""
        return self.problem.export(self.parameters)

    def draw(self, particles):
        """Draws of the guide, [particles, rows, ...] by site, and their log densities, [particles, rows]."""

        def draw(p, q, batch):
            z = q.draw(batch, particles)
            return {"values": dict(z.values), "log_prob": z.log_prob}

        found = self.run(draw)
        return found["values"], found["log_prob"]

    def dream(self, particles):
        """Draws of the model, [particles, rows, ...] by site."""
        return self.run(lambda p, q, batch: dict(p.dream(batch, particles).values))

    def log_prob(self, values):
        """Log density of values [particles, rows, ...] under the model and the guide, each [particles, rows]."""

        def log_prob(p, q, batch):
            return {"model": p.log_prob(batch), "guide": q.log_prob(batch)}

        return self.run(log_prob, len(next(iter(values.values()))), values, compiled="log_prob")

    def log_weights(self, particles):
        """Log p(x, z) - log q(z | x) for draws of the guide, pooled over rows where a latent is global."""

        def log_weights(p, q, batch):
            return p.pool(p.log_weight(batch, q.draw(batch, particles)), batch)

        return self.run(log_weights)

    def log_evidence(self):
        """Log p(x) by a sum over the latent variables, [rows]."""
        return self.run(lambda p, q, batch: log_evidence(p, batch), compiled="log_evidence")

    def run(self, fn, particles=1, values=None, compiled=None):
        """`fn(p, q, batch)` on NumPy values; under a name `compiled` it is compiled once for all tests."""

        def run(parameters, data, z):
            batch = ppgen.Batch(data) | ppgen.Batch(z, rows=ROWS, drawn=z, particles=particles)
            with ppgen.using(self.backend.name):
                joints = self.problem.joints(parameters, self.backend.key(1))
                return fn(joints["model"], joints["guide"], batch)

        if compiled:
            run = self.compiled.setdefault((compiled, particles), self.backend.without_gradients(run))
        found = run(self.parameters, self.problem.device(self.data), self.typed(values or {}))
        return self.to_numpy(found)

    def typed(self, values):
        """Values of latent sites as arrays of the type that the backend computes with."""
        sites = self.problem.model.sites
        whole = {name for name in values if sites[name].support.name == "IntegerInterval"}
        types = {name: np.int64 if name in whole else np.float32 for name in values}
        return {name: self.backend.array(value.astype(types[name])) for name, value in values.items()}

    def to_numpy(self, found):
        if isinstance(found, dict):
            return {name: self.to_numpy(value) for name, value in found.items()}
        return self.backend.numpy(found)

    def with_guide(self, guide):
        """The same model with another guide."""
        return set_up(self.problem.model.fn, guide, self.backend.name, self.data)


def set_up(model, guide, backend, data):
    problem = ppgen.Problem(model, guide, data=data, backend=backend)
    rng = np.random.default_rng(0)
    parameters = {}
    for name in sorted(problem.start):
        value = problem.backend.numpy(problem.start[name])
        noise = rng.normal(scale=0.1, size=value.shape).astype(np.float32)
        parameters[name] = problem.backend.array(value + noise)
    return Setup(problem, parameters, data)


@functools.cache
def _registered(name, backend):
    entry = MODELS[name]
    return set_up(*entry.build(), backend, entry.data(0, ROWS))


@functools.cache
def _legal_algorithm(name):
    problem = _registered(name, "numpyro").problem
    return next(algorithm for algorithm in ALGORITHMS if not algorithm.objections(problem))


@pytest.fixture
def registered():
    """A model of the registry on a backend: `registered(name, backend)`."""
    return _registered


@pytest.fixture
def legal_algorithm():
    """The first algorithm in ppgen's list that can learn a model of the registry: `legal_algorithm(name)`."""
    return _legal_algorithm
