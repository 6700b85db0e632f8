"""One set of parameters in many orders of the dimensions: a mixture of them, or one that the context picks."""

import dataclasses
import math
from collections.abc import Sized
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np

from ppgen import arguments, nn, ops
from ppgen.distributions.autoregressive.contract import Autoregressive
from ppgen.distributions.autoregressive.sampling import generate
from ppgen.distributions.learnable import Learnable, Noise, Parameters, Support, as_float, check_event
from ppgen.nn.masked import check_order


@dataclass(frozen=True)
class OrderEnsemble(Learnable):
    r"""A mixture of one autoregressive density in M orders, with shared parameters (Germain et al., 2015; Uria et al., 2014).

    .. math:: p(x) = \frac1M \sum_o p_o(x)

    The likelihood is that of the mixture: densities are averaged, not their parameters. It costs M passes; a draw picks
    its order, and draws of many cost those of M densities.

    Training on the mixture costs M passes too. One will do where the order is a latent variable: with `pick` the context
    begins with the number of the order, and the density is :math:`p_o(x)`. A model and a guide that draw the order
    from one uniform distribution have the bound :math:`E_o \log p_o(x) \le \log p(x)`. One order for all rows, drawn
    outside their plate, makes it one pass; orders of their own for rows make it M.

    Args:
        base: a density in the order of its columns, such as `MADE(784)`.
        orders: permutations of 0..D-1, the first dimension first; or how many, to be drawn at random: more of them
            begin with the same ones.
        pick: take the number of the order, 0 to M - 1, as the first entry of the context (the nearest, if it is none).
        seed: of orders that are drawn.

    Example:
        >>> import numpy as np
        >>> import ppgen
        >>> from ppgen import dist, module, ops, plate, sample
        >>> from ppgen.distributions import MADE, OrderEnsemble
        >>> made, orders = MADE(3, hidden=(8,)), ((0, 1, 2), (2, 1, 0))
        >>> def model(rows):
        ...     net = module("made", OrderEnsemble(made, orders, pick=True))
        ...     order = sample("order", dist.Categorical(logits=ops.zeros([2])))
        ...     with plate("data", rows):
        ...         sample("x", net(order[..., None]))
        >>> def guide(x):
        ...     sample("order", dist.Categorical(logits=ops.zeros([2])))
        >>> x = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 0], [0, 1, 1]], np.float32)
        >>> elbo = ppgen.ELBO(particles=2, gradient="score")
        >>> fit = ppgen.fit(model, guide, data={"x": x}, algorithm=elbo, epochs=20, seed=0, progress=False)
        >>> params = {name.removeprefix("made."): value for name, value in fit.params.items()}
        >>> p = OrderEnsemble(made, orders).apply(params)
        >>> bits = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        >>> round(float(np.exp(p.log_prob(bits)).sum()), 4)
        1.0
    """

    base: Autoregressive
    orders: int | tuple[tuple[int, ...], ...]
    pick: bool = False
    seed: int = 0

    reparameterised = False

    def __post_init__(self) -> None:
        if not (isinstance(self.base, Autoregressive) and getattr(self.base, "order", 0) is None):
            raise ValueError(
                "expected a density in the order of its columns that can have another, such as MADE, NADE or DeepNADE; "
                f"got {self.base!r}. Leave out its order: the ensemble has its own."
            )
        if isinstance(self.orders, Integral):
            arguments.assign(self, orders=arguments.size("OrderEnsemble", "orders", self.orders))
            return
        if not isinstance(self.orders, Sized) or not len(self.orders):
            raise ValueError(
                f"OrderEnsemble: expected how many orders, or one or more of them; got {self.orders!r}. "
                "Write orders=8, or orders=((0, 1, 2), (2, 1, 0))."
            )
        arguments.assign(self, orders=tuple(arguments.order("OrderEnsemble", order) for order in self.orders))
        for order in self.orders:
            check_order(order, self.base.event_shape[0])

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.base.event_shape

    @property
    def support(self) -> Support:
        return self.base.support

    @property
    def context(self) -> int:
        return self.base.context + self.pick

    def specs(self) -> dict[str, nn.Spec]:
        return self.base.specs()

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        x = as_float(x, params)
        check_event(self, x)
        picked, context = self._parted(context)

        def one(params: Parameters, x: ops.Array, order: ops.Array, context: ops.Array | None) -> ops.Array:
            return self.base.log_prob(reordered(self.base.net, params, order), ops.permute(x, order), context)

        orders = ops.asarray(np.array(self._orders), like=x)
        if picked is not None and _is_one(picked):
            return one(params, x, orders[picked.reshape(())], context)
        again = ops.recompute(one)  # memory for one order
        _, each = ops.scan(lambda carry, order: (carry, again(params, x, order, context)), x[..., 0] * 0, orders)
        if picked is None:
            return ops.logmeanexp(each, 0)
        numbers = ops.arange(len(self._orders), x).reshape(-1, *(1,) * (each.ndim - 1))
        return ops.sum(ops.where(numbers == picked, each, 0.0), 0)

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        picked, context = self._parted(context)
        base, family, count = self.base, self.base.conditional, len(self._orders)
        given = family.noise(noise, (*shape, *self.event_shape))  # one order is chosen, so that all may have the same
        if picked is None:
            picked = ops.as_integer(noise.uniform(shape) * count)

        def one(order: ops.Array, place: ops.Array) -> ops.Array:
            moved = reordered(base.net, params, order)
            x = generate(base.method, base.net, moved, family.encode, family.draw, given, context)
            return ops.stop_gradient(ops.permute(x, place))

        orders = np.array(self._orders)
        orders, places = (ops.asarray(o, like=given) for o in (orders, np.argsort(orders, 1)))
        if _is_one(picked):
            x = one(orders[picked.reshape(())], places[picked.reshape(())])
        else:
            x, _ = ops.scan(
                lambda x, current: (ops.where((picked == current[0])[..., None], one(*current[1:]), x), None),
                given[..., 0] * 0,
                (ops.arange(count, given), orders, places),
            )
        return ops.as_integer(x) if isinstance(self.support, int) else x

    @cached_property
    def _orders(self) -> tuple[tuple[int, ...], ...]:
        if not isinstance(self.orders, int):
            return self.orders
        rng = np.random.default_rng(self.seed)
        return tuple(tuple(rng.permutation(*self.base.event_shape).tolist()) for _ in range(self.orders))

    def _parted(self, context: ops.Array | None) -> tuple[ops.Array | None, ops.Array | None]:
        """The numbers of the orders [...], and the context of the base."""
        if not self.pick:
            return None, context
        if context is None:
            raise self._without_context()
        numbers = ops.clip(ops.as_integer(context[..., 0]), 0, len(self._orders) - 1)
        return numbers, (context[..., 1:] if self.base.context else None)


def _is_one(picked: ops.Array) -> bool:
    """Whether one order serves all rows."""
    return math.prod(picked.shape) == 1


def reordered(net: Any, params: Parameters, order: ops.Array) -> dict[str, ops.Array]:
    """Parameters with which `net`, in the order of the columns, makes of x[order] what it makes of x in `order` [D].

    The numbers that belong to a dimension move with it. Those are found along the axes that would be longer if there
    were one dimension more, those of one dimension next to each other: `net` is a dataclass with `dim` and `order`.
    """
    longer = dataclasses.replace(net, dim=net.dim + 1, order=None).specs()
    moved: dict[str, Any] = {}
    for path, spec in net.specs().items():
        moved[path] = ops.asarray(params[path], like=order)
        for axis, (size, more) in enumerate(zip(spec.shape, longer[path].shape, strict=True)):
            if each := more - size:
                index = (order[:, None] * each + ops.arange(each, order)).reshape(-1)
                moved[path] = ops.permute(moved[path], index, axis)
    return moved
