"""Generative adversarial training."""

from dataclasses import dataclass
from typing import Any, ClassVar

from ppgen import ops
from ppgen.errors import ProgramError
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import Algorithm, Played, Turn, option, positive
from ppgen.inference.critic import Critic
from ppgen.problem.batch import Batch
from ppgen.problem.joint import Joint
from ppgen.problem.problem import Problem


@dataclass(frozen=True)
class GAN(Algorithm):
    r"""The model learns to send samples that a critic takes for data (Goodfellow et al., 2014).

    .. math::
        \max_c E_{data} \log \sigma(c(x)) + E_p \log(1 - \sigma(c(x))), \qquad
        \max_p E_p \log \sigma(c(x))

    The generator is the same program as for any other algorithm; its density is not used.

    Args:
        critic: a `ppgen.Critic` on the sites that it is to look at; or a network of the observed sites, flattened and joined
            in program order, with one output; or a program; by default a network with two hidden layers of 128.
        emit: what the observed sites send: their "mean", or a reparameterised "draw". An implicit site, which has no
            density (`ppgen.distributions.Implicit`), sends its draw either way.
        loss: the model's loss: "nonsaturating" -log s(c(x)), or "saturating" log(1 - s(c(x))), the minimax game itself.
        critic_steps: updates of the critic per update of the model.
    """

    roles: ClassVar[tuple[str, ...]] = ("model", "critic")

    critic: Any = None
    emit: str = "mean"
    loss: str = "nonsaturating"
    critic_steps: int = 1

    def __post_init__(self) -> None:
        option("emit", self.emit, ("mean", "draw"), "GAN")
        option("loss", self.loss, ("nonsaturating", "saturating"), "GAN")
        positive("critic_steps", self.critic_steps, "GAN")

    @property
    def schedule(self) -> tuple[tuple[str, ...], ...]:
        """The critic moves first, `critic_steps` times, then the model."""
        return (("critic",),) * self.critic_steps + (("model",),)

    def requirements(self) -> tuple:
        """Samples that carry gradients to the model."""
        emission = needs.a_mean_emission if self.emit == "mean" else needs.a_reparameterised_emission
        return (
            needs.a_model_that_learns,
            needs.a_dreamable_model,
            needs.complete_data,
            needs.gradient_to_the_model,
            emission,
        )

    def brings(self, problem: Problem) -> dict[str, Any]:
        """The critic."""
        critic = as_critic(self.critic)
        if unseen := [s.name for s in problem.model.latent(problem.data) if s.name in (critic.sites or ())]:
            raise ProgramError(
                f"GAN: the critic looks at {unseen}, which the data do not have; expected observed sites or arguments. Use "
                "ppgen.ALI, whose guide supplies latent sites."
            )
        return {"critic": critic.program("critic", problem)}

    def play(self, p: Joint, q: Joint, batch: Batch, turn: Turn) -> Played:
        """Binary cross-entropies of the critic, in nats per row."""
        critic = turn.joints["critic"]
        explicit = [site.name for site in p.program.observed(batch.observed) if site.has_density]
        fake = p.dream(batch, emit=explicit if self.emit == "mean" else ())
        real_score, fake_score = critic(batch), critic(batch | fake.values)
        fooled = ops.mean(ops.softplus(-fake_score))
        caught = ops.mean(ops.softplus(fake_score))
        return Played(
            {
                "critic": ops.mean(ops.softplus(-real_score)) + caught,
                "model": fooled if self.loss == "nonsaturating" else -caught,
            }
        )


def as_critic(given: Any, sites: tuple[str, ...] | None = None) -> Critic:
    """A critic as it was given, or made of a network; it looks at `sites` unless it says at what."""
    critic = given if isinstance(given, Critic) else Critic(net=given)
    return critic if critic.sites is not None else Critic(sites, critic.net)
