"""Hidden Markov models against the sum over every path, and against the forward recursion, in float64."""

import functools
import itertools

import jax
import numpy as np
import pytest
import scipy.stats
import torch

import ppgen
from ppgen import module, ops, plate, sample
from ppgen.distributions import HiddenMarkov, hidden_markov
from ppgen.distributions.autoregressive import conditionals


def started(chain, seed=0):
    """Parameters away from their start."""
    rng = np.random.default_rng(seed)
    return {name: a + 0.5 * rng.normal(size=a.shape).astype(np.float32) for name, a in chain.init(seed).items()}


def on(params, backend):
    return {name: ppgen.backends.get(backend).array(a) for name, a in params.items()}


def array(x, backend):
    return ppgen.backends.get(backend).array(np.asarray(x, np.float32))


def compiled(fn, backend):
    """On NumPyro one operation at a time takes longer."""
    return jax.jit(fn) if backend == "numpyro" else fn


def log_normalised(logits):
    return logits - np.logaddexp.reduce(logits, -1)[..., None]


def log_emission(chain, params, x):
    """Of one sequence [T] or [T, features], [T, S], by SciPy."""
    theta = params["emission"].astype(np.float64)
    x = x.reshape(chain.length, 1, -1)
    if isinstance(chain.emission, conditionals.Gaussian):
        scale = np.exp(chain.emission.bound * np.tanh(theta[..., 1] / chain.emission.bound))
        return scipy.stats.norm(theta[..., 0], scale).logpdf(x).sum(-1)
    if isinstance(chain.emission, conditionals.Bernoulli):
        return scipy.stats.bernoulli(1 / (1 + np.exp(-theta[..., 0]))).logpmf(x).sum(-1)
    states, features = np.indices(theta.shape[:2])
    return log_normalised(theta)[states, features, x.astype(int)].sum(-1)


def tables(chain, params, x):
    """Log probabilities of the first state, of transitions, and of the sequence given each state."""
    initial, transition = (log_normalised(params[name].astype(np.float64)) for name in ("initial", "transition"))
    return initial, transition, log_emission(chain, params, x)


def by_paths(initial, transition, emission):
    """Log likelihood, posterior of each state, and the best path, from the list of all paths."""
    length, states = emission.shape
    paths = np.array(list(itertools.product(range(states), repeat=length)))
    joint = initial[paths[:, 0]] + emission[np.arange(length), paths].sum(-1)
    joint = joint + transition[paths[:, :-1], paths[:, 1:]].sum(-1)
    total = np.logaddexp.reduce(joint)
    posterior = np.exp(joint - total)
    marginals = np.stack([[posterior[paths[:, t] == s].sum() for s in range(states)] for t in range(length)])
    return total, marginals, paths[joint.argmax()]


def by_recursion(initial, transition, emission):
    """Log likelihood and posterior of each state, one time after another."""
    alpha = [initial + emission[0]]
    for e in emission[1:]:
        alpha.append(np.logaddexp.reduce(alpha[-1][:, None] + transition, 0) + e)
    beta = [np.zeros_like(initial)]
    for e in emission[:0:-1]:
        beta.append(np.logaddexp.reduce(transition + e + beta[-1], 1))
    joint = np.stack(alpha) + np.stack(beta[::-1])
    return np.logaddexp.reduce(alpha[-1]), np.exp(log_normalised(joint))


CHAINS = {
    "gaussian": HiddenMarkov(5, states=3),
    "features": HiddenMarkov(4, states=2, features=3),
    "bits": HiddenMarkov(5, states=2, emission=conditionals.Bernoulli(), features=2),
    "classes": HiddenMarkov(3, states=3, emission=conditionals.Categorical(4)),
    "once": HiddenMarkov(1, states=3),
    "twice": HiddenMarkov(2, states=2),
    "one state": HiddenMarkov(4, states=1),
    "many states": HiddenMarkov(3, states=9),
}


@pytest.fixture(params=["parallel", "in turn"])
def way(request, monkeypatch):
    """How the sum over paths is taken, which else goes by size."""
    monkeypatch.setattr(hidden_markov, "PARALLEL", 10**9 if request.param == "parallel" else 0)
    return request.param


