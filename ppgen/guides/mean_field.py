"""A Gaussian for each latent variable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ppgen import ops
from ppgen.guides.sites import Latents
from ppgen.language import dist, sample
from ppgen.problem.automatic import Automatic
from ppgen.problem.problem import Problem

START = -2.0  # log scale at the start: narrow, so that first steps see what the means do


@dataclass(frozen=True)
class MeanField(Automatic):
    r"""Independent Gaussians on the whole real line, mapped onto each site's support (Kucukelbir et al., 2017).

    .. math:: q(z) = \prod_i N(f_i^{-1}(z_i); \mu_i, \sigma_i) \, |d f_i^{-1} / d z_i|

    Global sites have a mean and a scale for each number. Local ones (in the plate of rows) have them for each row, where
    every step sees all rows; with minibatches an encoder, a network of the row's data, gives them.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows):
        ...     scale = sample("scale", dist.HalfNormal(1.0))
        ...     with plate("data", rows):
        ...         sample("x", dist.Normal(0.0, scale))
        >>> data = {"x": np.ones(8, np.float32)}
        >>> fit = ppgen.fit(model, ppgen.guides.MeanField(), data=data, steps=1)
        >>> sorted(fit.params)
        ['guide.scale.loc', 'guide.scale.log_scale']
    """

    def program(self, problem: Problem) -> Callable[..., Any]:
        latents = Latents(problem, "MeanField")

        def body(rows: int, data: dict[str, Any]) -> None:
            for latent in latents.sites:
                name = f"guide.{latent.site.name}"
                loc = latent.unflat(latents.numbers(f"{name}.loc", [latent], rows, data, 0.0))
                log_scale = latent.unflat(latents.numbers(f"{name}.log_scale", [latent], rows, data, START))
                real = dist.Normal(loc, ops.exp(log_scale)).to_event(len(latent.real_event))
                with latents.plates(latent.site, rows):
                    sample(latent.site.name, pushed(real, latent))

        return latents.guide(body)


def pushed(real: Any, latent: Any) -> Any:
    """The distribution of f(u) for u from a distribution on the reals: of the site's event shape."""
    through = dist.TransformedDistribution(real, [latent.onto])
    missing = len(latent.site.event_shape) - len(through.event_shape)
    return through.to_event(missing) if missing else through
