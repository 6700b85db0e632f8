"""Networks as programs: a critic or a baseline given as a bare network becomes a program of the observed sites."""

import inspect
from collections.abc import Callable
from typing import Any

from ppgen import ops
from ppgen.inference.algorithm import Pairing
from ppgen.language import module


def scalar_program(name: str, net: Any, pairing: Pairing) -> Callable[..., ops.Array]:
    """`net` as a program that gives one number per row.

    A function is taken as it is. A network is applied to the observed sites, flattened and joined in program order.
    """
    if inspect.isfunction(net) or inspect.ismethod(net):
        return net
    sites = [site.name for site in pairing.model.observed(pairing.data)]
    names = [pairing.model.observes.get(site, site) for site in sites]

    def program(**observed: ops.Array) -> ops.Array:
        columns = [1.0 * observed[n].reshape(observed[n].shape[0], -1) for n in names]
        return module(name, net)(ops.concatenate(columns, -1))[..., 0]

    program.__signature__ = inspect.Signature(
        [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names]
    )
    return program
