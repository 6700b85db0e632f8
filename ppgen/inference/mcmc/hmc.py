"""Hamiltonian Monte Carlo."""

import math
from dataclasses import dataclass

from ppgen.backends.protocol import Kernel
from ppgen.inference.mcmc.chains import Chains


@dataclass(frozen=True)
class HMC(Chains):
    r"""Draws from the posterior by Hamiltonian Monte Carlo (Neal, 2011) with trajectories of one length.

    What is sampled is as in `ppgen.NUTS`, which finds the length of each trajectory by itself.

    Args:
        draws: draws that each chain keeps.
        warmup: steps of each chain before these, in which its step size and mass matrix adapt.
        chains: number of chains.
        target_accept: acceptance rate that the step size aims at; a higher one takes smaller steps.
        dense_mass: let the mass matrix learn correlations, and not scales alone.
        trajectory_length: time for which a trajectory runs, step size times steps, in units in which a variable's scale is 1.
            In these a Gaussian turns in circles: after pi / 2 a draw owes nothing to the one before, and after 2 pi it is
            the one before.
    """

    trajectory_length: float = math.pi / 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.trajectory_length > 0:
            raise ValueError(f"HMC: expected a positive trajectory_length; got {self.trajectory_length!r}.")

    @property
    def kernel(self) -> Kernel:
        """The libraries' HMC."""
        return Kernel("HMC", self.warmup, self.target_accept, self.dense_mass, trajectory_length=self.trajectory_length)
