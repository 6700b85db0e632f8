"""Which torch parameters a program computes with, registered or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn import Parameter
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as trees


@contextmanager
def watching() -> Iterator[dict[int, Parameter]]:
    """Notes the learnable parameters that meet an operation inside a `with` block, by id."""
    met: dict[int, Parameter] = {}

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func.__name__ not in ("__get__", "detach"):  # to look at a parameter is not to use it
                for value in trees.tree_leaves((args, kwargs)):
                    if isinstance(value, Parameter) and value.requires_grad:
                        met[id(value)] = value
            return func(*args, **kwargs)

    with Watch():
        yield met
