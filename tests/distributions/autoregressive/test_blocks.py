"""Masked perceptrons: what each output sees, and that going block by block computes the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import ppgen
from ppgen import ops
from ppgen.distributions.autoregressive.blocks import BlockwiseMLP

ARRAY = {"numpyro": jnp.asarray, "pyro": lambda x: torch.from_numpy(np.array(x))}
BLOCK = 4
NETS = {
    "one dimension": {"dim": 1, "hidden": (3,)},
    "no hidden layer": {"dim": 5, "hidden": ()},
    "one block": {"dim": 4, "hidden": (9,)},
    "whole blocks": {"dim": 8, "hidden": (11, 7), "outputs": 2},
    "a part of a block": {"dim": 9, "hidden": (16, 5), "inputs": 3, "outputs": 2, "direct": True},
    "fewer units than blocks": {"dim": 13, "hidden": (2, 1)},
    "residual": {"dim": 10, "hidden": (12, 12, 12), "residual": True, "context": 2},
    "ordered": {"dim": 7, "hidden": (14,), "order": (3, 0, 6, 1, 5, 2, 4), "inputs": 2, "outputs": 3, "context": 2},
    "any units": {"dim": 11, "hidden": (8, 15), "order": tuple(range(11))[::-1], "seed": 3, "direct": True},
}


@pytest.fixture(autouse=True)
def blocks_of_four(monkeypatch):
    monkeypatch.setattr(BlockwiseMLP, "block", property(lambda self: min(self.dim, BLOCK)))


def values(net, rows, backend):
    """Parameters away from 0, inputs [*rows, D, inputs] and a context."""
    rng = np.random.default_rng(0)
    arrays = {path: rng.normal(size=spec.shape) for path, spec in net.specs().items()}
    x = rng.normal(size=(*rows, net.dim, net.inputs))
    context = rng.normal(size=(rows[-1], net.context)) if net.context else None

    def convert(a):
        return None if a is None else ARRAY[backend](np.asarray(a, np.float32))

    return {path: convert(a) for path, a in arrays.items()}, convert(x), convert(context)


@pytest.mark.parametrize("name", NETS)
def test_outputs_see_earlier_inputs_only(name):
    """Changing one input changes its later outputs, where there are units for it, and no other."""
    net = BlockwiseMLP(activation="tanh", **NETS[name])
    params, x, context = values(net, (1,), "numpyro")
    with ppgen.using("numpyro"):
        run = jax.jit(net.conditionals)
        for i in range(net.dim):
            moved = run(params, x.at[:, i].add(1.0), context) != run(params, x, context)
            changed = np.asarray(moved).any((0, 2))
            assert not changed[net.ranks <= net.ranks[i]].any()
            if name != "fewer units than blocks":
                assert changed[net.ranks > net.ranks[i]].all()


@pytest.mark.parametrize("name", NETS)
def test_block_by_block(name, backend):
    """Blocks give what one pass gives, each output from the earlier inputs of its block; the last may go on past the end."""
    net = BlockwiseMLP(activation="tanh", **NETS[name])
    rows = (2, 3)

    def both(params, x, context):
        ordered = ops.take(x, net.permutation, -2)
        cache, found = net.init_cache(params, rows, context), []
        for first in range(0, net.dim, net.block):
            inner = net.enter(params, cache, first)
            own = ordered[..., first : first + net.block, :]
            size = own.shape[-2]
            own = ops.pad(own, net.block - size, -2)
            for i in range(size):
                wrong = [own[..., :i, :], own[..., i:, :] + 9.0]  # from the i-th on, other values than at the end
                found.append(net.inside(params, inner, ops.concatenate(wrong, -2))[..., i, :])
            cache = net.leave(params, cache, inner, own)
        return net.conditionals(params, x, context), ops.take(ops.stack(found, -2), net.ranks, -2)

    with ppgen.using(backend):
        run = jax.jit(both) if backend == "numpyro" else both
        together, blocks = run(*values(net, rows, backend))
    assert blocks.shape == together.shape == (*rows, net.dim, net.outputs)
    np.testing.assert_allclose(np.asarray(blocks), np.asarray(together), rtol=1e-4, atol=1e-4)
