"""The evidence lower bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ppgen import ops
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import Algorithm, Pairing, option, per_row, positive, valued
from ppgen.inference.networks import scalar_program
from ppgen.joint import Batch, Joint


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
        baseline: for "score": None takes the mean of the other particles (needs K > 1; Kool et al., 2019), a network
            or program of the observed sites is learned as a baseline of its own (Mnih & Gregor, 2014).

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
        if self.gradient == "score" and self.baseline is None and self.particles < 2:
            raise ValueError(
                "ELBO: expected particles >= 2 with gradient='score', so that each draw has others for its baseline; "
                f"got {self.particles}. Raise particles, or pass baseline=nn.MLP(...)."
            )

    @property
    def roles(self) -> tuple[str, ...]:
        """Model and guide, and a baseline where one is learned."""
        return ("model", "guide") if self.baseline is None else ("model", "guide", "baseline")

    def requirements(self) -> tuple:
        """A guide; reparameterised unless the score function is used."""
        order = (needs.a_guide_in_the_models_order,) if self.analytic_kl else ()
        if self.gradient == "score":
            return (
                needs.densities,
                needs.a_guide,
                needs.known_densities_of_draws,
                needs.weights_of_the_full_data,
                *order,
            )
        return (needs.densities, needs.a_guide, needs.known_densities_of_draws, needs.a_reparameterised_guide, *order)

    def programs(self, pairing: Pairing) -> dict[str, Any]:
        """The learned baseline."""
        return {} if self.baseline is None else {"baseline": scalar_program("baseline", self.baseline, pairing)}

    def losses(self, p: Joint, q: Joint, batch: Batch, baseline: Joint | None = None) -> Mapping[str, ops.Array]:
        """Minus the bound, in nats per row."""
        if self.gradient == "stl":
            z = q.draw(batch, self.particles)
            loss = -per_row(p.log_prob(batch | z.values) - q.frozen.log_prob(batch | z.values), batch)
            return {"model": loss, "guide": loss}

        pathwise = self.gradient == "reparam" or not q.reparameterised()
        z = q.draw(batch, self.particles, pathwise=pathwise, distributions=self.analytic_kl)
        log_w = p.log_weight(batch, z, analytic_kl=self.analytic_kl)
        loss = -per_row(log_w, batch)
        if self.gradient == "reparam":
            return {"model": loss, "guide": loss}

        log_w, score = p.pool(log_w, batch), p.pool(z.score, batch)
        if baseline is None:
            surrogate = per_row(scored(log_w, score, others_mean(log_w)), batch)
            return {"model": loss, "guide": valued(loss, -surrogate)}
        guess = p.pool(baseline(batch), batch)
        return {
            "model": loss,
            "guide": valued(loss, -per_row(scored(log_w, score, guess), batch)),
            "baseline": per_row(ops.square(ops.stop_gradient(log_w) - guess), batch),
        }


def scored(log_w: ops.Array, score: ops.Array, baseline: ops.Array) -> ops.Array:
    """A surrogate whose gradient is that of E[log w]: pathwise terms plus (log w - baseline) d score."""
    return log_w + ops.stop_gradient(log_w - baseline) * score


def others_mean(log_w: ops.Array) -> ops.Array:
    """For each particle the mean of the others, [particles, rows]: a baseline that does not depend on the particle."""
    k = log_w.shape[0]
    return (ops.sum(log_w, 0, keepdims=True) - log_w) / (k - 1)
