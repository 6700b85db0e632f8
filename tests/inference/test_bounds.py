"""Bounds of fixed log-weights: their order in the number of particles and in alpha, and one weight for each row."""

import functools
import itertools

import numpy as np
import pytest

import ppgen
from ppgen import Joint, dist, ops, param, plate, sample

SLOPE, SCALE = 0.2, 0.8  # of the guide; the posterior has 1/2 and sqrt(1/2)
K, ROWS = 5, 3


def model(rows):
    with plate("data", rows):
        z = sample("z", dist.Normal(param("loc", 0.0), 1.0))
        sample("x", dist.Normal(z, 1.0))


def guide(x):
    with plate("data", len(x)):
        sample("z", dist.Normal(param("slope", SLOPE) * x, SCALE))


def normal(x, loc, scale):
    return -0.5 * ((x - loc) / scale) ** 2 - 0.5 * np.log(2 * np.pi * scale**2)


def log_weight(z, x):
    """Log p(x, z) - log q(z | x), [particles, rows], in float64."""
    return normal(z, 0, 1) + normal(x, z, 1) - log_q(z, x)


def log_q(z, x):
    return normal(z, SLOPE * x, SCALE)


def log_evidence(x):
    return normal(x, 0, np.sqrt(2))


def logmeanexp(a):
    return np.logaddexp.reduce(a, 0) - np.log(len(a))


def renyi(alpha, log_w):
    return log_w.mean(0) if alpha == 1 else logmeanexp((1 - alpha) * log_w) / (1 - alpha)


@functools.cache
def draws(particles, rows, seed=0):
    """Data [rows] from the model and draws [particles, rows] from the guide, representable in float32."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, np.sqrt(2), rows).astype(np.float32)
    z = rng.normal(SLOPE * x, SCALE, (particles, rows)).astype(np.float32)
    return x.astype(float), z.astype(float)


def bound(algorithm, backend, forced, z, x, size=None):
    """What an algorithm gives for given draws, [particles, rows], in nats per row."""
    return -losses(algorithm, backend, forced, z, x, size)["model"]


def losses(algorithm, backend, forced, z, x, size=None):
    data = {"x": x.astype(np.float32)}
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data=data, backend=backend, size=size), algorithm)
    return forced.compiled(trainer, trainer.init(), data)(guide={"z": z})[0]


# the number of particles -------------------------------------------------------------------------------------


def mean_over_subsets(k, backend, forced):
    """The mean of IWAE's bound over all subsets of k of the K particles: each subset takes rows of its own."""
    x, z = draws(K, ROWS)
    subsets = [list(subset) for subset in itertools.combinations(range(K), k)]
    z = np.concatenate([z[subset] for subset in subsets], 1)
    return bound(ppgen.IWAE(k), backend, forced, z, np.tile(x, len(subsets)))


def test_more_particles_do_not_loosen_iwae(backend, forced):
    x, z = draws(K, ROWS)
    found = [mean_over_subsets(k, backend, forced) for k in range(1, K + 1)]
    assert (np.diff(found) > 1e-3).all(), "the weights differ, so each particle tightens the bound"
    assert found[0] == pytest.approx(bound(ppgen.ELBO(K), backend, forced, z, x), abs=1e-5)
    for k, value in enumerate(found, 1):
        wanted = np.mean([logmeanexp(log_weight(z[list(s)], x)) for s in itertools.combinations(range(K), k)])
        assert value == pytest.approx(wanted, abs=1e-5)


def test_a_bound_that_counts_its_particles_twice_is_caught(backend, forced, monkeypatch):
    original = ops.logmeanexp
    monkeypatch.setattr(ops, "logmeanexp", lambda x, axis: original(x, axis) - np.log(x.shape[axis]))
    assert (np.diff([mean_over_subsets(k, backend, forced) for k in (1, 2)]) < 0).all()


# alpha -------------------------------------------------------------------------------------------------------

ALPHAS = (-3, -0.5, 0, 0.5, 0.99, 1, 1.01, 2, 5)


def test_renyi_does_not_rise_in_alpha(backend, forced):
    x, z = draws(K, ROWS)
    log_w = log_weight(z, x)
    found = {alpha: bound(ppgen.Renyi(alpha, K), backend, forced, z, x) for alpha in ALPHAS}
    for alpha, value in found.items():
        assert value == pytest.approx(renyi(alpha, log_w).mean(), abs=2e-5), alpha
    assert (np.diff(list(found.values())) < -1e-4).all(), "the weights differ, so the bound falls"

    assert found[1] == pytest.approx(bound(ppgen.ELBO(K), backend, forced, z, x), abs=1e-6)
    assert found[0] == pytest.approx(bound(ppgen.IWAE(K), backend, forced, z, x), abs=1e-6)
    below, above = found[0.99] - found[1], found[1] - found[1.01]  # continuous, with slope -Var(log w) / 2
    assert (below, above) == pytest.approx(2 * (0.01 * log_w.var(0).mean() / 2,), rel=0.05)


def test_renyi_keeps_its_digits_near_the_elbo(backend, forced):
    """At log-weights of order 10 to 100, float32 would lose all digits of a difference of order 1 - alpha."""
    x, z = draws(K, ROWS)
    at_one = bound(ppgen.Renyi(1, K), backend, forced, z, x)
    assert bound(ppgen.Renyi(1 + 1e-6, K), backend, forced, z, x) == pytest.approx(at_one, abs=5e-5)
    assert bound(ppgen.Renyi(1 - 1e-6, K), backend, forced, z, x) == pytest.approx(at_one, abs=5e-5)


