"""Gradients, and functions of many arguments at once."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import jax
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

_mapping: ContextVar[bool] = ContextVar("ppgen_mapping", default=False)
_inner: ContextVar[list[Tensor] | None] = ContextVar("ppgen_inner", default=None)
"""While a function runs whose gradient may be differentiated in its turn: what gradients inside it are taken for."""


def stop_gradient(x: Any) -> Tensor:
    return torch.as_tensor(x).detach()


def gradient(fn: Callable[..., Tensor], x: Any, *rest: Any) -> Any:
    leaves, tree = jax.tree.flatten(x)
    inner = [] if torch.is_grad_enabled() else None

    def of_leaves(leaves: Iterable[Tensor]) -> Tensor:
        attention = contextlib.nullcontext() if inner is None else sdpa_kernel(SDPBackend.MATH)  # has second gradients
        with _set(_inner, inner), attention:
            return torch.as_tensor(fn(jax.tree.unflatten(tree, leaves), *rest))

    leaves = [torch.as_tensor(leaf) for leaf in leaves]
    if _mapping.get():  # torch's own transformation can be mapped; it bars hooks and checkpoints
        return jax.tree.unflatten(tree, torch.func.grad(of_leaves)(tuple(leaves)))
    return jax.tree.unflatten(tree, _gradient(of_leaves, leaves, inner))


def _gradient(fn: Callable[[Any], Tensor], leaves: list[Tensor], inner: list[Tensor] | None) -> Sequence[Tensor]:
    with torch.enable_grad():
        # views: what else depends on x does so through x itself, and is held fixed
        views = [leaf.view_as(leaf) if leaf.requires_grad else leaf.detach().requires_grad_() for leaf in leaves]
        value = fn(views)
        if not value.requires_grad:
            return [torch.zeros_like(leaf) for leaf in leaves]
        found = torch.autograd.grad(value, views, create_graph=inner is not None, materialize_grads=True)
    if inner is None:
        return found
    inner += views
    if (enclosing := _inner.get()) is not None:
        enclosing += inner
    if any(leaf.requires_grad for leaf in leaves) or leads_beyond(found, inner):
        return found
    # constants: a loop of such steps would keep all their graphs; and NumPy takes none of torch's virtual zeros
    return [part.detach().clone() for part in found]


def will_differentiate_again() -> bool:
    """Whether a function is running whose gradient may be differentiated in its turn."""
    return _inner.get() is not None


def mapped(fn: Callable[..., Any], in_axes: int | tuple[int | None, ...], *args: Any) -> Any:
    with _set(_mapping, True):
        return torch.func.vmap(fn, in_axes)(*args)


def recomputed(fn: Callable[..., Any], *args: Any) -> Any:
    return checkpoint(fn, *args, use_reentrant=False)


@contextlib.contextmanager
def _set(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def leads_beyond(results: Iterable[Tensor], inputs: Iterable[Tensor]) -> bool:
    """Whether gradients of some results reach any tensor but those inputs: a look at their graph."""
    own, seen, waiting = {id(x) for x in inputs}, set(), [result.grad_fn for result in results]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if not node.next_functions and id(getattr(node, "variable", None)) not in own:
            return True
        seen.add(node)
        waiting += [earlier for earlier, _ in node.next_functions]
    return False