def data(chain, shape, seed=1):
    rng = np.random.default_rng(seed)
    if isinstance(chain.support, int) or chain.support == "boolean":
        return rng.integers(0, chain.support if isinstance(chain.support, int) else 2, (*shape, *chain.event_shape))
    return rng.normal(size=(*shape, *chain.event_shape)).astype(np.float32)


@pytest.mark.parametrize("name", CHAINS)
def test_every_path(name, backend):
    """Likelihood, smoothing and the best path of six sequences at once."""
    chain = CHAINS[name]
    params, x = started(chain), data(chain, (3, 2))
    wanted = [[by_paths(*tables(chain, params, x[i, j])) for j in range(2)] for i in range(3)]
    own, values = on(params, backend), array(x, backend)
    found = compiled(lambda *given: (chain.log_prob(*given), chain.smooth(*given), chain.viterbi(*given)), backend)
    log_prob, marginals, path = found(own, values)
    assert marginals.shape == (3, 2, chain.length, chain.states)
    for i, j in itertools.product(range(3), range(2)):
        total, smoothed, best = wanted[i][j]
        np.testing.assert_allclose(float(log_prob[i, j]), total, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(np.asarray(marginals[i, j]), smoothed, atol=1e-5)
        np.testing.assert_array_equal(np.asarray(path[i, j]), best)


@pytest.mark.parametrize("length", [199, 200])
def test_a_long_sequence_is_the_recursion(length, way, backend):
    chain = HiddenMarkov(length, states=4, features=2)
    params, x = started(chain), data(chain, (2,))
    run = compiled(lambda *given: (chain.log_prob(*given), chain.smooth(*given)), backend)
    log_prob, smoothed = run(on(params, backend), array(x, backend))
    for i in range(2):
        total, marginals = by_recursion(*tables(chain, params, x[i]))
        np.testing.assert_allclose(float(log_prob[i]), total, rtol=2e-6)
        np.testing.assert_allclose(np.asarray(smoothed[i]), marginals, atol=1e-5)


def test_the_oracles_agree():
    chain = CHAINS["gaussian"]
    found = tables(chain, started(chain), data(chain, ()))
    for one, other in zip(by_paths(*found), by_recursion(*found), strict=False):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def gradients(chain, params, x, backend):
    if backend == "numpyro":
        grads = jax.jit(jax.grad(lambda params: chain.log_prob(params, x).sum()))(params)
        return {name: np.asarray(g) for name, g in grads.items()}
    leaves = {name: p.requires_grad_() for name, p in params.items()}
    grads = torch.autograd.grad(chain.log_prob(leaves, x).sum(), leaves.values())
    return {name: g.numpy() for name, g in zip(leaves, grads, strict=True)}


@pytest.mark.parametrize("name", ["gaussian", "bits"])
def test_gradients_are_differences(name, way, backend):
    """Against central differences of the sum over paths."""
    chain = CHAINS[name]
    params, x = started(chain), data(chain, (2,))
    found = gradients(chain, on(params, backend), array(x, backend), backend)
    for name, value in params.items():
        wanted = np.zeros(value.shape)
        for index in np.ndindex(value.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = {**params, name: value.astype(np.float64)}
                moved[name][index] += step
                ends.append(sum(by_paths(*tables(chain, moved, row))[0] for row in x))
            wanted[index] = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(found[name], wanted, rtol=1e-3, atol=1e-3)


def left_to_right():
    """A chain that starts in its first state and never goes back, so that x = (1, 0, ...) is impossible here."""
    chain = HiddenMarkov(4, states=3, emission=conditionals.Bernoulli())
    params = started(chain)
    params["initial"] = np.array([0, -np.inf, -np.inf], np.float32)
    params["transition"] = np.where(np.tril(np.ones((3, 3)), -1) > 0, -np.inf, params["transition"]).astype(np.float32)
    return chain, params


def test_forbidden_transitions(way, backend):
    """Paths that go back have no part in anything, and gradients stay finite."""
    chain, params = left_to_right()
    x = np.array([[0, 1, 1, 0], [1, 1, 0, 1]], np.float32)
    own, values = on(params, backend), array(x, backend)
    with np.errstate(all="ignore"):
        wanted = [by_paths(*tables(chain, params, row)) for row in x]
    run = compiled(lambda *given: (chain.log_prob(*given), chain.smooth(*given), chain.viterbi(*given)), backend)
    log_prob, smoothed, path = run(own, values)
    for i, (total, marginals, best) in enumerate(wanted):
        np.testing.assert_allclose(float(log_prob[i]), total, rtol=1e-5)
        np.testing.assert_allclose(np.asarray(smoothed[i]), marginals, atol=1e-5)
        np.testing.assert_array_equal(np.asarray(path[i]), best)
    for grad in gradients(chain, own, values, backend).values():
        assert np.isfinite(grad).all()


def test_an_impossible_sequence(way, backend):
    """Its log density is minus infinity, not nan; gradients are finite, and other rows keep theirs."""
    chain = HiddenMarkov(4, states=3, emission=conditionals.Categorical(2))
    params = started(chain)
    params["initial"] = np.array([0, -np.inf, -np.inf], np.float32)
    params["emission"][0, 0, 1] = -np.inf  # the first state, where every sequence starts, gives no 1
    x = np.array([[1, 0, 0, 0], [0, 1, 1, 0]], np.float32)
    found = np.asarray(compiled(chain.log_prob, backend)(on(params, backend), array(x, backend)))
    assert found[0] == -np.inf
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found[1], by_paths(*tables(chain, params, x[1]))[0], rtol=1e-5)
    both, alone = (gradients(chain, on(params, backend), array(rows, backend), backend) for rows in (x, x[1:]))
    for name, grad in both.items():
        assert np.isfinite(grad).all()
        np.testing.assert_allclose(grad, alone[name], rtol=1e-5, atol=1e-6)


# hard cases: terms of one sum that are hundreds or thousands of nats apart -------------------------------------------

HARD = HiddenMarkov(12, states=3)
MEANS = np.array([-5.0, 0.0, 5.0])


def chain_of(initial, transition, log_scale):
    emission = np.stack([MEANS, np.full(3, log_scale)], -1)[:, None]
    tables = {"initial": np.array(initial), "transition": np.array(transition), "emission": emission}
    return {name: table.astype(np.float32) for name, table in tables.items()}


@pytest.mark.parametrize(("name", "wrong"), [("bits", 0.5), ("classes", 4), ("classes", -1)])
def test_values_that_no_state_gives(name, wrong, way, backend):
    """One such number makes the sequence impossible, and that one alone."""
    chain = CHAINS[name]
    x = data(chain, (2,)).astype(np.float32)
    x[0].flat[-1] = wrong
    found = np.asarray(compiled(chain.log_prob, backend)(on(started(chain), backend), array(x, backend)))
    assert found[0] == -np.inf
    assert np.isfinite(found[1])


STEPS = [[0, 0, -np.inf], [-np.inf, 0, 0], [-np.inf, -np.inf, 0]]  # stay, or go on by one
WALK = np.repeat(MEANS, 4).astype(np.float32)
CASES = {
    "nearly deterministic": (chain_of([0, -1e3, -1e3], 1e3 * (np.eye(3) - 1), -1.0), WALK),
    "one step on, far apart": (chain_of([0, -np.inf, -np.inf], STEPS, -2.0), WALK),
    "only through the unlikely": (chain_of([0, -np.inf, -np.inf], STEPS, -2.0), np.where(np.arange(12) < 6, -5, 5)),
    "far outside": (chain_of([0, 0, 0], np.zeros((3, 3)), 0.0), np.where(np.arange(12) == 5, 1e4, 100.0)),
    "first outside, then forbidden": (chain_of([0, 0, 0], STEPS, -1.0), np.linspace(300, -300, 12)),
}


@functools.cache
def with_gradients(backend, way):
    """Log density of a sequence, with its gradients; compiled once on NumPyro."""
    if backend == "numpyro":
        return jax.jit(jax.value_and_grad(lambda params, x: HARD.log_prob(params, x)))

    def run(params, x):
        leaves = {name: p.requires_grad_() for name, p in params.items()}
        log_prob = HARD.log_prob(leaves, x)
        return log_prob.detach(), dict(zip(leaves, torch.autograd.grad(log_prob, leaves.values()), strict=True))

    return run


def check_hard(case, backend, way):
    """Value and gradients are those of the recursion in float64: of the first state, and of the means, by its posterior."""
    params, x = CASES[case]
    initial, transition, emission = tables(HARD, params, np.asarray(x, np.float32))
    with np.errstate(all="ignore"):
        total, posterior = by_recursion(initial, transition, emission)
    found, grads = with_gradients(backend, way)(on(params, backend), array(x, backend))
    np.testing.assert_allclose(float(found), total, rtol=1e-5)
    assert all(np.isfinite(np.asarray(g)).all() for g in grads.values())
    np.testing.assert_allclose(np.asarray(grads["initial"]), posterior[0] - np.exp(initial), atol=2e-3)
    precision = np.exp(-2 * 5 * np.tanh(params["emission"][:, 0, 1] / 5))
    wanted = (posterior * (np.asarray(x)[:, None] - MEANS)).sum(0) * precision
    np.testing.assert_allclose(np.asarray(grads["emission"])[:, 0, 0], wanted, rtol=1e-3, atol=0.02)


@pytest.mark.parametrize("case", CASES)
def test_hard_cases(case, way, backend):
    check_hard(case, backend, way)


def test_scaled_products_of_exponentials_are_caught(monkeypatch):
    """The planted bug: matrix products that are scaled by the largest entries lose what only unlikely states lead to."""

    def multiply(a, b):
        m, n = ops.amax(a, -1)[..., :, None], ops.amax(b, -2)[..., None, :]
        return ops.log(ops.exp(a - m) @ ops.exp(b - n)) + m + n

    monkeypatch.setattr(hidden_markov, "PARALLEL", 10**9)
    monkeypatch.setattr(hidden_markov, "multiply", multiply)
    with pytest.raises(AssertionError):
        check_hard("only through the unlikely", "pyro", "planted")


def test_a_very_long_sequence(way):
    """On one backend: the other compiles for long."""
    chain = HiddenMarkov(5000, states=3)
    params, x = started(chain), data(chain, ())
    total, marginals = by_recursion(*tables(chain, params, x))
    with torch.no_grad():
        own = on(params, "pyro")
        assert float(chain.log_prob(own, array(x, "pyro"))) == pytest.approx(total, rel=2e-6)
        np.testing.assert_allclose(chain.smooth(own, array(x, "pyro")).numpy(), marginals, atol=2e-4)


class Sizes(torch.overrides.TorchFunctionMode):
    """The largest tensor that torch functions give."""

    largest = 0

    def __torch_function__(self, fn, types, args=(), kwargs=None):
        result = fn(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.numel())
        return result


def test_many_states_take_no_cube_of_memory(backend, variables):
    """No array is larger than one number for each time, row and pair of states, with gradients; so in smoothing."""
    chain, rows = HiddenMarkov(6, states=16), 4
    params, x = on(started(chain), backend), array(np.zeros((rows, 6)), backend)
    if backend == "numpyro":
        traced = [jax.make_jaxpr(jax.grad(lambda params, x: chain.log_prob(params, x).sum()))(params, x)]
        traced.append(jax.make_jaxpr(chain.smooth)(params, x))
        largest = max(v.aval.size for made in traced for v in variables(made.jaxpr))
    else:
        with Sizes() as sizes:
            gradients(chain, params, x, backend)
            chain.smooth(params, x)
        largest = sizes.largest
    assert largest <= 6 * rows * 16**2


def test_nan_stays_nan(way, backend):
    """An observation that is no number is not taken for an impossible one."""
    chain = CHAINS["gaussian"]
    x = np.array([0, 0, np.nan, 0, 0], np.float32)
    assert np.isnan(float(compiled(chain.log_prob, backend)(on(started(chain), backend), array(x, backend))))


def test_draws_follow_the_chain(backend):
    """Frequencies of all sequences of three bits, within five standard errors; forbidden transitions never happen."""
    chain = HiddenMarkov(3, states=2, emission=conditionals.Bernoulli())
    params = started(chain)
    params["emission"] = 3 * params["emission"]
    params["transition"][1, 0] = -np.inf
    values = np.array(list(itertools.product([0, 1], repeat=3)), np.float32)
    p = chain.apply(on(params, backend))
    mass = np.exp(np.asarray(p.log_prob(array(values, backend))))
    np.testing.assert_allclose(mass.sum(), 1, rtol=1e-5)
    n = 20_000
    x = np.asarray(p.sample(jax.random.key(0), (n,)) if backend == "numpyro" else p.sample((n,)))
    counts = np.bincount((x @ [4, 2, 1]).astype(int), minlength=8) / n
    assert (np.abs(counts - mass) < 5 * np.sqrt(mass * (1 - mass) / n)).all()


def test_an_emission_that_is_not_normalised_is_caught(monkeypatch):
    """The planted bug: an emission that counts twice no longer sums to one."""
    chain = HiddenMarkov(3, states=2, emission=conditionals.Bernoulli())
    log_prob = conditionals.Bernoulli.log_prob
    monkeypatch.setattr(conditionals.Bernoulli, "log_prob", lambda self, theta, x: 2 * log_prob(self, theta, x))
    values = np.array(list(itertools.product([0, 1], repeat=3)), np.float32)
    mass = np.exp(np.asarray(chain.log_prob(on(started(chain), "numpyro"), values)))
    assert abs(mass.sum() - 1) > 0.1


def test_it_learns(backend):
    """Two states that stay, with means far apart, are found again."""
    rng = np.random.default_rng(0)
    states = (rng.random((32, 1)) < 0.5) ^ (np.cumsum(rng.random((32, 20)) < 0.1, 1) % 2 == 1)
    x = (np.where(states, 2.0, -2.0) + 0.5 * rng.normal(size=states.shape)).astype(np.float32)
    chain = HiddenMarkov(20, states=2)

    def model(rows):
        with plate("data", rows):
            sample("x", module("p", chain)())

    fit = ppgen.fit(
        model, data={"x": x}, algorithm=ppgen.MaximumLikelihood(), backend=backend, steps=100,
        optimizer=ppgen.Adam(0.1),
    )  # fmt: skip
    params = {name: array(fit.params[f"p.{name}"], backend) for name in chain.specs()}
    means = fit.params["p.emission"][:, 0, 0]
    np.testing.assert_allclose(np.sort(means), [-2, 2], atol=0.3)
    path = np.asarray(chain.viterbi(params, array(x, backend)))
    assert ((path == means.argmax()) == states).mean() > 0.97


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0, "states": 2}, "expected length to be a positive integer; got 0"),
        ({"length": 3, "states": 2.0}, "expected states to be a positive integer; got 2.0"),
        ({"length": 3, "states": 2, "features": 0}, "expected features to be a positive integer; got 0"),
        ({"length": 3, "states": True}, "expected states to be a positive integer; got True"),
        ({"length": 3, "states": 2, "emission": "gaussian"}, "emission to be a Conditional, such as.*got 'gaussian'"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        HiddenMarkov(**arguments)


def test_whole_numbers_of_numpy():
    chain = HiddenMarkov(np.int64(3), np.int64(2), features=np.int64(1))
    assert repr(chain) == repr(HiddenMarkov(3, 2, features=1))
    assert all(type(size) is int for size in (chain.length, chain.states, chain.features))


def test_values_of_another_length(backend):
    chain = CHAINS["gaussian"]
    with pytest.raises(ValueError, match=r"values whose last axes are \(5,\).*got shape \(2, 4\)"):
        chain.log_prob(on(started(chain), backend), array(np.zeros((2, 4)), backend))
