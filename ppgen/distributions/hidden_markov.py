"""Hidden Markov models, the path of hidden states summed out exactly."""

import math
from dataclasses import dataclass

from ppgen import nn, ops
from ppgen.distributions.autoregressive.conditionals import Conditional, Gaussian, choose
from ppgen.distributions.learnable import Learnable, Noise, Parameters, Support, as_float, check_event

IMPOSSIBLE = -1e30  # in the place of log 0: e^(a - b) is then 0 or 1 and never nan, in values and in gradients


@dataclass(frozen=True)
class HiddenMarkov(Learnable):
    r"""A sequence observed through a chain of hidden states (Rabiner, 1989).

    .. math:: p(x) = \sum_{z} p(z_1) p(x_1 | z_1) \prod_{t > 1} p(z_t | z_{t-1}) p(x_t | z_t)

    The sum over all paths is a product of T matrices in the logarithm, taken pairwise: log2(T) products one after
    another, each over all of a level's pairs at once (Särkkä & García-Fernández, 2021). It costs T S^3.

    Its parameters are logits `initial` [S] and `transition` [S, S] (from row to column; minus infinity forbids a
    transition), and `emission` [S, features, outputs].

    Args:
        length: number of times T.
        states: number of hidden states S.
        emission: what one number of x_t is, given the state.
        features: numbers observed at each time, independent given the state: events are [T, features]; None for one
            number, with events [T].

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import HiddenMarkov
        >>> weather = HiddenMarkov(4, states=2)
        >>> params = weather.init() | {
        ...     "transition": np.log(np.array([[0.9, 0.1], [0.1, 0.9]], np.float32)),
        ...     "emission": np.array([[[-1.0, 0.0]], [[1.0, 0.0]]], np.float32),  # means -1 and 1, log scales 0
        ... }
        >>> weather.viterbi(params, np.array([-1.0, -1.2, 0.1, 1.5]))
        Array([0, 0, 1, 1], dtype=int32)
    """

    length: int
    states: int
    emission: Conditional = Gaussian()
    features: int | None = None

    reparameterised = False

    def __post_init__(self) -> None:
        for name in ("length", "states", "features"):
            size = getattr(self, name)
            if not (isinstance(size, int) and size > 0) and (name, size) != ("features", None):
                raise ValueError(f"expected {name} to be a positive integer; got {size!r}.")

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.length,) if self.features is None else (self.length, self.features)

    @property
    def support(self) -> Support:
        return self.emission.support

    def specs(self) -> dict[str, nn.Spec]:
        return {
            "initial": nn.Spec((self.states,)),
            "transition": nn.Spec((self.states, self.states), 1.0),
            "emission": nn.Spec((self.states, self.features or 1, self.emission.outputs), 1.0),
        }

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        products = ops.associative_scan(multiply, self._factors(params, x))
        total = ops.logsumexp(products[-1][..., 0, :])
        return ops.where(total < IMPOSSIBLE / 2, -math.inf, total)

    def smooth(self, params: Parameters, x: ops.Array) -> ops.Array:
        """What the whole sequence says of each state: p(z_t | x), [..., T, S], for x of positive density."""
        factors = self._factors(params, x)
        before = ops.associative_scan(multiply, factors)[..., 0, :]  # log p(x_1..t, z_t)
        after = ops.logsumexp(ops.associative_scan(multiply, factors, reverse=True))[1:]  # log p(x_t+1..T | z_t)
        after = ops.concatenate([after, before[:1] * 0], 0)
        return ops.moveaxis(ops.softmax(before + after), 0, -2)

    def viterbi(self, params: Parameters, x: ops.Array) -> ops.Array:
        """The most likely path argmax_z p(z | x), integers [..., T] (Viterbi, 1967)."""

        def forward(best: ops.Array, factor: ops.Array) -> tuple[ops.Array, ops.Array]:
            scores = best[..., :, None] + factor
            return ops.amax(scores, -2), ops.argmax(scores, -2)

        def backward(state: ops.Array, source: ops.Array) -> tuple[ops.Array, ops.Array]:
            return ops.take_along(source, state[..., None])[..., 0], state

        factors = self._factors(params, x)
        best, sources = ops.scan(forward, factors[0, ..., 0, :] * 0, factors)
        _, path = ops.scan(backward, ops.argmax(best), sources, reverse=True)
        return ops.moveaxis(path, 0, -1)

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        initial, transition = self._chain(params)
        u = noise.uniform((self.length, *shape))

        def step(code: ops.Array, current: tuple[ops.Array, ops.Array]) -> tuple[ops.Array, ops.Array]:
            i, u = current
            state = choose(ops.where(i == 0, initial, code @ transition), u)
            code = ops.as_type_of(state[..., None] == ops.arange(self.states, u), u)
            return code, code

        start = ops.zeros((*shape, self.states), u)
        _, codes = ops.scan(step, start, (ops.arange(self.length, u), u))  # which state, as one-hot codes
        theta = ops.einsum("t...s,sfo->...tfo", codes, params["emission"])
        x = self.emission.draw(theta, self.emission.noise(noise, tuple(theta.shape[:-1])))
        x = x.reshape(*shape, *self.event_shape)
        return ops.as_integer(x) if isinstance(self.support, int) else x

    def _chain(self, params: Parameters) -> tuple[ops.Array, ops.Array]:
        """Log probabilities of the first state [S] and of transitions [S, S]."""
        return _possible(ops.log_softmax(params["initial"])), _possible(ops.log_softmax(params["transition"]))

    def _factors(self, params: Parameters, x: ops.Array) -> ops.Array:
        """Matrices [T, ..., S, S] whose product holds log p(x, z_T), the same in each row.

        Entry (i, j) of the t-th is log p(z_t = j | z_t-1 = i) + log p(x_t | z_t = j); the first one is the same for all i.
        """
        x = as_float(x, params)
        check_event(self, x)
        initial, transition = self._chain(params)
        first = ops.broadcast_to(initial, (1, self.states, self.states))
        rest = ops.broadcast_to(transition, (self.length - 1, self.states, self.states))
        theta = params["emission"]  # [S, features, outputs]
        values = x[..., None, None] if self.features is None else x[..., None, :]  # [..., T, 1, features]
        shape = (*values.shape[:-2], *theta.shape[:2])
        theta, values = ops.broadcast_to(theta, (*shape, theta.shape[-1])), ops.broadcast_to(values, shape)
        log_emission = _possible(ops.sum(self.emission.log_prob(theta, values), -1))
        log_emission = ops.moveaxis(log_emission, -2, 0)[..., None, :]  # [T, ..., 1, S]
        moves = ops.concatenate([first, rest], 0)
        return moves.reshape(self.length, *(1,) * (log_emission.ndim - 3), *moves.shape[1:]) + log_emission


def multiply(a: ops.Array, b: ops.Array) -> ops.Array:
    """The product of matrices [..., S, S] given and returned in logarithms."""
    return ops.logsumexp(a[..., :, :, None] + b[..., None, :, :], -2)


def _possible(log_prob: ops.Array) -> ops.Array:
    return ops.clip(log_prob, IMPOSSIBLE)
