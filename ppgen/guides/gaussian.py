"""One Gaussian for all global sites together."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.guides.mean_field import START
from ppgen.guides.sites import Latent, Latents, give
from ppgen.language import dist, param, plate, sample
from ppgen.problem.automatic import Automatic
from ppgen.problem.problem import Problem


class Together(Automatic):
    """A guide that draws all global sites from one variable, and the local ones of a row from another.

    A subclass gives their distributions: `shared(width)` over the global numbers, `[width]`; those of a row are Gaussians
    with a mean and a scale each.
    """

    def shared(self, width: int) -> Any:
        """The distribution of all global numbers together, of event shape (width,)."""
        raise NotImplementedError

    def program(self, problem: Problem) -> Callable[..., Any]:
        latents = Latents(problem, type(self).__name__)

        def body(rows: int, data: dict[str, Any]) -> None:
            if latents.shared:
                width = sum(latent.width for latent in latents.shared)
                share_out(latents, latents.shared, latents.together("guide.shared", self.shared(width), rows), rows)
            if latents.local:
                loc = latents.numbers("guide.rows.loc", latents.local, rows, data, 0.0)
                log_scale = latents.numbers("guide.rows.log_scale", latents.local, rows, data, START)
                local = dist.Normal(loc, ops.exp(log_scale)).to_event(1)
                with plate(problem.rows, rows, dim=-1):
                    drawn = sample("guide.rows", local, auxiliary=True)
                share_out(latents, latents.local, drawn, rows)

        return latents.guide(body)


def share_out(latents: Latents, sites: list[Latent], flat: ops.Array, rows: int) -> None:
    """Give sites parts of one drawn vector."""
    for latent, part in zip(sites, ops.split(flat, [latent.width for latent in sites]), strict=True):
        give(latents, latent, latent.unflat(part), rows)


@dataclass(frozen=True)
class FullRank(Together):
    r"""A Gaussian with a full covariance over all global sites, mapped onto their supports (Kucukelbir et al., 2017).

    .. math:: z = f(u), \qquad u \sim N(\mu, L L^T)

    Local sites (in the plate of rows) are Gaussians with a mean and a scale for each number, as in `MeanField`.
    """

    def shared(self, width: int) -> Any:
        loc = param("guide.loc", np.zeros(width))
        tril = param("guide.scale_tril", math.exp(START) * np.eye(width), "lower_cholesky")
        return dist.MultivariateNormal(loc, scale_tril=tril)


@dataclass(frozen=True)
class LowRank(Together):
    r"""A Gaussian of low rank plus a diagonal over all global sites, mapped onto their supports (Ong et al., 2018).

    .. math:: z = f(u), \qquad u \sim N(\mu, W W^T + \mathrm{diag}(d))

    Args:
        rank: number of columns of W.
    """

    rank: int = 10

    def shared(self, width: int) -> Any:
        rank = min(self.rank, width)
        loc = param("guide.loc", np.zeros(width))
        factor = param("guide.cov_factor", lambda rng: 0.1 * math.exp(START) * rng.normal(size=(width, rank)))
        diagonal = param("guide.cov_diag", np.full(width, math.exp(2 * START)), "positive")
        return dist.LowRankMultivariateNormal(loc, factor, diagonal)
