"""A point for each latent variable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ppgen.guides.sites import Latents
from ppgen.language import dist, sample
from ppgen.problem.automatic import Automatic
from ppgen.problem.problem import Problem


@dataclass(frozen=True)
class MAP(Automatic):
    r"""All mass on one point: with `ppgen.ELBO()` the maximum of the posterior.

    .. math:: \max_z \log p(x, z)

    A point has no density, so what the fit reports is the joint at that point, and no bound on the evidence. The density is
    that of the sites as they are written: a maximum moves where a variable is written on another scale.
    """

    def program(self, problem: Problem) -> Callable[..., Any]:
        latents = Latents(problem, "MAP")

        def body(rows: int, data: dict[str, Any]) -> None:
            for latent in latents.sites:
                real = latent.unflat(latents.numbers(f"guide.{latent.site.name}.loc", [latent], rows, data, 0.0))
                with latents.plates(latent.site, rows):
                    sample(latent.site.name, dist.Delta(latent.onto(real), event_dim=len(latent.site.event_shape)))

        return latents.guide(body)
