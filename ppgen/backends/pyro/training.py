"""Gradients by role, optimisers and the training loop."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import pyro.optim
import torch

from ppgen.backends.optimizers import no_optimizer
from ppgen.backends.pyro.arrays import Arrays
from ppgen.backends.roles import by_loss


class Training(Arrays):
    """Gradients by role, optimisers and the training loop."""

    def optimizer(self, spec: Any) -> "_Optimizer":
        """An optimiser from `ppgen.Adam` or the like, or a function from parameters to a torch optimiser."""
        named = hasattr(spec, "torch") and not isinstance(spec, type)
        if not named and (not callable(spec) or hasattr(spec, "optax") or isinstance(spec, pyro.optim.PyroOptim)):
            raise no_optimizer(
                spec, "Pyro", "a function from parameters to torch's, lambda ps: torch.optim.Adam(ps, lr=1e-3)"
            )
        return _Optimizer(spec)

    def compile_loop(
        self, step: Callable[..., Any], metrics: tuple[str, ...], losses: tuple[str, ...]
    ) -> Callable[..., Any]:
        """`step`, which gives the scalars `metrics`, repeated for as long as `losses` are finite.

        A step whose loss or gradient is not finite changes nothing.
        """
        step = self.compile(step)

        def fine(new: Mapping[str, torch.Tensor]) -> bool:
            return all(math.isfinite(float(new[name])) for name in losses)

        def run(state: Any, data: Mapping[str, torch.Tensor], index: np.ndarray, first: int, last: int) -> Any:
            kept: list[dict[str, torch.Tensor]] = []
            for rows in torch.as_tensor(index[first:last]):
                state, new = step(state, {name: value[rows] for name, value in data.items()})
                kept.append(new)
                if not fine(new):
                    break
            good = len(kept) - (not fine(kept[-1]))
            return state, {name: torch.stack([new[name] for new in kept]) for name in metrics}, good

        return run

    def repeat(self, step: Callable[..., Any], finished: Callable[[Any], Any]) -> Callable[..., Any]:
        """`step` many times; no graph of gradients goes from one to the next."""
        step = self.compile(step)

        def run(state: Any, batch: Any, key: int, first: int, turns: int, most: int) -> Any:
            infos: list[Any] = []
            while len(infos) < turns and not bool(finished(state)):
                found = step(state, batch, self.fold_in(key, first + len(infos)))
                state, info = jax.tree.map(lambda x: x.detach() if isinstance(x, torch.Tensor) else x, found)
                infos.append(info)
            kept = jax.tree.map(lambda *rows: np.stack([self.numpy(row) for row in rows]), *infos) if infos else {}
            return state, len(infos), kept

        return run

    def gradients(
        self,
        losses: Callable[[Mapping[str, Any]], tuple[Mapping[str, Any], Any]],
        parameters: Mapping[str, Any],
        owned: Mapping[str, tuple[str, ...]],
        owners: Mapping[str, Any],
    ) -> tuple[dict[str, Any], dict[str, Any], Any]:
        """Each role's loss, the gradient of each parameter under the loss of the role that owns it, and what else there is.

        Args:
            losses: from parameters to (a loss per role, anything else).
            parameters: all parameters by name.
            owned: names that each moving role owns.
            owners: parameters that live in a user's torch module, where their gradients arrive (see `lend`).
        """
        by_role, more = losses(parameters)
        groups = [(loss, names) for loss, _, names in by_loss(by_role, owned) if names]
        grads: dict[str, Any] = {}
        for position, (loss, names) in enumerate(groups):
            leaves = [owners.get(n, parameters[n]) for n in names]
            found = torch.autograd.grad(loss, leaves, retain_graph=position + 1 < len(groups), allow_unused=True)
            grads.update(
                {n: torch.zeros_like(p) if g is None else g for n, p, g in zip(names, leaves, found, strict=True)}
            )
        more = jax.tree.map(lambda x: x.detach() if isinstance(x, torch.Tensor) else x, more)
        return {role: loss.detach() for role, loss in by_role.items()}, grads, more

    def climb(
        self, objective: Callable[[Any], torch.Tensor], parameters: Mapping[str, torch.Tensor], steps: int
    ) -> dict[str, torch.Tensor]:
        """Parameters where `objective` is larger, by so many iterations of L-BFGS; never where it is lower."""
        found = {name: value.detach().clone().requires_grad_(True) for name, value in parameters.items()}
        optimizer = torch.optim.LBFGS(list(found.values()), max_iter=steps, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = -objective(found)
            value.backward()
            return value

        with torch.enable_grad():
            optimizer.step(loss)
            better = bool(objective(found) >= objective(parameters))
        return found if better else dict(parameters)


class _Optimizer:
    """A torch optimiser on the parameters of one role; it works in place."""

    def __init__(self, spec: Any) -> None:
        named = hasattr(spec, "torch")
        self.make = spec.torch if named else spec
        self.rate: Callable[[int], Any] | None = spec.learning_rate if named and callable(spec.learning_rate) else None
        self.clip = spec.clip if named else None

    def init(self, parameters: dict[str, torch.Tensor]) -> torch.optim.Optimizer:
        return self.make(list(parameters.values()) or [torch.zeros(0, requires_grad=True)])

    def update(self, grads: dict[str, Any], state: Any, parameters: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        for name, parameter in parameters.items():
            parameter.grad = grads[name]
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters.values(), self.clip)
        if self.rate is not None:
            for group in state.param_groups:
                group["count"] = group.get("count", -1) + 1
                group["lr"] = float(self.rate(group["count"]))
        state.step()
        return parameters, state
