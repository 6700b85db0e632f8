"""Networks of other libraries inside a ppgen program: torch modules, flax modules, equinox modules."""

from collections.abc import Callable
from typing import Any

from ppgen.backends.recorder import Recorder
from ppgen.errors import ProgramError


def torch_module(run: Recorder, name: str, net: Any) -> Callable[..., Any]:
    """A `torch.nn.Module` as a function of its inputs, with its parameters registered as `name.path`."""
    import torch

    if not isinstance(net, torch.nn.Module):
        raise _unknown(name, net, "a torch.nn.Module")
    values = {
        path: run.parameter(f"{name}.{path}", lambda rng, p=p: p.detach().clone(), source=net)
        for path, p in net.named_parameters()
        if p.requires_grad
    }
    kept = {path: b.clone() for path, b in net.named_buffers()}  # batch normalisation writes there; not into the user's
    return lambda *args, **kwargs: torch.func.functional_call(net, {**values, **kept}, args, kwargs)


def jax_module(run: Recorder, name: str, net: Any) -> Callable[..., Any]:
    """A flax (linen) or equinox module as a function of its inputs, with its parameters as `name.path`."""
    libraries = {base.__module__.split(".")[0] for base in type(net).__mro__}
    if "flax" in libraries and hasattr(net, "init"):
        return _flax(run, name, net)
    if "equinox" in libraries:
        return _equinox(run, name, net)
    raise _unknown(name, net, "a flax.linen or equinox module")


def _flax(run: Recorder, name: str, net: Any) -> Callable[..., Any]:
    import jax
    from flax import traverse_util

    def apply(*args: Any, **kwargs: Any) -> Any:
        known = [k for k in (*run.parameters, *run.created) if k.startswith(name + ".")]
        if known:
            made = {k.removeprefix(name + "."): None for k in known}
        else:  # the first batch: flax makes its parameters from the shapes of its inputs
            with jax.ensure_compile_time_eval():
                key = jax.random.key(int(run.generator(name).integers(2**31)))
                inputs = jax.tree.map(lambda x: jax.numpy.zeros(x.shape, x.dtype), args)
                made = traverse_util.flatten_dict(net.init(key, *inputs, **kwargs)["params"], sep=".")
        values = {path: run.parameter(f"{name}.{path}", lambda rng, p=p: p, source=net) for path, p in made.items()}
        return net.apply({"params": traverse_util.unflatten_dict(values, sep=".")}, *args, **kwargs)

    return apply


def _equinox(run: Recorder, name: str, net: Any) -> Callable[..., Any]:
    import equinox
    import jax

    arrays, rest = equinox.partition(net, equinox.is_inexact_array)
    leaves, tree = jax.tree_util.tree_flatten_with_path(arrays)
    names = [f"{name}.{jax.tree_util.keystr(path, simple=True, separator='.')}" for path, _ in leaves]
    values = [run.parameter(full, lambda rng, p=p: p, source=net) for full, (_, p) in zip(names, leaves, strict=True)]
    return equinox.combine(jax.tree_util.tree_unflatten(tree, values), rest)


def _unknown(name: str, net: Any, also: str) -> ProgramError:
    return ProgramError(
        f"module {name!r}: expected a ppgen.nn network or {also}; got {type(net).__module__}.{type(net).__name__}. "
        "A network of the other framework runs on the other backend."
    )
