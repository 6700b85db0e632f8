"""The wake-sleep algorithm."""

from collections.abc import Mapping
from dataclasses import dataclass

from ppgen import ops
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import Algorithm, per_row
from ppgen.joint import Batch, Joint


@dataclass(frozen=True)
class WakeSleep(Algorithm):
    r"""Wake: the model explains data by the guide. Sleep: the guide explains the model's dreams (Hinton et al., 1995).

    .. math:: \max_p E_{q(z|x)} \log p(x, z), \qquad \max_q E_{p(x, z)} \log q(z | x)
    """

    needs = (needs.densities, needs.a_guide, needs.a_latent_site, needs.a_dreamable_model)

    def losses(self, p: Joint, q: Joint, batch: Batch) -> Mapping[str, ops.Array]:
        """Minus the two log densities, in nats per row."""
        awake = q.draw(batch)
        dream = p.dream(batch)
        return {
            "model": -per_row(p.log_prob(batch | awake.values), batch),
            "guide": -per_row(q.log_prob(batch | dream.values), batch),
        }
