"""Shared by all tests: both backends, small compiled functions, no pictures on a screen, and shapes that are checked."""

import os

# Tests compile much and compute little: XLA's new emitters of code, and code in parts, take three times as long.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads on tiny arrays wait for each other: ten times slower

import functools
from typing import Any

import pytest
from beartype import beartype
from jaxtyping import Float, Shaped, jaxtyped

from ppgen.distributions import registry
from ppgen.distributions.flows.transform import Transform
from ppgen.distributions.learnable import Learnable
from ppgen.problem.joint import Joint
from ppgen.problem.trace import Trace


def pytest_collection_modifyitems(items):
    """What was set up or compiled for some tests serves others in one process (`pytest -n 2 --dist loadgroup`).

    Tests of an entry of a registry run in one worker, and so do those of a file.
    """
    for item in items:
        entry = item.callspec.params.get("name") if hasattr(item, "callspec") else None
        shared = entry and {"case", "transform_case", "registered"} & set(item.fixturenames)
        item.add_marker(pytest.mark.xdist_group(str(entry) if shared else item.path.name))


@pytest.fixture(params=["numpyro", "pyro"])
def backend(request):
    if request.param == "pyro":
        pytest.importorskip("pyro", reason="the pyro backend needs the extra ppgen[pyro]")
    return request.param


@pytest.fixture(autouse=True)
def compiled_anew(request):
    """A test that plants a bug sees it: densities compiled before are not taken, nor left for other tests."""
    if "monkeypatch" not in request.fixturenames:
        yield
        return
    from ppgen.backends.numpyro.densities import _COMPILED

    forget(_COMPILED)
    yield
    forget(_COMPILED)


def forget(compiled):
    """Empty the caches of compiled functions."""
    for function in compiled.values():
        function.clear_cache()


# shapes, checked at every call that any test makes ------------------------------------------------------------------------

Rows, PerRow = Shaped[Any, "*#batch n"], Float[Any, "*#batch"]


def log_prob(result: Float[Any, "{self.particles} {self.rows}"], self: Any) -> None: ...


def parts(
    result: tuple[Float[Any, "{self.particles} {self.rows}"], Float[Any, " {self.particles}"]], self: Any
) -> None: ...


def log_weight(result: Float[Any, "{z.particles} {z.rows}"], self: Any, batch: Any, z: Any) -> None: ...


def density(result: PerRow, self: Any, params: Any, x: Rows, context: Any = None) -> None: ...


def change(result: tuple[Rows, PerRow], self: Any, params: Any, x: Rows, context: Any = None) -> None: ...


def checked(method: Any, signature: Any, applies: Any = lambda self: True) -> Any:
    """The method, raising where it gives other shapes than the signature says of its result and its arguments."""
    compare = jaxtyped(typechecker=beartype)(signature)

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if applies(self):
            compare(result, self, *args)
        return result

    return call


def below(cls: type) -> set[type]:
    """A class and all that are made from it."""
    return {cls}.union(*map(below, cls.__subclasses__()))


assert registry.DISTRIBUTIONS  # every class of ppgen's own is imported
Joint.log_weight = checked(Joint.log_weight, log_weight)
for signature in (log_prob, parts):
    setattr(Trace, signature.__name__, property(checked(vars(Trace)[signature.__name__].fget, signature)))
for cls in below(Learnable):
    if "log_prob" in vars(cls):
        cls.log_prob = checked(cls.log_prob, density, lambda self: len(self.event_shape) == 1)
for cls in below(Transform):
    for name in {"forward", "inverse"} & vars(cls).keys():
        setattr(cls, name, checked(getattr(cls, name), change, lambda self: self.dim is not None))
