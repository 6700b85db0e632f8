"""Hidden Markov models, the path of hidden states summed out exactly."""

import math
from dataclasses import dataclass

from ppgen import arguments, nn, ops
from ppgen.distributions.autoregressive.conditionals import Conditional, Gaussian, choose
from ppgen.distributions.learnable import Learnable, Noise, Parameters, Support, as_float, check_event
from ppgen.distributions.log_zero import floored, infinite

PARALLEL = 1024  # the most terms, rows S^3, of all sums at one time for which products of matrices are worth their work


@dataclass(frozen=True)
class HiddenMarkov(Learnable):
    r"""A sequence observed through a chain of hidden states (Rabiner, 1989).

    .. math:: p(x) = \sum_{z} p(z_1) p(x_1 | z_1) \prod_{t > 1} p(z_t | z_{t-1}) p(x_t | z_t)

    The sum over all paths is a product of T matrices [S, S] and is taken in one of two ways, by size:

    - for few states and rows (rows S^3 at most 1024) parallel in time, by an associative scan: log2(T) products one
      after another, each over all of a level's pairs at once (Särkkä & García-Fernández, 2021). Time and memory are
      T rows S^3.
    - for more by the forward recursion, T steps one after another, in time T rows S^2. Memory is T rows S, with
      gradients T rows S^2.

    Both sum in logarithms term by term, which is exact however far apart the terms are. A product of exponentials, each
    matrix scaled by its largest entries, would be one matrix product; but where a state is very unlikely so far and
    the only one from which the rest can come, its path falls below the smallest number, and is lost in silence.

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
    hides = True

    def __post_init__(self) -> None:
        arguments.assign(self, length=arguments.size("HiddenMarkov", "length", self.length))
        arguments.assign(self, states=arguments.size("HiddenMarkov", "states", self.states))
        if self.features is not None:
            arguments.assign(self, features=arguments.size("HiddenMarkov", "features", self.features))
        arguments.kind("HiddenMarkov", "emission", self.emission, Conditional, "conditionals.Gaussian()")

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
        before, shift = _before(*self._tables(params, x))
        return infinite(ops.logsumexp(before[-1]) + ops.sum(shift, 0))

    def complete(
        self, before: Parameters, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> ops.Array:
        initial, transition, emission = self._tables(before, x)
        past, future = _before(initial, transition, emission)[0], _after(initial, transition, emission)
        states = ops.softmax(past + future)  # p(z_t | x), [T, ..., S]
        moves = past[:-1][..., :, None] + transition + (emission + future)[1:][..., None, :]
        moves = ops.softmax(moves.reshape((*moves.shape[:-2], self.states**2))).reshape(
            moves.shape
        )  # p(z_t, z_t+1 | x)
        states, moves = ops.stop_gradient(states), ops.stop_gradient(moves)
        initial, transition, emission = self._tables(params, x)
        log_prob = ops.sum(states * emission, (0, -1)) + ops.sum(states[0] * initial, -1)
        return log_prob + ops.sum(moves * transition, (0, -2, -1))

    def smooth(self, params: Parameters, x: ops.Array) -> ops.Array:
        """What the whole sequence says of each state: p(z_t | x), [..., T, S], for x of positive density."""
        tables = self._tables(params, x)
        return ops.moveaxis(ops.softmax(_before(*tables)[0] + _after(*tables)), 0, -2)

    def viterbi(self, params: Parameters, x: ops.Array) -> ops.Array:
        """The most likely path argmax_z p(z | x), integers [..., T] (Viterbi, 1967)."""
        initial, transition, emission = self._tables(params, x)

        def forward(best: ops.Array, here: ops.Array) -> tuple[ops.Array, tuple[ops.Array, ops.Array]]:
            best, _ = _shifted(best + here)
            scores = best[..., :, None] + transition
            return ops.amax(scores, -2), (best, ops.argmax(scores, -2))

        def backward(state: ops.Array, source: ops.Array) -> tuple[ops.Array, ops.Array]:
            state = ops.take_along(source, state[..., None])[..., 0]
            return state, state

        _, (best, sources) = ops.scan(forward, ops.broadcast_to(initial, emission.shape[1:]), emission)
        last = ops.argmax(best[-1])
        if self.length == 1:
            return last[..., None]
        _, path = ops.scan(backward, last, sources[:-1], reverse=True)
        return ops.moveaxis(ops.concatenate([path, last[None]], 0), 0, -1)

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
        x = ops.stop_gradient(x.reshape(*shape, *self.event_shape))
        return ops.as_integer(x) if isinstance(self.support, int) else x

    def _chain(self, params: Parameters) -> tuple[ops.Array, ops.Array]:
        """Log probabilities of the first state [S] and of transitions [S, S]."""
        return floored(ops.log_softmax(params["initial"])), floored(ops.log_softmax(params["transition"]))

    def _tables(self, params: Parameters, x: ops.Array) -> tuple[ops.Array, ops.Array, ops.Array]:
        """Those of `_chain`, and log p(x_t | z_t), [T, ..., S]."""
        x = as_float(x, params)
        check_event(self, x)
        theta = params["emission"]  # [S, features, outputs]
        values = x[..., None, None] if self.features is None else x[..., None, :]  # [..., T, 1, features]
        shape = (*values.shape[:-2], *theta.shape[:2])
        theta, values = ops.broadcast_to(theta, (*shape, theta.shape[-1])), ops.broadcast_to(values, shape)
        emission = floored(self.emission.row_log_prob(theta, values))
        return *self._chain(params), ops.moveaxis(emission, -2, 0)


def multiply(a: ops.Array, b: ops.Array) -> ops.Array:
    """The product of matrices [..., S, S] given and returned in logarithms."""
    return ops.logsumexp(a[..., :, :, None] + b[..., None, :, :], -2)


def _before(initial: ops.Array, transition: ops.Array, emission: ops.Array) -> tuple[ops.Array, ops.Array]:
    """Log p(x_1..t, z_t) less the sum of shifts [T, ...] up to t: [T, ..., S], near 0 however long the sequence is."""
    if _in_parallel(emission):
        emission, shift = _shifted(emission)
        return ops.associative_scan(multiply, _matrices(initial, transition, emission))[..., 0, :], shift

    def step(predicted: ops.Array, here: ops.Array) -> tuple[ops.Array, tuple[ops.Array, ops.Array]]:
        before, shift = _shifted(predicted + here)
        return ops.logsumexp(before[..., :, None] + transition, -2), (before, shift)

    return ops.scan(step, ops.broadcast_to(initial, emission.shape[1:]), emission)[1]


def _after(initial: ops.Array, transition: ops.Array, emission: ops.Array) -> ops.Array:
    """Log p(x_t+1..T | z_t) up to a number for each t: [T, ..., S]."""
    if _in_parallel(emission):
        matrices = _matrices(initial, transition, _shifted(emission)[0])
        after = ops.logsumexp(ops.associative_scan(multiply, matrices, reverse=True))
        return ops.concatenate([after[1:], after[:1] * 0], 0)

    def step(after: ops.Array, here: ops.Array) -> tuple[ops.Array, ops.Array]:
        return _shifted(ops.logsumexp(transition + (after + here)[..., None, :]))[0], after

    return ops.scan(step, emission[0] * 0, emission, reverse=True)[1]


def _in_parallel(emission: ops.Array) -> bool:
    *rows, states = emission.shape[1:]
    return math.prod(rows) * states**3 <= PARALLEL


def _matrices(initial: ops.Array, transition: ops.Array, emission: ops.Array) -> ops.Array:
    """Matrices [T, ..., S, S] whose product holds log p(x, z_T), the same in each row.

    Entry (i, j) of the t-th is log p(z_t = j | z_t-1 = i) + log p(x_t | z_t = j); the first one is the same for all i.
    """
    length, states = len(emission), len(initial)
    first = ops.broadcast_to(initial, (1, states, states))
    moves = ops.concatenate([first, ops.broadcast_to(transition, (length - 1, states, states))], 0)
    return moves.reshape(length, *(1,) * (emission.ndim - 2), states, states) + emission[..., None, :]


def _shifted(x: ops.Array) -> tuple[ops.Array, ops.Array]:
    """`x` less the largest entry of its last axis, a constant to gradients, and that entry."""
    largest = ops.stop_gradient(ops.amax(x, -1))
    return x - largest[..., None], largest