def test_a_sum_in_place_of_the_mean_is_caught(backend, forced, monkeypatch):
    """Without 1/K the bound has log(K) / (1 - alpha) too much, and rises."""
    x, z = draws(K, ROWS)
    log1p = ops.log1p
    monkeypatch.setattr(ops, "log1p", lambda x: log1p(x) + np.log(K))
    low, high = (bound(ppgen.Renyi(alpha, K), backend, forced, z, x) for alpha in (0.2, 0.7))
    assert high > low + 1


# minibatches -------------------------------------------------------------------------------------------------

MANY = 64
SIZE, PART = 400, 20
NONLINEAR = [ppgen.Renyi(0.5, MANY), ppgen.IWAE(MANY), ppgen.ReweightedWakeSleep(MANY)]


@pytest.mark.parametrize("algorithm", NONLINEAR, ids=repr)
def test_minibatches_average_to_the_full_data(backend, algorithm, forced):
    """Weights of local latents are of one row each: no N/B enters the logarithm, and parts average to the whole."""
    whole, parts = whole_and_parts(backend, algorithm, forced)
    assert parts == pytest.approx(whole, abs=2e-5)


def test_weights_pooled_over_a_minibatch_are_caught(backend, forced, monkeypatch):
    monkeypatch.setattr(Joint, "pool", lambda self, log_w, batch: ops.sum(log_w, 1, keepdims=True))
    whole, parts = whole_and_parts(backend, ppgen.Renyi(0.5, MANY), forced)
    assert parts["model"] < whole["model"] - 1e-2


def whole_and_parts(backend, algorithm, forced):
    """Losses of all rows, and the mean of those of equal parts, by role."""
    x, z = draws(MANY, SIZE)
    data = {"x": x[:PART].astype(np.float32)}
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data=data, backend=backend, size=SIZE), algorithm)
    play = compiled(trainer, trainer.init(), forced)
    parts = [play(x[i : i + PART], z[:, i : i + PART]) for i in range(0, SIZE, PART)]
    return play(x, z), {role: np.mean([part[role] for part in parts]) for role in algorithm.roles}


def compiled(trainer, state, forced):
    """Losses of given rows and draws, compiled once for each number of rows."""

    def play(batch, z):
        forced(guide={"z": z})
        return trainer._raw_losses(state, batch, state.key)

    play, array = trainer.backend.without_gradients(play), trainer.backend.array

    def call(x, z):
        found = play({"x": array(x.astype(np.float32))}, array(z.astype(np.float32)))
        forced()
        return {role: float(loss) for role, loss in found.items()}

    return call


def test_a_minibatch_gives_a_lower_bound(backend, forced, monkeypatch):
    """20 of 2000 rows: weights of rows stay below the truth; one weight with the factor 100 inside goes far above."""
    size = 2000
    x, z = draws(MANY, PART, seed=1)
    truth = size * log_evidence(x).mean()
    algorithm = ppgen.Renyi(0.5, MANY)
    found = size * bound(algorithm, backend, forced, z, x, size)
    assert found == pytest.approx(size * renyi(0.5, log_weight(z, x)).mean(), rel=1e-5)
    assert truth - 0.3 * size < found < truth

    def scaled(self, log_w, batch):
        return ops.sum(log_w, 1, keepdims=True) * (self.size / batch.rows)

    monkeypatch.setattr(Joint, "pool", scaled)
    wrong = PART * bound(algorithm, backend, forced, z, x, size)
    assert wrong == pytest.approx(renyi(0.5, size / PART * log_weight(z, x).sum(1)), rel=1e-4)
    assert wrong > truth + 100


# reweighted wake-sleep ---------------------------------------------------------------------------------------


def reweighted(log_w, log_q):
    """The model's bound and the guide's loss with one set of weights for each column."""
    share = np.exp(log_w - np.logaddexp.reduce(log_w, 0))
    return logmeanexp(log_w).sum(), -(share * log_q).sum()


def test_reweighted_wake_sleep_weighs_each_row(backend, forced, monkeypatch):
    """200 rows: the bound of weights pooled over the minibatch is nats away from the truth, that of rows is near."""
    rows = 200
    x, z = draws(MANY, rows)
    truth, algorithm = log_evidence(x).sum(), ppgen.ReweightedWakeSleep(MANY)
    wanted, guide_loss = reweighted(log_weight(z, x), log_q(z, x))
    found = losses(algorithm, backend, forced, z, x)
    assert -rows * found["model"] == pytest.approx(wanted, rel=1e-5)
    assert rows * found["guide"] == pytest.approx(guide_loss, rel=1e-5)
    assert abs(-rows * found["model"] - truth) < 2

    monkeypatch.setattr(Joint, "pool", lambda self, log_w, batch: ops.sum(log_w, 1, keepdims=True))
    pooled, pooled_guide_loss = reweighted(log_weight(z, x).sum(1, keepdims=True), log_q(z, x).sum(1, keepdims=True))
    wrong = losses(algorithm, backend, forced, z, x)
    assert -rows * wrong["model"] == pytest.approx(pooled, rel=1e-5)
    assert rows * wrong["guide"] == pytest.approx(pooled_guide_loss, rel=1e-5)
    assert pooled < truth - 20
    assert abs(pooled_guide_loss - guide_loss) > 1
