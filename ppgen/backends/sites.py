"""What is known about a program's sites and parameters once it has been looked at."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen.backends.support import Support, describe
from ppgen.errors import ProgramError


@dataclass(frozen=True)
class Site:
    """One `sample` (or `factor`) statement as an inspection found it.

    Attributes:
        name: the site's name.
        event_shape: shape of one independent draw.
        batch_shape: shape of the distribution's batch, plates included.
        plates: plate name to (dimension, size), dimensions counted from the right.
        support: the values the site can take.
        reparameterised: whether a draw carries a gradient to the distribution's parameters.
        observed: whether the program itself observes the site (`obs=`).
        kind: `"sample"`, `"factor"` or `"auxiliary"`.
        scaled: whether the program scales its log density.
        has_mean: whether the distribution has a mean.
        has_density: whether it has a log density; an implicit one can only be drawn from.
        estimated: whether it has an unbiased estimate in place of its log density.
        real_shape: shape of its unconstrained value; None where there is no bijection from the reals onto its support.
        looped: whether it lies inside a compiled loop, whose turns are its first batch axis.
    """

    name: str
    event_shape: tuple[int, ...]
    batch_shape: tuple[int, ...]
    plates: Mapping[str, tuple[int, int]]
    support: Support
    reparameterised: bool
    observed: bool
    kind: str = "sample"
    scaled: bool = False
    has_mean: bool = True
    has_density: bool = True
    estimated: bool = False
    real_shape: tuple[int, ...] | None = None
    looped: bool = False

    @property
    def has_reals(self) -> bool:
        """Whether its values are the image of the reals under a bijection that the library knows."""
        return self.real_shape is not None and self.support.kind not in ("integer", "point")

    @property
    def rank(self) -> int:
        """How many batch axes the plates give the site."""
        return max((-dim for dim, _ in self.plates.values()), default=0)

    def row_dim(self, rows_plate: str) -> int | None:
        """The dimension of the plate of rows, counted from the right; None for a global site."""
        return self.plates[rows_plate][0] if rows_plate in self.plates else None


@dataclass(frozen=True)
class Parameter:
    """One learnable array (or, in native programs, a tree of them): where it came from and what it may be."""

    name: str
    shape: Any
    constraint: Any = None
    source: Any = None

    @property
    def support(self) -> Support:
        """The values it can take."""
        return Support("real") if self.constraint is None else describe(self.constraint)

    def agrees(self, other: "Parameter") -> bool:
        """True when both have one shape and take the same values."""
        return self.shape == other.shape and self.support.same(other.support)

    def __str__(self) -> str:
        return f"shape {self.shape} in {self.support}"


@dataclass(frozen=True)
class Initialiser:
    """Random numbers for initial values: a NumPy generator per name, the same on both backends."""

    seed: int

    def generator(self, name: str) -> np.random.Generator:
        """A generator that depends on the seed and the parameter's full name only."""
        digest = hashlib.sha256(name.encode()).digest()
        return np.random.default_rng([self.seed, *np.frombuffer(digest[:16], np.uint32).tolist()])


def check_names(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, np.ndarray]) -> None:
    """Given parameter values belong to parameters of the same name and shape."""
    if unknown := sorted(set(given) - set(wanted)):
        raise ProgramError(
            f"values were given for parameters {unknown} that the programs do not have; expected some of "
            f"{sorted(wanted)}. Check the programs, and the name of each module."
        )
    for name, value in given.items():
        if tuple(np.shape(value)) != tuple(wanted[name]):
            raise ProgramError(
                f"parameter {name!r}: expected shape {tuple(wanted[name])}; got {tuple(np.shape(value))}. "
                "Build the network with the sizes it was saved with."
            )
