"""NumPyro's own Hamiltonian kernels, for many chains at once, and noise."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import random
from numpyro.infer.hmc import HMCState, hmc
from numpyro.infer.util import ParamInfo

from ppgen.backends.protocol import Kernel, Moved


class Sampling:
    """NumPyro's own Markov chains, and noise to build others."""

    def normal(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.normal(key, shape)

    def uniform(self, key: Any, shape: tuple[int, ...]) -> Any:
        return random.uniform(key, shape)

    def chains(self, kernel: Kernel, potential: Callable[[Any], Any], positions: Any, key: Any) -> HMCState:
        """NumPyro's state of each chain, under a leading axis."""
        start, _ = _kernel(kernel, potential)
        return _over_chains(start, len(positions))(positions, random.split(key, len(positions)))

    def move(
        self, kernel: Kernel, potential: Callable[[Any], Any], state: HMCState, key: Any
    ) -> tuple[HMCState, Moved]:
        """One step of every chain; each has its key in its state."""

        def one(state: HMCState) -> HMCState:
            start, sample = _kernel(kernel, potential)
            start(
                ParamInfo(state.z, state.potential_energy, state.z_grad), state.rng_key
            )  # it keeps its settings there
            return sample(state)

        state = _over_chains(one, len(state.z))(state)
        depth = jnp.floor(jnp.log2(jnp.maximum(state.num_steps, 1))).astype(int) + 1
        statistics = {
            "acceptance_rate": state.accept_prob,
            "diverging": state.diverging,
            "energy": state.energy,
            "lp": -state.potential_energy,
            "n_steps": state.num_steps,
            "step_size": state.adapt_state.step_size,
        } | ({"tree_depth": depth} if kernel.name == "NUTS" else {})
        return state, Moved(state.z, statistics)


def _kernel(kernel: Kernel, potential: Callable[[Any], Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What starts and what moves one chain."""
    init, sample = hmc(potential_fn_gen=lambda: potential, algo=kernel.name)

    def start(position: Any, key: Any) -> HMCState:
        return init(
            position,
            num_warmup=kernel.warmup,
            target_accept_prob=kernel.target_accept,
            dense_mass=kernel.dense_mass,
            max_tree_depth=kernel.max_tree_depth,
            trajectory_length=kernel.trajectory_length,
            rng_key=key,
        )

    return start, sample


def _over_chains(one: Callable[..., Any], chains: int) -> Callable[..., Any]:
    """`one` for all chains; a single one runs by itself, which compiles to branches where many take both sides."""
    if chains > 1:
        return jax.vmap(one)

    def alone(*args: Any) -> Any:
        return jax.tree.map(lambda x: x[None], one(*jax.tree.map(lambda x: x[0], args)))

    return alone
