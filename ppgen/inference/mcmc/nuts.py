"""The no-U-turn sampler."""

from dataclasses import dataclass

from ppgen.backends.protocol import Kernel
from ppgen.inference.algorithm import positive
from ppgen.inference.mcmc.chains import Chains


@dataclass(frozen=True)
class NUTS(Chains):
    r"""Draws from the posterior by the no-U-turn sampler (Hoffman & Gelman, 2014), NumPyro's or Pyro's own.

    .. math:: z^{(s)} \sim p(z | x)

    Continuous latent sites are sampled, on the reals and with all rows of the data at each step; discrete ones are summed
    out, where they are few. The model's parameters stay at their values (those of another fit: `params=fit`). Chains run at
    once on NumPyro, one after another on Pyro.

    Args:
        draws: draws that each chain keeps.
        warmup: steps of each chain before these, in which its step size and mass matrix adapt.
        chains: number of chains.
        target_accept: acceptance rate that the step size aims at; a higher one takes smaller steps.
        dense_mass: let the mass matrix learn correlations, and not scales alone.
        max_tree_depth: a trajectory has at most 2 to this power steps.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows):
        ...     loc = sample("loc", dist.Normal(0.0, 10.0))
        ...     with plate("data", rows):
        ...         sample("x", dist.Normal(loc, 1.0))
        >>> data = {"x": np.array([1.0, 2.0, 3.0], np.float32)}
        >>> fit = ppgen.fit(model, data=data, algorithm=ppgen.NUTS(draws=200, warmup=200, chains=2))
        >>> fit.draws["loc"].shape, bool(abs(fit.draws["loc"].mean() - 2) < 0.3)
        ((2, 200), True)
    """

    max_tree_depth: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("max_tree_depth", self.max_tree_depth, "NUTS")

    @property
    def kernel(self) -> Kernel:
        """The libraries' NUTS."""
        return Kernel("NUTS", self.warmup, self.target_accept, self.dense_mass, max_tree_depth=self.max_tree_depth)
