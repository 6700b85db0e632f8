"""Parameters and training states as arrays by name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jax.tree_util import keystr, tree_leaves_with_path, tree_map_with_path

from ppgen.backends.pyro.arrays import Arrays
from ppgen.backends.sites import check_names


class Storage(Arrays):
    """Parameters and training states as arrays by name, and back."""

    def export(self, parameters: Mapping[str, torch.Tensor], specs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Constrained parameters by full name."""
        constraints_of = {name: specs[name].constraint for name in parameters}
        with torch.no_grad():
            return {
                name: np.array(
                    self.numpy(value if constraints_of[name] is None else self.constrain(constraints_of[name], value))
                )
                for name, value in parameters.items()
            }

    def load(
        self, like: Mapping[str, Any], given: Mapping[str, np.ndarray], specs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The inverse of `export`: parameters like `like`, with the numbers of `given` where it has them."""
        check_names({name: value.shape for name, value in self.export(like, specs).items()}, given)
        loaded = dict(like)
        for name, value in given.items():
            tensor = torch.from_numpy(np.array(value)).to(like[name].dtype)
            constraint = specs[name].constraint
            loaded[name] = tensor if constraint is None else self.unconstrain(constraint, tensor)
        return loaded

    def pack(self, state: Any) -> dict[str, np.ndarray]:
        """Everything in a training state as arrays by path."""
        arrays = {f"parameters.{name}": self.numpy(value) for name, value in state.parameters.items()}
        arrays |= {"key": np.array(state.key, np.uint64), "step": np.array(state.step, np.int64)}
        arrays |= {_carried(path): self.numpy(value) for path, value in tree_leaves_with_path(state.carry)}
        for role, optimizer in state.optimizers.items():
            packed = optimizer.state_dict()
            arrays[f"optimizers.{role}.{type(optimizer).__name__}.count"] = np.array(
                packed["param_groups"][0].get("count", 0), np.int64
            )
            for position, moments in packed["state"].items():
                for name, value in moments.items():
                    if value is not None:
                        arrays[f"optimizers.{role}.{position}.{name}"] = self.numpy(torch.as_tensor(value))
        return arrays

    def unpack(self, like: Any, arrays: Mapping[str, np.ndarray], optimizers: bool = True) -> Any:
        """A state like `like` with the numbers of `arrays`; the optimisers' only if asked for."""
        for name, value in like.parameters.items():
            value.data.copy_(torch.from_numpy(np.array(arrays[f"parameters.{name}"])))
        for role, optimizer in like.optimizers.items() if optimizers else ():
            start, count = f"optimizers.{role}.", f"optimizers.{role}.{type(optimizer).__name__}.count"
            groups = optimizer.state_dict()["param_groups"]
            groups[0]["count"] = int(arrays[count])
            moments: dict[int, dict[str, Any]] = {}
            for path, value in arrays.items():
                if path.startswith(start) and path != count:
                    position, name = path.removeprefix(start).split(".", 1)
                    moments.setdefault(int(position), {})[name] = torch.from_numpy(np.array(value))
            optimizer.load_state_dict({"state": moments, "param_groups": groups})
        carry = tree_map_with_path(lambda path, _: torch.from_numpy(np.array(arrays[_carried(path)])), like.carry)
        return replace(like, key=int(arrays["key"]), step=int(arrays["step"]), carry=carry)


def _carried(path: Any) -> str:
    """The full name of an array that the algorithm carries."""
    return f"carry.{keystr(path, simple=True, separator='.')}"
