"""NADE with several hidden layers, one network for all orders of the dimensions."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from ppgen import arguments, nn, ops
from ppgen.distributions.autoregressive.conditionals import Bernoulli, Conditional
from ppgen.distributions.autoregressive.contract import Autoregressive
from ppgen.distributions.autoregressive.nade import NADENetwork
from ppgen.distributions.learnable import Learnable, Noise, Parameters, Support, as_float, check_event
from ppgen.nn.mlp import ACTIVATIONS
from ppgen.nn.start import linear


@dataclass(frozen=True)
class DeepNADE(Autoregressive):
    r"""A perceptron of the dimensions known so far, which predicts any of the others (Uria et al., 2014).

    .. math:: p(x) = \prod_i p(x_{o_i} \mid \theta_{o_i}(m \odot x, m)), \qquad m_j = 1 \text{ for } j \in \{o_1 .. o_{i-1}\}

    The network reads which dimensions are known beside their values, so one set of parameters serves every order o.
    A pass of its later layers is needed for each dimension: log_prob costs O(D H (H + D)), as a draw does. Memory is
    that of `NADE`.

    Trained by `MaximumLikelihood` it learns the one order. `AnyOrder` trains it for all of them, at one pass for a
    minibatch; after that `OrderEnsemble(deep_nade, orders=M)` is the EoNADE.

    Args:
        dim: number of dimensions D.
        hidden: sizes of the hidden layers.
        conditional: what each dimension is.
        context: size of the context, which enters the first hidden layer and each conditional; 0 for none.
        order: a permutation of 0..D-1; that of the columns by default.
        activation: of the hidden layers, see `ppgen.nn.MLP`.
        method: how to draw, "incremental", "jacobi" or "naive".

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import DeepNADE
        >>> nade = DeepNADE(3, hidden=(8, 8))
        >>> p = nade.apply(nade.init(seed=0))
        >>> bits = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        >>> round(float(np.exp(p.log_prob(bits)).sum()), 4)
        1.0
    """

    dim: int
    hidden: tuple[int, ...] = (500, 500)
    conditional: Conditional = Bernoulli()
    context: int = 0
    order: tuple[int, ...] | None = None
    activation: str = "relu"
    method: str = "incremental"

    def __post_init__(self) -> None:
        hidden = arguments.sizes("DeepNADE", "hidden", self.hidden)
        arguments.assign(self, hidden=hidden, order=arguments.order("DeepNADE", self.order))
        super().__post_init__()

    @cached_property
    def net(self) -> "DeepNADENetwork":
        """The network."""
        first, *later = self.hidden
        return DeepNADENetwork(
            self.dim, first, self.conditional.outputs, self.conditional.inputs + 1, self.context, self.order,
            self.activation, later=tuple(later),
        )  # fmt: skip


@dataclass(frozen=True)
class AnyOrder(Learnable):
    r"""A DeepNADE in training for all orders: `log_prob` estimates the mean of log p_o(x) over orders o, in one pass.

    .. math:: E_o \log p_o(x) = E_m \frac{D + 1}{n(m)} \sum_{i: m_i = 0} \log p(x_i \mid m \odot x, m), \qquad
        n(m) = \textstyle\sum_i (1 - m_i)

    The dimensions known, m, are those before a split of a random order (Uria et al., 2014). A split is drawn from 0..D,
    so that each number of them has one chance, as it has under :math:`m_i = [u_i < u_{D+1}]` with uniform u, the first
    D + 1 numbers of the context. With nothing hidden the estimate is 0. Its mean is a lower bound of the log-likelihood
    of the ensemble of all orders: `ELBO` maximises it, with u a latent site that the guide draws like the model.

    The estimate is unbiased as a logarithm only. It is no density, so `IWAE` and its kin, `MaximumLikelihood` and
    `fit.evaluate` refuse it; what was learned is judged as the `DeepNADE`, or an `OrderEnsemble` of it. Draws are those of
    the DeepNADE, in its order.

    Args:
        base: the density to be trained.

    Example:
        >>> import numpy as np
        >>> import ppgen
        >>> from ppgen import dist, module, plate, sample
        >>> from ppgen.distributions import AnyOrder, DeepNADE, OrderEnsemble
        >>> nade = DeepNADE(3, hidden=(8, 8))
        >>> def model(rows):
        ...     with plate("data", rows):
        ...         u = sample("u", dist.Uniform(0.0, 1.0).expand([4]).to_event(1))
        ...         sample("x", module("nade", AnyOrder(nade))(u))
        >>> def guide(x):
        ...     with plate("data", len(x)):
        ...         sample("u", dist.Uniform(0.0, 1.0).expand([4]).to_event(1))
        >>> x = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 0], [0, 1, 1]], np.float32)
        >>> fit = ppgen.fit(model, guide, data={"x": x}, algorithm=ppgen.ELBO(), epochs=20, seed=0, progress=False)
        >>> params = {name.removeprefix("nade."): value for name, value in fit.params.items()}
        >>> p = OrderEnsemble(nade, orders=4).apply(params)
        >>> bits = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        >>> round(float(np.exp(p.log_prob(bits)).sum()), 4)
        1.0
    """

    base: DeepNADE

    estimates = True

    def __post_init__(self) -> None:
        if not isinstance(self.base, DeepNADE):
            raise ValueError(
                f"expected a DeepNADE, whose network reads which dimensions are known; got {self.base!r}. "
                "Train a density of fixed masks by OrderEnsemble(..., pick=True)."
            )

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.base.event_shape

    @property
    def support(self) -> Support:
        return self.base.support

    @property
    def reparameterised(self) -> bool:
        return self.base.reparameterised

    @property
    def context(self) -> int:
        return self.base.dim + 1 + self.base.context

    def specs(self) -> dict[str, nn.Spec]:
        return self.base.specs()

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        x = as_float(x, params)
        check_event(self, x)
        u, split, context = self._parted(context)
        family, known = self.base.conditional, u < split
        mask = ops.as_type_of(known, x)
        theta = self.base.net.predictions(params, family.encode(x), mask, context)
        weight = (self.base.dim + 1) / ops.clip(ops.sum(1 - mask, -1), 1.0)
        return weight * ops.sum(ops.where(known, 0.0, family.log_prob(theta, x)), -1)

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        return self.base.draw(params, noise, shape, self._parted(context)[-1])

    def _parted(self, context: ops.Array) -> tuple[ops.Array, ops.Array, ops.Array | None]:
        """Uniform numbers of the dimensions [..., D] and the split [..., 1], and the context of the base."""
        u, split, rest = ops.split(context, (self.base.dim, 1, self.base.context))
        return u, split, rest if self.base.context else None


@dataclass(frozen=True)
class DeepNADENetwork(NADENetwork):
    """A `NADENetwork` with more hidden layers, whose dimensions enter with a mark beside them, 1 once they are known."""

    later: tuple[int, ...] = ()

    def specs(self) -> dict[str, nn.Spec]:
        """The parameters by path; those of a dimension stand in its own rows."""
        specs = super().specs()
        for i, (m, n) in enumerate(pairwise((self.hidden, *self.later)), start=1):
            specs |= linear(f"{i}", m, n)
        return specs

    def conditionals(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        """The outputs [..., D, outputs] for encoded values [..., D, inputs - 1], each given those before it in the order."""
        return super().conditionals(params, self._marked(x, x[..., :1] * 0 + 1), context)

    def step(
        self, params: Parameters, cache: dict[str, ops.Array], x: ops.Array, i: Any
    ) -> tuple[dict[str, ops.Array], ops.Array]:
        """The i-th outputs [..., outputs] of the order, given the encoded value before it [..., inputs - 1]."""
        return super().step(params, cache, self._marked(x, x[..., :1] * 0 + (i > 0)), i)

    def predictions(
        self, params: Parameters, x: ops.Array, known: ops.Array, context: ops.Array | None = None
    ) -> ops.Array:
        """All outputs [..., D, outputs] given the same known dimensions, those where `known` [..., D] is 1, of `x`."""
        x = self._marked(x, x[..., :1] * 0 + 1) * known[..., None]
        weight = params["in.weight"].reshape(-1, self.hidden)
        a = x.reshape(*x.shape[:-2], -1) @ weight + self._start(params, context)
        weight = ops.moveaxis(params["out.weight"].reshape(self.dim * self.outputs, -1), 0, 1)
        theta = self._last_hidden(params, a) @ weight
        return theta.reshape(*theta.shape[:-1], self.dim, self.outputs) + self._offset(params, context)

    @property
    def _last_width(self) -> int:
        return (self.hidden, *self.later)[-1]

    def _last_hidden(self, params: Parameters, a: ops.Array) -> ops.Array:
        activate = ACTIVATIONS[self.activation]
        h = activate(a)
        for i in range(1, len(self.later) + 1):
            h = activate(ops.linear(h, params[f"{i}.weight"], params[f"{i}.bias"]))
        return h

    @staticmethod
    def _marked(x: ops.Array, known: ops.Array) -> ops.Array:
        """Inputs [..., inputs] with the mark [..., 1] beside them."""
        return ops.concatenate([x, known])
