"""Renyi's variational bound."""

from dataclasses import dataclass

from ppgen import ops
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import Algorithm, Losses, positive
from ppgen.inference.estimators import per_row
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint


@dataclass(frozen=True)
class Renyi(Algorithm):
    r"""The K-sample bound of order alpha (Li & Turner, 2016).

    .. math:: L_\alpha = \frac{1}{1-\alpha} E\Big[\log \tfrac1K \sum_k w_k^{1-\alpha}\Big]

    `alpha=1` is the ELBO, `alpha=0` the IWAE bound; for alpha < 0 the estimate may exceed log p(x).

    Args:
        alpha: the order.
        particles: draws K per row.
    """

    alpha: float = 0.5
    particles: int = 5

    def __post_init__(self) -> None:
        positive("particles", self.particles, "Renyi")
        if not isinstance(self.alpha, int | float) or not abs(self.alpha) < float("inf"):
            raise ValueError(f"Renyi: expected alpha to be a finite number; got {self.alpha!r}.")

    def requirements(self) -> tuple:
        """A reparameterised guide; the ELBO (alpha = 1) is the only order that is a sum over rows."""
        pooled = () if self.alpha == 1 else (needs.weights_of_the_full_data,)
        common = (needs.densities, needs.weights, needs.a_guide, needs.factors_of_latent_sites)
        return (*common, needs.a_reparameterised_guide, *pooled)

    def losses(self, p: Joint, q: Joint, batch: Batch) -> Losses:
        """Minus the bound, in nats per row."""
        z = q.draw(batch, self.particles)
        log_w = p.log_weight(batch, z)
        if self.alpha == 1:
            loss = -per_row(log_w, batch)
        else:
            order = 1 - self.alpha
            power = order * p.pool(log_w, batch)
            top = ops.stop_gradient(ops.amax(power, 0))  # which the bound does not depend on
            # expm1 and log1p keep their digits where the order is near 0
            bound = top / order + ops.log1p(ops.mean(ops.expm1(power - top), 0)) / order
            loss = -per_row(bound[None], batch)
        return {"model": loss, "guide": loss}
