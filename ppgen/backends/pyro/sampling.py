"""Pyro's own Hamiltonian kernels, one chain after another, and noise."""

import math
from collections.abc import Callable
from typing import Any

import torch
from pyro.infer.mcmc import HMC, NUTS

from ppgen.backends.protocol import Kernel, Moved
from ppgen.backends.pyro.arrays import Arrays


class Sampling(Arrays):
    """Pyro's own Markov chains, and noise to build others."""

    def normal(self, key: int, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(key))

    def uniform(self, key: int, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.rand(shape, generator=torch.Generator().manual_seed(key))

    def chains(
        self, kernel: Kernel, potential: Callable[[Any], Any], positions: torch.Tensor, key: int
    ) -> list["_Chain"]:
        """Pyro's kernel of each chain: objects that steps change."""
        state = []
        for i, position in enumerate(positions):
            torch.default_generator.manual_seed(self.fold_in(key, i))
            state.append(_Chain(kernel, potential, position.detach()))
        return state

    def move(
        self, kernel: Kernel, potential: Callable[[Any], Any], state: list["_Chain"], key: int
    ) -> tuple[list["_Chain"], Moved]:
        """One step of every chain, with noise of its own."""
        found = []
        for i, chain in enumerate(state):
            torch.default_generator.manual_seed(self.fold_in(key, i))
            found.append(chain.move(potential))
        statistics = {name: torch.tensor([of_chain[name] for of_chain in found]) for name in found[0]}
        return state, Moved(torch.stack([chain.position for chain in state]), statistics)


class _Chain:
    """One chain: Pyro's kernel, which adapts as it goes, and where it is."""

    def __init__(self, settings: Kernel, potential: Callable[[Any], Any], position: torch.Tensor) -> None:
        self.warmup, self.position = settings.warmup, position
        common = {"target_accept_prob": settings.target_accept, "full_mass": settings.dense_mass}
        if settings.name == "NUTS":
            self.kernel: Any = _WatchedNUTS(
                potential_fn=_Potential(potential), max_tree_depth=settings.max_tree_depth, **common
            )
        else:
            self.kernel = _Watched(
                potential_fn=_Potential(potential), trajectory_length=settings.trajectory_length, **common
            )
        self.kernel.initial_params = {"u": position}
        self.kernel.setup(settings.warmup)

    def move(self, potential: Callable[[Any], Any]) -> dict[str, float]:
        """One step; numbers that describe it."""
        kernel = self.kernel
        kernel.begin(_Potential(potential))
        before, average, divergences = kernel._potential_energy_last, kernel._mean_accept_prob, len(kernel._divergences)
        self.position = kernel.sample({"u": self.position})["u"].detach()
        turn = kernel._t if kernel._t <= self.warmup else kernel._t - self.warmup  # Pyro keeps the average alone
        n_steps = kernel.potential_fn.calls
        found: dict[str, float] = {
            "acceptance_rate": average + turn * (kernel._mean_accept_prob - average),
            "diverging": len(kernel._divergences) > divergences,
            "energy": float(before + kernel.kinetic),
            "lp": -float(kernel._potential_energy_last),
            "n_steps": n_steps,
            "step_size": float(kernel.step_size),
        }
        return found | ({"tree_depth": math.frexp(n_steps)[1]} if isinstance(kernel, NUTS) else {})


class _Potential:
    """A potential as Pyro calls it, with a count of the calls; the program it runs leaves torch's random stream alone."""

    def __init__(self, potential: Callable[[Any], Any]) -> None:
        self.potential, self.calls = potential, 0

    def __call__(self, z: dict[str, torch.Tensor]) -> torch.Tensor:
        self.calls += 1
        stream = torch.get_rng_state()
        try:
            return self.potential(z["u"])
        finally:
            torch.set_rng_state(stream)


class _Watched(HMC):
    """A kernel that shows the kinetic energy with which a trajectory starts."""

    kinetic: Any = None

    def begin(self, potential: _Potential) -> None:
        """A step is about to start."""
        self.potential_fn, self.kinetic = potential, None

    def _kinetic_energy(self, r: Any) -> Any:
        energy = super()._kinetic_energy(r)
        self.kinetic = energy if self.kinetic is None else self.kinetic
        return energy


class _WatchedNUTS(_Watched, NUTS):
    """Pyro's NUTS, watched."""
