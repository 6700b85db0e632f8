"""Every learnable distribution and transform of the registries, set up once on each backend and shared by all tests."""

import functools
import itertools
import zlib
from dataclasses import dataclass, replace

import jax
import numpy as np
import pytest
import torch

import ppgen
from ppgen import ops
from ppgen.distributions.autoregressive.blocks import BlockwiseMLP
from ppgen.distributions.registry import DISTRIBUTIONS, IMPLICIT, TRANSFORMS

PARTICLES, ROWS = 2, 3


class Replay:
    """Noise from NumPy's generator, so that both backends see the same numbers."""

    def __init__(self, backend, dtype=np.float32, seed=0):
        self.backend, self.dtype, self.rng = backend, dtype, np.random.default_rng(seed)

    def uniform(self, shape):
        return self.backend.array(self.rng.random(shape, self.dtype))

    def normal(self, shape):
        return self.backend.array(self.rng.standard_normal(shape, self.dtype))


@dataclass(frozen=True, eq=False)
class Case:
    """An entry of a registry under a backend, at parameters away from their start: zeros and ones would hide mistakes.

    Attributes:
        name: of the entry.
        entry: the distribution or transform.
        event_shape: of one value.
        backend: the backend.
        params: float32, as NumPy arrays.
        context: [ROWS, context], or None.
    """

    name: str
    entry: object
    event_shape: tuple
    backend: object
    params: dict
    context: np.ndarray | None

    def arrays(self, tree, dtype=None):
        """NumPy arrays as the backend's, in another number type if asked for."""
        return jax.tree.map(lambda x: self.backend.array(x if dtype is None else x.astype(dtype)), tree)

    def numpy(self, tree):
        """The backend's arrays as NumPy's."""
        return jax.tree.map(self.backend.numpy, tree)

    def call(self, fn, *trees):
        """`fn` on NumPy arrays, without gradients; NumPyro's is compiled."""
        run = self.backend.without_gradients(lambda *arrays: self._active(fn, *arrays))
        return self.numpy(run(*self.arrays(trees)))

    def with_method(self, method):
        """The same entry, drawing by another method."""
        return Case(
            self.name, with_method(self.entry, method), self.event_shape, self.backend, self.params, self.context
        )

    def noise(self, dtype=np.float32, seed=0):
        """The noise of a draw."""
        return Replay(self.backend, dtype, seed)

    def evaluate(self, params=None):
        """Log density [PARTICLES, ROWS] of the shared draws, and its gradients by parameter and by "context"."""
        weights = np.random.default_rng(1).normal(size=(PARTICLES, ROWS)).astype(np.float32)
        return self._evaluate(self._inputs(params), draws(self.name), weights)

    def draw(self):
        """Draws [PARTICLES, ROWS, ...] at the shared noise, and their log density; on Pyro, gradients of the draws too.

        (On NumPyro they would double the time to compile; programs with the entry as a guide test them there.)
        """
        shape = (PARTICLES, ROWS, *self.event_shape)
        weights = np.random.default_rng(2).normal(size=shape).astype(np.float32)
        return self._draw(self._inputs(None), weights)

    def _inputs(self, params):
        return dict(self.params if params is None else params) | (
            {} if self.context is None else {"context": self.context}
        )

    @functools.cached_property
    def _evaluate(self):
        def log_prob(inputs, x, weights):
            params, context = _parted(inputs)
            log_prob = self.entry.apply(params, context).log_prob(x)
            return (log_prob * weights).sum(), {"log_prob": log_prob}

        return self.differentiated(log_prob)

    @functools.cached_property
    def _draw(self):
        def draw(inputs, weights):
            params, context = _parted(inputs)
            shape = (PARTICLES, ROWS)
            x, log_prob = self.entry.draw_with_log_prob(params, self.noise(), shape, context)
            alone = self.entry.draw(params, self.noise(), shape, context)
            return (alone * weights).sum(), {"x": x, "log_prob": log_prob, "alone": alone}

        return self.differentiated(draw, self.backend.library == "torch" and self.entry.reparameterised)

    def differentiated(self, fn, gradients=True):
        """`fn(inputs, ...) -> loss, found` as a function of NumPy arrays that also gives gradients to the inputs."""
        if not gradients:
            return lambda *arrays: self.call(lambda *arrays: fn(*arrays)[1], *arrays)
        traces = []

        def active(*arrays):
            traces.append(1)
            return self._active(fn, *arrays)

        if self.backend.library == "jax":
            compiled = jax.jit(jax.value_and_grad(active, has_aux=True))

            def run(inputs, *rest):
                (_, found), grads = compiled(*self.arrays((inputs, *rest)))
                return self.numpy(found) | {"grads": self.numpy(grads), "traces": len(traces)}

            return run

        def run(inputs, *rest):
            leaves = {name: value.requires_grad_() for name, value in self.arrays(inputs).items()}
            loss, found = active(leaves, *self.arrays(rest))
            grads = dict.fromkeys(leaves)
            if loss.requires_grad:
                grads = dict(zip(leaves, torch.autograd.grad(loss, leaves.values(), allow_unused=True), strict=True))
            grads = {name: torch.zeros_like(leaves[name]) if g is None else g for name, g in grads.items()}
            return self.numpy(found) | {"grads": self.numpy(grads), "traces": 1}

        return run

    def _active(self, fn, *arrays):
        with ppgen.using(self.backend.name):
            return fn(*arrays)


