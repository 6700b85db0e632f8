"""A program draws by sample statements only: no generators of Python or NumPy, and no clock, which compiled code reads once."""

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import jax
import numpy as np

from ppgen.errors import ProgramError, ProgramWarning, tell
from ppgen.problem.program import Program

_LIBRARIES = ("jax", "numpyro", "torch", "pyro", "ppgen", "flax", "equinox", "optax", "numpy", "importlib", "logging")
_NEW = "a new generator, np.random.default_rng()"
_CLOCKS = ("time", "time_ns", "perf_counter", "monotonic")


@contextmanager
def watched(generators: list[Any]) -> Iterator[Callable[[], str]]:
    """Inside, calls of clocks and new generators are noticed; gives a function that says what was used, "" for nothing.

    Args:
        generators: those that the program can reach, whose states are compared.
    """
    used: list[str] = []

    def noticing(function: Callable[..., Any], what: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            caller = sys._getframe(1).f_globals.get("__name__", "").split(".")[0]
            seeded = function.__name__ == "default_rng" and bool(args or kwargs)  # a constant
            if caller not in _LIBRARIES and not seeded:
                used.append(what)
            return function(*args, **kwargs)

        return call

    before = _states(generators)
    with ExitStack() as patches:
        for name in _CLOCKS:
            patches.enter_context(patch.object(time, name, noticing(getattr(time, name), f"the clock, time.{name}()")))
        patches.enter_context(patch.object(np.random, "default_rng", noticing(np.random.default_rng, _NEW)))

        def said() -> str:
            moved = [what for (what, old), (_, now) in zip(before, _states(generators), strict=True) if old != now]
            return ", ".join(dict.fromkeys([*used, *moved]))

        yield said


def check(program: Program, used: str) -> None:
    """Refuse other randomness where a program is compiled; warn of it where it runs anew each time."""
    if not used:
        return
    if program.backend.compiles:
        raise ProgramError(
            f"the {program.role} draws from {used}, which a compiled program does only once; expected "
            "randomness from sample sites. Replace the draw by ppgen.sample; draw a constant once, "
            "outside the program."
        )
    tell(
        f"the {program.role} draws from {used}, which the seed of the fit does not govern, so that a run can be neither "
        "repeated nor resumed. Replace the draw by ppgen.sample to be silent.",
        ProgramWarning,
    )


def is_generator(value: Any) -> bool:
    """Whether a value is a generator of random numbers of Python or NumPy."""
    return isinstance(value, random.Random | np.random.Generator | np.random.RandomState)


def _states(generators: list[Any]) -> list[tuple[str, str]]:
    own = "Python's or NumPy's own generator"
    found = [(own, repr(random.getstate())), (own, repr(_plain(np.random.mtrand._rand)))]
    return found + [(f"a generator of its own, {type(g).__name__}", repr(_plain(g))) for g in generators]


def _plain(generator: Any) -> Any:
    """A generator's state, in values whose text tells them apart."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        kind, key, *rest = generator.get_state(legacy=True)
        return kind, np.asarray(key).tobytes(), rest
    return jax.tree.map(lambda x: x.tobytes() if isinstance(x, np.ndarray) else x, generator.bit_generator.state)
