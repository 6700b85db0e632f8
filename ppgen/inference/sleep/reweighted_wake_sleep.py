"""Reweighted wake-sleep."""

from dataclasses import dataclass

from ppgen import ops
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import Algorithm, Losses, positive
from ppgen.inference.estimators import per_row
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint


@dataclass(frozen=True)
class ReweightedWakeSleep(Algorithm):
    r"""The model climbs the importance-weighted bound, the guide follows weighted draws (Bornschein & Bengio, 2015).

    .. math::
        \max_p \log \tfrac1K \sum_k w_k, \qquad
        \max_q \sum_k \bar w_k \log q(z_k | x), \quad z_k \sim q \text{ held fixed}

    The weights are normalised within each row. No gradient passes through a draw, so discrete sites are as good as
    continuous ones.

    Args:
        particles: draws K per row.
        wake_phase: the guide learns from weighted draws on data.
        sleep_phase: the guide learns from the model's dreams. With both phases the two losses are averaged.
    """

    particles: int = 5
    wake_phase: bool = True
    sleep_phase: bool = False

    def __post_init__(self) -> None:
        positive("particles", self.particles, "ReweightedWakeSleep")
        if not (self.wake_phase or self.sleep_phase):
            raise ValueError("ReweightedWakeSleep: expected wake_phase or sleep_phase for the guide; got neither.")
        if self.wake_phase and self.particles < 2:
            raise ValueError(
                f"ReweightedWakeSleep: expected particles >= 2 in the wake phase, so that weights differ; "
                f"got {self.particles}."
            )

    def requirements(self) -> tuple:
        """A guide, weights on the full data, and a model that can dream where it has to."""
        sleep = (needs.a_dreamable_model,) if self.sleep_phase else ()
        return (
            needs.densities,
            needs.weights,
            needs.a_guide,
            needs.a_latent_site,
            needs.weights_of_the_full_data,
            *sleep,
        )

    def losses(self, p: Joint, q: Joint, batch: Batch) -> Losses:
        """Minus the bound for the model; minus weighted log densities for the guide; nats per row."""
        values = batch | q.draw(batch, self.particles, pathwise=False, density=False).values
        log_p, log_q = p.log_prob(values), q.trace(values).latent.log_prob
        log_w = p.pool(log_p - ops.stop_gradient(log_q), batch)
        losses = {"model": -per_row(ops.logmeanexp(log_w, 0)[None], batch)}

        guide = []
        if self.wake_phase:
            weight = ops.stop_gradient(ops.softmax(log_w, 0))
            guide.append(-ops.sum(weight * p.pool(log_q, batch)) / batch.rows)
        if self.sleep_phase:
            dream = p.dream(batch)
            guide.append(-per_row(q.log_prob(batch | dream.values), batch))
        losses["guide"] = sum(guide) / len(guide)
        return losses
