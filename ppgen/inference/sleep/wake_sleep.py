"""The wake-sleep algorithm."""

from dataclasses import dataclass

from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import Algorithm, Losses
from ppgen.inference.estimators import per_row
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint


@dataclass(frozen=True)
class WakeSleep(Algorithm):
    r"""Wake: the model explains data by the guide. Sleep: the guide explains the model's dreams (Hinton et al., 1995).

    .. math:: \max_p E_{q(z|x)} \log p(x, z), \qquad \max_q E_{p(x, z)} \log q(z | x)
    """

    needs = (needs.densities, needs.a_guide, needs.a_latent_site, needs.a_dreamable_model)

    def losses(self, p: Joint, q: Joint, batch: Batch) -> Losses:
        """Minus the two log densities, in nats per row."""
        awake = q.draw(batch, pathwise=False, density=False)
        dream = p.dream(batch)
        return {
            "model": -per_row(p.log_prob(batch | awake.values), batch),
            "guide": -per_row(q.log_prob(batch | dream.values), batch),
        }
