"""The importance-weighted bound."""

from dataclasses import dataclass

from ppgen import ops
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import Algorithm, Losses, option, positive
from ppgen.inference.estimators import doubly_reparameterised, per_row, sticking_the_landing, vimco
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint


@dataclass(frozen=True)
class IWAE(Algorithm):
    r"""A bound that tightens with the number of particles (Burda et al., 2016).

    .. math:: \log p(x) \ge E\Big[\log \tfrac1K \sum_k w_k\Big], \qquad w_k = p(x, z_k) / q(z_k | x)

    Args:
        particles: draws K per row.
        gradient: how the guide's gradient is estimated. "reparam"; "stl": without the score term (biased for K > 1);
            "dreg": its unbiased, doubly reparameterised form (Tucker et al., 2019); "vimco": score function with
            leave-one-out baselines, for discrete sites (Mnih & Rezende, 2016).
    """

    particles: int = 5
    gradient: str = "reparam"

    def __post_init__(self) -> None:
        positive("particles", self.particles, "IWAE")
        option("gradient", self.gradient, ("reparam", "stl", "dreg", "vimco"), "IWAE")
        if self.gradient == "vimco" and self.particles < 2:
            raise ValueError(f"IWAE: expected particles >= 2 with gradient='vimco'; got {self.particles}.")

    def requirements(self) -> tuple:
        """A guide; reparameterised unless the gradient is VIMCO's."""
        pathwise = () if self.gradient == "vimco" else (needs.a_reparameterised_guide,)
        common = (needs.densities, needs.weights, needs.a_guide, needs.factors_of_latent_sites)
        return (*common, *pathwise, needs.weights_of_the_full_data)

    def losses(self, p: Joint, q: Joint, batch: Batch) -> Losses:
        """Minus the bound, in nats per row."""
        z = q.draw(batch, self.particles, pathwise=self.gradient != "vimco" or not q.reparameterised(batch.observed))
        stl = self.gradient in ("stl", "dreg")
        log_w = p.pool(sticking_the_landing(p, q, batch, z) if stl else p.log_weight(batch, z), batch)
        loss = -per_row(ops.logmeanexp(log_w, 0)[None], batch)
        if self.gradient == "dreg":
            return {"model": loss, "guide": doubly_reparameterised(log_w, batch)}
        if self.gradient == "vimco":
            return {"model": loss, "guide": vimco(log_w, p.pool(z.held.log_prob, batch), batch)}
        return {"model": loss, "guide": loss}