def with_method(entry, method):
    """An autoregressive distribution or transform, or one run backwards, made anew with another way to draw."""
    if hasattr(entry, "transform"):
        return replace(entry, transform=with_method(entry.transform, method))
    return replace(entry, method=method)


def _parted(inputs):
    params = {name: value for name, value in inputs.items() if name != "context"}
    return params, inputs.get("context")


@functools.cache
def _case(table, name, backend):
    if table == "distributions":
        entry = (DISTRIBUTIONS | IMPLICIT)[name]()
        event_shape = entry.event_shape
    else:
        build, event_shape = TRANSFORMS[name]
        entry = build()
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    start = ppgen.backends.sites.Initialiser(0)
    params = {
        path: (
            spec.centre + 0.5 * (spec.draw(start.generator(path)) - spec.centre) + 0.2 * rng.normal(size=spec.shape)
        ).astype(np.float32)
        for path, spec in entry.specs().items()
    }
    context = rng.normal(size=(ROWS, entry.context)).astype(np.float32) if entry.context else None
    return Case(name, entry, tuple(event_shape), ppgen.backends.get(backend), params, context)


@functools.cache
def draws(name):
    """Draws [PARTICLES, ROWS, ...] of a distribution: data for both backends."""
    torch_case = _case("distributions", name, "pyro")
    return torch_case.call(
        lambda params, context: torch_case.entry.draw(params, torch_case.noise(seed=5), (PARTICLES, ROWS), context),
        torch_case.params, torch_case.context,
    )  # fmt: skip


@pytest.fixture(scope="session")
def case():
    """`case(name, backend)`: a distribution of the registry."""
    return functools.partial(_case, "distributions")


@pytest.fixture(scope="session")
def transform_case():
    """`transform_case(name, backend)`: a transform of the registry."""
    return functools.partial(_case, "transforms")


@pytest.fixture(scope="session")
def data():
    """`data(name)`: draws of a distribution, [PARTICLES, ROWS, ...]."""
    return draws


@pytest.fixture(name="variables")
def _variables():
    """`variables(jaxpr)`: all variables of traced code, those of inner code too."""

    def variables(jaxpr):
        for equation in jaxpr.eqns:
            yield from equation.outvars
            for parameter in jax.tree.leaves(list(equation.params.values())):
                inner = getattr(parameter, "jaxpr", parameter)
                if hasattr(inner, "eqns"):
                    yield from variables(inner)

    return variables


@pytest.fixture
def small_blocks(monkeypatch):
    """Masked networks, made anew, have blocks of three, so that a few dimensions are several blocks."""
    monkeypatch.setattr(BlockwiseMLP, "block", property(lambda self: min(self.dim, 3)))


@pytest.fixture
def planted_in_blocks(monkeypatch):
    """`planted_in_blocks(bug)`: blocks lose what those before have computed, or stop before they are settled."""
    settle = ops.settle

    def plant(bug):
        if bug == "a block forgotten":
            monkeypatch.setattr(BlockwiseMLP, "leave", lambda self, params, cache, inner, x: cache)
        else:
            monkeypatch.setattr(
                ops, "settle", lambda update, x, turns, exact=False: settle(update, x, turns - exact, exact)
            )

    return plant


@pytest.fixture(scope="session")
def replay():
    """The noise that both backends share."""
    return Replay


@pytest.fixture(scope="session")
def configurations():
    """`configurations(learnable)`: every value of a discrete distribution, [N, ...]; None where there are too many."""

    def configurations(learnable):
        support, size = learnable.support, int(np.prod(learnable.event_shape))
        values = 2 if support == "boolean" else support
        if not isinstance(values, int) or values**size > 1024:
            return None
        rows = list(itertools.product(range(values), repeat=size))
        return np.array(rows, np.float32).reshape(-1, *learnable.event_shape)

    return configurations
