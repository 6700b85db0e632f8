"""Networks as programs: a critic or a baseline given as a bare network becomes a program of the observed sites."""

import inspect
from collections.abc import Callable
from typing import Any

from ppgen import nn, ops
from ppgen.inference.algorithm import Pairing
from ppgen.inference.requirements import atoms
from ppgen.language import module


def scalar_program(name: str, net: Any, pairing: Pairing) -> Callable[..., ops.Array]:
    """`net` as a program that gives one number per row.

    A function is taken as it is. A network is applied to the observed sites, flattened and joined in program order;
    None stands for one of two hidden layers of 128.
    """
    if inspect.isfunction(net) or inspect.ismethod(net):
        return net
    sites = pairing.model.observed(pairing.data)
    names = [pairing.model.observes.get(site.name, site.name) for site in sites]
    if net is None:
        inputs = sum(atoms(site, pairing.model.rows_plate) for site in sites)
        net = nn.MLP(inputs, 128, 128, 1, activation="leaky_relu")

    def program(**observed: ops.Array) -> ops.Array:
        columns = [1.0 * observed[n].reshape(observed[n].shape[0], -1) for n in names]
        return module(name, net)(ops.concatenate(columns, -1))[..., 0]

    program.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names])
    return program
