"""A mixture with a component for each value of a continuous latent variable."""

from dataclasses import dataclass

from ppgen import arguments, nn, ops
from ppgen.distributions.learnable import Learnable, Noise, Parameters, Support, as_float
from ppgen.errors import NoLikelihoodError


@dataclass(frozen=True)
class InfiniteMixture(Learnable):
    r"""A mixture with a component for each z: first z is drawn, then x given z.

    .. math:: p(x) = \int p(x \mid z) p(z) dz

    It draws, and that is all that can be done exactly: the integral has no closed form, so it has no density, and only
    algorithms that need none (`ppgen.GAN`) learn it as it stands. To learn it by a bound on its density, write its two
    parts as two sites of a program, with a guide q(z | x); the parameters keep their names and can be used here
    afterwards.

    Args:
        prior: p(z), with events [Z].
        likelihood: p(x | z), with a context of size Z.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, module, nn, ops, plate, sample
        >>> from ppgen.distributions import MADE, InfiniteMixture, StandardNormal
        >>> mixture = InfiniteMixture(StandardNormal(2), MADE(4, hidden=(8,), context=2))
        >>> def model(rows):
        ...     with plate("data", rows):
        ...         z = sample("z", module("prior", mixture.prior)())
        ...         sample("x", module("likelihood", mixture.likelihood)(z))
        >>> def guide(x):
        ...     with plate("data", len(x)):
        ...         loc, log_scale = module("encoder", nn.MLP(4, 8, (2, 2)))(x)
        ...         sample("z", dist.Normal(loc, ops.exp(log_scale)).to_event(1))
        >>> x = np.eye(4, dtype="float32")
        >>> fit = ppgen.fit(model, guide, data={"x": x}, algorithm=ppgen.IWAE(particles=5), steps=2)
        >>> fit.evaluate({"x": x}, particles=10).kind
        'lower bound'
        >>> p = mixture.apply({name: fit.params[name] for name in mixture.specs()})
        >>> p.event_shape, mixture.has_density
        ((4,), False)
    """

    prior: Learnable
    likelihood: Learnable

    has_density = False

    def __post_init__(self) -> None:
        arguments.kind("InfiniteMixture", "prior", self.prior, Learnable, "StandardNormal(2)")
        arguments.kind("InfiniteMixture", "likelihood", self.likelihood, Learnable, "MADE(4, context=2)")
        if self.prior.event_shape != (self.likelihood.context,):
            raise ValueError(
                f"expected a likelihood whose context is one draw of the prior, of shape {self.prior.event_shape}; got "
                f"a context of size {self.likelihood.context}. Build the likelihood with context=..."
            )

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.likelihood.event_shape

    @property
    def support(self) -> Support:
        return self.likelihood.support

    @property
    def context(self) -> int:
        return self.prior.context

    @property
    def reparameterised(self) -> bool:
        return self.prior.reparameterised and self.likelihood.reparameterised

    def specs(self) -> dict[str, nn.Spec]:
        return nn.gather(prior=self.prior, likelihood=self.likelihood)

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        raise NoLikelihoodError(
            "expected a density; got an InfiniteMixture, whose density is an integral over z without a closed form. "
            "Write its prior and its likelihood as two sites, z and x, of a program, and learn it with a guide q(z | x): "
            "ppgen.IWAE or ppgen.ELBO bound the density."
        )

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        z = self.prior.draw(nn.part(params, "prior"), noise, shape, context)
        own = nn.part(params, "likelihood")
        return self.likelihood.draw(own, noise, shape, as_float(z, own))
