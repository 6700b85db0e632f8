"""Keys, arrays, constraints and compilation."""

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.distributions import constraints

from ppgen.backends.pyro.bijections import transform
from ppgen.backends.pyro.lending import Lending

_MASK = (1 << 64) - 1


class Arrays(Lending):
    """Keys, arrays, constraints and compilation of the backend."""

    def constraint(self, name: str) -> Any:
        return getattr(constraints, name)

    def constrain(self, constraint: Any, value: Any) -> Any:
        return transform(constraint)(value)

    def unconstrain(self, constraint: Any, value: Any) -> Any:
        return transform(constraint).inv(value)

    def parameter(self, value: Any) -> torch.Tensor:
        return torch.as_tensor(value).detach().clone().requires_grad_(True)

    # keys and arrays -----------------------------------------------------------------------------------------

    def key(self, seed: int) -> int:
        return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])

    def fold_in(self, key: int, data: int) -> int:
        """Splitmix64: a new key from a key and a number."""
        x = (key + (int(data) + 1) * 0x9E3779B97F4A7C15) & _MASK
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
        return x ^ (x >> 31)

    def array(self, x: Any) -> torch.Tensor:
        return torch.as_tensor(x) if isinstance(x, torch.Tensor) else torch.from_numpy(np.array(x))

    def numpy(self, x: Any) -> np.ndarray:
        return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)

    def is_array(self, x: Any) -> bool:
        return isinstance(x, torch.Tensor)

    def double(self) -> bool:
        return torch.get_default_dtype() == torch.float64

    def leaf(self, value: torch.Tensor) -> torch.Tensor:
        return value.detach().clone().requires_grad_(True)

    def counter(self) -> int:
        return 0

    def owns(self, source: Any) -> bool:
        """True for a parameter that lives in a user's torch module."""
        return isinstance(source, torch.nn.Parameter)

    def usable(self, losses: Mapping[str, torch.Tensor], grads: Mapping[str, torch.Tensor]) -> bool:
        """False when a loss or a gradient is not finite; then no update is made."""
        each = torch._foreach_norm(list(grads.values()))  # pyright: ignore[reportPrivateImportUsage]  # not in the stubs
        norms = torch.stack([*each, *(loss.abs() for loss in losses.values())])
        return math.isfinite(float(norms.sum()))

    def stop_gradient(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach()

    def compile(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """`fn` with torch's argument checks off (preflight made them) and lent parameters given back after."""

        def eager(*args: Any) -> Any:
            with self.unchecked(), self.borrowing():
                return fn(*args)

        return eager

    @contextlib.contextmanager
    def unchecked(self) -> Iterator[None]:
        """Inside, torch checks no arguments."""
        checks = torch.distributions.Distribution._validate_args
        torch.distributions.Distribution.set_default_validate_args(False)
        try:
            yield
        finally:
            torch.distributions.Distribution.set_default_validate_args(checks)

    def without_gradients(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return torch.no_grad()(self.compile(fn))

    def all_finite(self, parameters: Mapping[str, torch.Tensor]) -> bool:
        """True when no parameter is NaN or infinite."""
        return all(bool(torch.isfinite(p).all()) for p in parameters.values())

    def undo(self, parameters: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> Callable[[], None]:
        """A function that puts the parameters of a role and their optimiser back to what they are now."""
        values, moments = copy.deepcopy(([p.detach() for p in parameters.values()], optimizer.state_dict()))

        def restore() -> None:
            for parameter, value in zip(parameters.values(), values, strict=True):
                parameter.data.copy_(value)
            optimizer.load_state_dict(moments)

        return restore

    def snapshot(self, tree: Any) -> Any:
        return copy.deepcopy(tree)
