"""Adversarially learned inference: a critic on data and latent variables together."""

from dataclasses import dataclass
from typing import Any, ClassVar

from ppgen import ops
from ppgen.inference import requirements as needs
from ppgen.inference.adversarial.gan import as_critic
from ppgen.inference.algorithm import Algorithm, Played, Turn, option, positive
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint
from ppgen.problem.problem import Problem


@dataclass(frozen=True)
class ALI(Algorithm):
    r"""Model and guide make their joint distributions alike for a critic (Dumoulin et al., 2017; BiGAN, Donahue et al., 2017).

    .. math::
        \max_c E_{data(x) q(z|x)} \log \sigma(c(x, z)) + E_{p(x, z)} \log(1 - \sigma(c(x, z))), \qquad
        \max_{p, q} E_{data(x) q(z|x)} \log(1 - \sigma(c(x, z))) + E_{p(x, z)} \log \sigma(c(x, z))

    At the best critic c is log q(z|x) data(x) - log p(x, z). Neither density is used: both programs may be implicit.

    Args:
        critic: a `ppgen.Critic` on the sites that it is to look at; or a network of the observed and the latent sites,
            flattened and joined in program order; by default a network with two hidden layers of 128.
        emit: what the model's observed sites send: their "mean", or a reparameterised "draw".
        critic_steps: updates of the critic per update of the two programs.
    """

    roles: ClassVar[tuple[str, ...]] = ("model", "guide", "critic")

    critic: Any = None
    emit: str = "mean"
    critic_steps: int = 1

    def __post_init__(self) -> None:
        option("emit", self.emit, ("mean", "draw"), "ALI")
        positive("critic_steps", self.critic_steps, "ALI")

    @property
    def schedule(self) -> tuple[tuple[str, ...], ...]:
        """The critic moves first, `critic_steps` times, then model and guide together."""
        return (("critic",),) * self.critic_steps + (("model", "guide"),)

    def requirements(self) -> tuple:
        """A guide; draws of both programs that carry gradients."""
        emission = needs.a_mean_emission if self.emit == "mean" else needs.a_reparameterised_emission
        return (
            needs.a_guide,
            needs.a_latent_site,
            needs.local_latents,
            needs.a_reparameterised_guide,
            needs.a_dreamable_model,
            needs.complete_data,
            needs.gradient_to_the_model,
            emission,
        )

    def brings(self, problem: Problem) -> dict[str, Any]:
        """The critic."""
        observed = [site.name for site in problem.model.observed(problem.data)]
        latent = [site.name for site in problem.model.latent(problem.data)]
        return {"critic": as_critic(self.critic, (*observed, *latent)).program("critic", problem)}

    def play(self, p: Joint, q: Joint, batch: Batch, turn: Turn) -> Played:
        """Binary cross-entropies of the critic, in nats per row."""
        critic = turn.joints["critic"]
        explicit = [site.name for site in p.program.observed(batch.observed) if site.has_density]
        inferred = q.draw(batch, density=False)
        dreamt = p.dream(batch, emit=explicit if self.emit == "mean" else ())
        of_guide, of_model = critic(batch | inferred.values), critic(batch | dreamt.values)
        fooled = ops.mean(ops.softplus(of_guide)) + ops.mean(ops.softplus(-of_model))
        caught = ops.mean(ops.softplus(-of_guide)) + ops.mean(ops.softplus(of_model))
        return Played({"model": fooled, "guide": fooled, "critic": caught})
