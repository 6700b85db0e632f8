"""The evidence lower bound."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import Algorithm, Losses, Played, Turn, option, positive
from ppgen.inference.critic import Critic
from ppgen.inference.estimators import analytic_kl, others_mean, per_row, scored, sticking_the_landing, valued
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint
from ppgen.problem.problem import Problem

DECAY = 0.95  # of a moving average, a step


@dataclass(frozen=True)
class ELBO(Algorithm):
    r"""Model and guide climb one bound (Kingma & Welling, 2014; Rezende et al., 2014).

    .. math:: \log p(x) \ge E_{q(z|x)}[\log p(x, z) - \log q(z | x)]

    Args:
        particles: draws K per row.
        gradient: how the guide's gradient is estimated. "reparam": through reparameterised draws. "stl": likewise,
            without the score term, which vanishes at the exact posterior (Roeder et al., 2017). "score": draws without
            a gradient (discrete sites) get the score function, the others stay pathwise; a guide whose every site is
            reparameterised gets the score function throughout.
        analytic_kl: integrate out those KL terms that have a closed form, given the sites before; the guide then draws
            its sites in the model's order.
        baseline: for "score": None takes the mean of the other particles (needs K > 1; Kool et al., 2019), "average" the
            moving average of earlier steps; a network or program of the observed sites is learned as a baseline of its own
            (Mnih & Gregor, 2014).

    Example:
        >>> import ppgen
        >>> ppgen.ELBO(particles=5, gradient="stl")
        ELBO(particles=5, gradient='stl', analytic_kl=False, baseline=None)
    """

    particles: int = 1
    gradient: str = "reparam"
    analytic_kl: bool = False
    baseline: Any = None

    def __post_init__(self) -> None:
        positive("particles", self.particles, "ELBO")
        option("gradient", self.gradient, ("reparam", "stl", "score"), "ELBO")
        if self.gradient == "stl" and self.analytic_kl:
            raise ValueError("ELBO: expected gradient='stl' or analytic_kl=True; got both. STL needs the sampled KL.")
        if isinstance(self.baseline, str):
            option("baseline", self.baseline, ("average",), "ELBO")
        if self.gradient == "score" and self.baseline is None and self.particles < 2:
            raise ValueError(
                "ELBO: expected particles >= 2 with gradient='score', so that each draw has others for its baseline; "
                f"got {self.particles}. Raise particles, or pass baseline=nn.MLP(...)."
            )

    @property
    def roles(self) -> tuple[str, ...]:
        """Model and guide, and a baseline where one is learned."""
        return ("model", "guide", "baseline") if self._learned else ("model", "guide")

    @property
    def _learned(self) -> bool:
        return self.baseline is not None and not isinstance(self.baseline, str)

    def requirements(self) -> tuple:
        """A guide; reparameterised unless the score function is used."""
        order = (needs.a_guide_in_the_models_order,) if self.analytic_kl else ()
        if self.gradient == "score":
            return (
                needs.densities,
                needs.a_guide,
                needs.factors_of_latent_sites,
                needs.known_densities_of_draws,
                needs.held_draws_of_the_full_data,
                *order,
            )
        return (
            needs.densities,
            needs.a_guide,
            needs.factors_of_latent_sites,
            needs.known_densities_of_draws,
            needs.a_reparameterised_guide,
            *order,
        )

    def brings(self, problem: Problem) -> dict[str, Any]:
        """The learned baseline."""
        return {"baseline": Critic(net=self.baseline).program("baseline", problem)} if self._learned else {}

    def start(self, problem: Problem) -> Any:
        """The moving average: its sum and the weight of what it has seen."""
        return (np.zeros((), np.float32),) * 2 if self.baseline == "average" else None

    def play(self, p: Joint, q: Joint, batch: Batch, turn: Turn) -> Played:
        """Minus the bound, in nats per row."""
        if self.gradient != "score":
            return Played(self.losses(p, q, batch))
        z = q.draw(batch, self.particles, pathwise=not q.reparameterised(batch.observed))
        log_w = analytic_kl(p, batch, z) if self.analytic_kl else p.log_weight(batch, z)
        loss = -per_row(log_w, batch)

        def pool(weights: ops.Array) -> ops.Array:
            """A draw of one row is judged by that row, one that all rows share by all of them."""
            return p.pool(weights, batch) if z.held.shared else weights

        log_w, score = pool(log_w), pool(z.held.log_prob)

        def guided(baseline: ops.Array) -> dict[str, ops.Array]:
            return {"model": loss, "guide": valued(loss, -per_row(scored(log_w, score, baseline), batch))}

        if self.baseline is None:
            return Played(guided(others_mean(log_w)))
        if self.baseline == "average":
            total, weight = turn.carry
            seen = ops.stop_gradient(ops.mean(log_w))
            carry = DECAY * total + (1 - DECAY) * seen, DECAY * weight + (1 - DECAY)
            return Played(guided(total / ops.clip(weight, 1 - DECAY)), carry)
        guess = pool(turn.joints["baseline"](batch))
        return Played(guided(guess) | {"baseline": per_row(ops.square(ops.stop_gradient(log_w) - guess), batch)})

    def losses(self, p: Joint, q: Joint, batch: Batch) -> Losses:
        """Minus the bound, in nats per row, with a gradient through the draws."""
        z = q.draw(batch, self.particles)
        if self.gradient == "stl":
            log_w = sticking_the_landing(p, q, batch, z)
        else:
            log_w = analytic_kl(p, batch, z) if self.analytic_kl else p.log_weight(batch, z)
        loss = -per_row(log_w, batch)
        return {"model": loss, "guide": loss}
