"""A MADE from a masked network, for libraries that have only that: bits, of which `net` computes all log-odds at once.

A draw takes a pass of the network for each dimension, in the order of the columns.
"""

from collections.abc import Callable
from typing import Any


def in_torch(net: Callable[[Any], Any], rows: Any):
    import torch
    from torch.nn.functional import softplus

    @torch.no_grad()
    def log_prob():
        logits = net(rows)
        return (rows * logits - softplus(logits)).sum(-1)

    @torch.no_grad()
    def sample():
        x = torch.zeros_like(rows)
        for i in range(rows.shape[-1]):
            x[:, i] = torch.bernoulli(net(x)[:, i].sigmoid())
        return x

    return log_prob, sample


def in_jax(net: Callable[[Any, Any], Any], params: Any, rows: Any):
    import jax
    import jax.numpy as jnp

    @jax.jit
    def log_prob(params, rows):
        logits = net(params, rows)
        return (rows * logits - jax.nn.softplus(logits)).sum(-1)

    @jax.jit
    def sample(params, key):
        noise = jax.random.uniform(key, rows.shape)

        def one(i, x):
            bit = noise[:, i] < jax.nn.sigmoid(net(params, x)[:, i])
            return x.at[:, i].set(bit.astype(x.dtype))

        return jax.lax.fori_loop(0, rows.shape[-1], one, jnp.zeros(rows.shape))

    key = jax.random.key(1)
    return lambda: log_prob(params, rows).block_until_ready(), lambda: sample(params, key).block_until_ready()
