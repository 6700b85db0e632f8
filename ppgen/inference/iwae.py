"""The importance-weighted bound."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ppgen import ops
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import Algorithm, option, per_row, positive, valued
from ppgen.joint import Batch, Joint


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
        return (needs.densities, needs.weights, needs.a_guide, *pathwise, needs.weights_of_the_full_data)

    def losses(self, p: Joint, q: Joint, batch: Batch) -> Mapping[str, ops.Array]:
        """Minus the bound, in nats per row."""
        pathwise = self.gradient != "vimco" or not q.reparameterised()
        z = q.draw(batch, self.particles, pathwise=pathwise)
        log_q = q.frozen.log_prob(batch | z.values) if self.gradient in ("stl", "dreg") else z.log_prob
        log_w = p.pool(p.log_prob(batch | z.values) - log_q, batch)
        bound = ops.logmeanexp(log_w, 0)
        loss = -per_row(bound[None], batch)

        if self.gradient == "dreg":
            weight = ops.stop_gradient(ops.softmax(log_w, 0))
            return {"model": loss, "guide": valued(loss, -ops.sum(ops.square(weight) * log_w) / batch.rows)}
        if self.gradient == "vimco":
            advantage = ops.stop_gradient(bound - without_each(log_w))
            score = p.pool(z.score, batch)
            return {"model": loss, "guide": valued(loss, loss - ops.sum(advantage * score) / batch.rows)}
        return {"model": loss, "guide": loss}


def without_each(log_w: ops.Array) -> ops.Array:
    """The bound with each particle's weight replaced by the geometric mean of the others, [particles, rows]."""
    k = log_w.shape[0]
    others = (ops.sum(log_w, 0, keepdims=True) - log_w) / (k - 1)
    itself = ops.eye(k)[:, :, None] > 0
    replaced = ops.where(itself, others[:, None], log_w[None])
    return ops.logsumexp(replaced, 1) - math.log(k)
