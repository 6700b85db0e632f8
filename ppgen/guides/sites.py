"""The latent sites of a model on the whole real line, and the plates they lie in."""

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ppgen import nn, ops
from ppgen.backends.sites import Site
from ppgen.errors import ProgramError
from ppgen.language import dist, module, param, plate, sample
from ppgen.problem.batch import Batch
from ppgen.problem.problem import Problem

HIDDEN = (64, 64)  # of the encoder of local sites, where batches are parts of the data


@dataclass(frozen=True)
class Latent:
    """A latent site of the model, as a function of unconstrained numbers.

    Attributes:
        site: the site.
        onto: the bijection from the reals onto its support.
        row_dim: where the rows lie among its batch axes, counted from the right; None for a global site.
    """

    site: Site
    onto: Any
    row_dim: int | None

    @cached_property
    def real_shape(self) -> tuple[int, ...]:
        """Shape of the unconstrained value: the site's, but for the event axes that the bijection changes."""
        return tuple(self.onto.inverse_shape((*self.site.batch_shape, *self.site.event_shape)))

    @cached_property
    def real_event(self) -> tuple[int, ...]:
        """The event axes of the unconstrained value."""
        return self.real_shape[len(self.site.batch_shape) :]

    @cached_property
    def width(self) -> int:
        """How many numbers one row of the site holds (all of it, where it is global)."""
        axis = None if self.row_dim is None else len(self.site.batch_shape) + self.row_dim
        return math.prod(n for i, n in enumerate(self.real_shape) if i != axis)

    def shape(self, rows: int) -> tuple[int, ...]:
        """Shape of the unconstrained value of so many rows."""
        shape = list(self.real_shape)
        if self.row_dim is not None:
            shape[len(self.site.batch_shape) + self.row_dim] = rows
        return tuple(shape)

    def unflat(self, flat: ops.Array) -> ops.Array:
        """The unconstrained value of flat numbers: [..., width], or [..., rows, width] where the site is local."""
        if self.row_dim is None:
            return flat.reshape((*flat.shape[:-1], *self.real_shape))
        axis = len(self.site.batch_shape) + self.row_dim
        others = [n for i, n in enumerate(self.real_shape) if i != axis]
        lead = len(flat.shape) - 2
        value = flat.reshape((*flat.shape[:-1], *others))
        return ops.moveaxis(value, lead, lead + axis)

    def log_slope(self, real: ops.Array, value: ops.Array) -> ops.Array:
        """Log |d value / d real|, summed over the event: shaped like the site's batch."""
        slope = self.onto.log_abs_det_jacobian(real, value)
        extra = len(self.site.event_shape) - self.onto.codomain.event_dim
        return ops.sum(slope, tuple(range(-extra, 0))) if extra else slope


class Latents:
    """The latent sites of a problem's model.

    Args:
        problem: a problem without a guide.
        owner: the guide that asks, for messages.
    """

    def __init__(self, problem: Problem, owner: str) -> None:
        self.problem, model = problem, problem.model
        latent = model.latent(problem.data)
        for site in latent:
            if not site.has_reals:
                what = (
                    "discrete"
                    if site.support.discrete
                    else "not the image of the reals under a map that the library knows"
                )
                raise ProgramError(
                    f"{owner} is a guide of continuous sites; site {site.name!r} of the model is {what}, {site.support}. "
                    "Write a guide, or sum a discrete site out with ppgen.MaximumLikelihood()."
                )
        example = Batch.of_data(problem.device(problem.example))
        draw = problem.joints()["model"].draw(example)
        self.sites = [
            Latent(
                site, problem.backend.bijection(draw.first(site.name)), None if model.one_row else site.row_dim(problem.rows)
            )
            for site in latent
        ]  # fmt: skip

    @property
    def shared(self) -> list[Latent]:
        """Sites that all rows share."""
        return [latent for latent in self.sites if latent.row_dim is None]

    @property
    def local(self) -> list[Latent]:
        """Sites in the plate of rows."""
        return [latent for latent in self.sites if latent.row_dim is not None]

    @property
    def observed(self) -> tuple[str, ...]:
        """What an encoder of local sites reads: all entries of the data."""
        return tuple(sorted(self.problem.data))

    def guide(self, body: Callable[[int, dict[str, Any]], None]) -> Callable[..., None]:
        """A program of the rows' number and the data."""
        names = self.observed

        def program(rows: int, **data: Any) -> None:
            body(rows, data)

        kinds = inspect.Parameter.KEYWORD_ONLY
        program.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]  # inspect reads it
            [inspect.Parameter("rows", kinds), *(inspect.Parameter(n, kinds) for n in names if self.local)]
        )
        return program

    def together(self, name: str, distribution: Any, rows: int) -> ops.Array:
        """Draw one variable for all sites that rows do not have for themselves, [width]; where the data are one row, in it."""
        if not self.problem.model.one_row:
            return sample(name, distribution, auxiliary=True)
        with plate(self.problem.rows, rows):
            return sample(name, distribution, auxiliary=True)[..., 0, :]

    @contextmanager
    def plates(self, site: Site, rows: int) -> Iterator[None]:
        """The plates of a site."""
        with ExitStack() as stack:
            for name, (dim, size) in sorted(site.plates.items(), key=lambda item: item[1]):
                stack.enter_context(plate(name, rows if name == self.problem.rows else size, dim=dim))
            yield

    def numbers(self, name: str, latents: list[Latent], rows: int, data: dict[str, Any], start: float) -> ops.Array:
        """Numbers for each latent variable: a parameter for each, or what an encoder of the data says of local ones.

        Flat, [width] for global sites; [rows, width] for local ones.
        """
        width = sum(latent.width for latent in latents)
        if latents[0].row_dim is None:
            return param(name, np.full(width, start))
        if self.problem.full_batch:
            return param(name, np.full((self.problem.size, width), start))
        columns = ops.concatenate([1.0 * data[n].reshape(rows, -1) for n in self.observed], -1)
        inputs = sum(math.prod(self.problem.entries[n]) for n in self.observed)
        return start + module(name, nn.MLP(inputs, *HIDDEN, width))(columns)


def give(latents: Latents, latent: Latent, real: ops.Array, rows: int) -> None:
    """Give a site the image of a drawn value on the reals; the density of the draw becomes its own."""
    value = latent.onto(real)
    with latents.plates(latent.site, rows):
        event_dim = len(latent.site.event_shape)
        sample(latent.site.name, dist.Delta(value, log_density=-latent.log_slope(real, value), event_dim=event_dim))
