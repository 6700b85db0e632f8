"""Maximum likelihood, exact."""

from dataclasses import dataclass
from typing import ClassVar

from ppgen import ops
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import Algorithm, Losses
from ppgen.inference.exact.enumeration import log_evidence
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint


@dataclass(frozen=True)
class MaximumLikelihood(Algorithm):
    r"""The exact likelihood of a model whose sites are all observed, or whose latent sites are discrete and few.

    .. math:: \max_p \log \sum_z p(x, z)

    The sum runs over every configuration of the latent sites; no guide is needed.
    """

    roles: ClassVar[tuple[str, ...]] = ("model",)
    needs = (
        needs.densities, needs.weights, needs.normalised, needs.a_model_that_learns, needs.enumerable_latents,
        needs.weights_of_the_full_data,
    )  # fmt: skip

    def losses(self, p: Joint, q: Joint, batch: Batch) -> Losses:
        """Minus log p(x), in nats per row."""
        return {"model": -ops.sum(log_evidence(p, batch)) / batch.rows}
