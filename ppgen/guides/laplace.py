"""A Gaussian at the mode, as wide as the density is flat there."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.backends.recorder import training
from ppgen.errors import ProgramError, tell
from ppgen.guides.mean_field import START
from ppgen.guides.sites import Latents, give
from ppgen.inference.procedure import SamplingWarning
from ppgen.inference.target import target_of
from ppgen.language import dist, param
from ppgen.problem.automatic import Automatic
from ppgen.problem.problem import Problem

CLOSE = 0.1  # nats that one more step of Newton may promise before the point is called no mode


@dataclass(frozen=True)
class Laplace(Automatic):
    r"""Laplace's approximation: a Gaussian on the whole real line, at the mode of the posterior (MacKay, 2003, chapter 27).

    .. math:: u^* = \arg\max_u \log p(f(u), x) + \log |\partial f / \partial u|, \qquad
              z = f(u), \quad u \sim N(u^*, -H^{-1})

    Steps climb to the mode, so the losses are those of a point. The Hessian H is taken once, at the end of `ppgen.fit`, over
    all latent sites together, those in the plate of rows too. A warning tells where the point is no mode yet: steps were too
    few. All rows have to be seen at each step.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows):
        ...     loc = sample("loc", dist.Normal(0.0, 1.0))
        ...     with plate("data", rows):
        ...         sample("x", dist.Normal(loc, 1.0))
        >>> data = {"x": np.ones(3, np.float32)}
        >>> fit = ppgen.fit(model, ppgen.guides.Laplace(), data=data, steps=300, optimizer=ppgen.Adam(0.05))
        >>> fit.params["guide.loc"].round(2), fit.params["guide.scale_tril"].round(2)  # 3 / 4, and sqrt(1 / 4)
        (array([0.75], dtype=float32), array([[0.5]], dtype=float32))
    """

    def program(self, problem: Problem) -> Callable[..., Any]:
        if not problem.full_batch:
            raise ProgramError(
                "Laplace takes the curvature of all rows together; expected every step to see all of them; got minibatches "
                "or a stream. Leave batch_size out, or use ppgen.guides.FullRank()."
            )
        latents = Latents(problem, "Laplace")
        sites = sorted(latents.sites, key=lambda latent: latent.site.name)  # as they lie in a `Target`

        def body(rows: int, data: dict[str, Any]) -> None:
            shapes = [latent.shape(rows) for latent in sites]
            sizes = list(map(math.prod, shapes))
            width = sum(sizes)
            loc = param("guide.loc", np.zeros(width))
            tril = param("guide.scale_tril", math.exp(START) * np.eye(width), "lower_cholesky")
            together = dist.Delta(loc, event_dim=1) if training() else dist.MultivariateNormal(loc, scale_tril=tril)
            flat = latents.together("guide.all", together, rows)
            for latent, part, shape in zip(sites, ops.split(flat, sizes), shapes, strict=True):
                give(latents, latent, part.reshape((*part.shape[:-1], *shape)), rows)

        return latents.guide(body)

    def finish(self, problem: Problem, parameters: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
        backend = problem.backend
        target = target_of(problem, parameters, data, backend.key(problem.seed))
        slope = ops.grad(lambda u: target.log_density(u[None])[0])

        @backend.compile
        def derivatives(u: ops.Array, along: ops.Array) -> tuple[ops.Array, ops.Array]:
            """The gradient at u, and the row of the Hessian that belongs to a unit vector."""
            with ops.activate(backend):
                return slope(u), ops.grad(lambda u: ops.sum(slope(u) * along))(u)

        u = parameters["guide.loc"]
        number = backend.numpy(u).dtype
        units = np.eye(target.width, dtype=number)
        found = [tuple(map(backend.numpy, derivatives(u, backend.array(unit)))) for unit in units]
        gradient = found[0][0].astype(float)
        precision = -np.array([row for _, row in found], float)
        precision = (precision + precision.T) / 2
        if not np.isfinite(precision).all() or np.linalg.eigvalsh(precision)[0] <= 0:
            self.warn("the density is not curved downwards in all directions, so the covariance stays at its start")
            return dict(parameters)
        covariance = np.linalg.inv(precision)
        if (gain := gradient @ covariance @ gradient / 2) > CLOSE:
            self.warn(f"one step of Newton's method would gain {gain:.2g} nats")
        tril = np.linalg.cholesky((covariance + covariance.T) / 2).astype(number)
        return backend.load(parameters, {"guide.scale_tril": tril}, problem.specs)

    def warn(self, what: str) -> None:
        """Tell that training has not come to the mode."""
        tell(
            f"guides.Laplace: the point that was reached is no mode yet: {what}. Take more steps, or larger ones, before you "
            "trust its draws.",
            SamplingWarning,
        )
