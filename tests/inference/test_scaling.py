"""Global latent variables: their terms count once in N rows, whatever the minibatch; weights are of all the data."""

import functools

import numpy as np
import pytest

import ppgen
from ppgen import ELBO, IWAE, Joint, Renyi, ReweightedWakeSleep, dist, factor, ops, param, plate, sample
from ppgen.errors import IllegalPairing
from ppgen.models.regression import linear_regression, linear_regression_posterior

ROWS, FEATURES, SCALE = 12, 2, 0.5
K = 3


def normal(x, loc, scale):
    return -0.5 * ((x - loc) / scale) ** 2 - 0.5 * np.log(2 * np.pi * scale**2)


def logmeanexp(a):
    return np.logaddexp.reduce(a, 0) - np.log(len(a))


@functools.cache
def regression_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    return {"x": x, "y": rng.normal(x @ [1.0, -0.5] + 0.7, SCALE).astype(np.float32)}


def doubled(data):
    return {name: np.concatenate([value, value]) for name, value in data.items()}


def posterior_guide(data):
    """The exact posterior of `linear_regression`: w, then b given w. Its parameter `shift` starts at the truth, 0."""
    mean, covariance, _ = linear_regression_posterior(data["x"], data["y"], SCALE)
    of_w, with_b = covariance[:-1, :-1], covariance[-1, :-1]
    gain = np.linalg.solve(of_w, with_b)
    scale = float(np.sqrt(covariance[-1, -1] - with_b @ gain))
    loc, gain, of_w = (value.astype(np.float32) for value in (mean[:-1], gain, of_w))
    last = float(mean[-1])

    def guide():
        w = sample("w", dist.MultivariateNormal(ops.asarray(loc), covariance_matrix=ops.asarray(of_w)))
        shifted = ((w - ops.asarray(loc)) * ops.asarray(gain)).sum(-1) + param("shift", 0.0)
        sample("b", dist.Normal(last + shifted, scale))

    return guide


@pytest.fixture
def mistake(monkeypatch):
    """Plants a wrong number of rows N in every joint."""

    def plant(size):
        monkeypatch.setattr(Joint, "size", property(lambda self: size, lambda self, value: None), raising=False)

    return plant


# minibatches -------------------------------------------------------------------------------------------------


def parts_and_whole(backend, forced, size=ROWS):
    """Loss and gradients of the ELBO summed over three parts of the rows, and those of all rows, at one draw."""
    data, batch = regression_data(), ROWS // 3
    draw = {"w": np.array([[0.3, -0.8]]), "b": np.array([0.4])}
    programs = linear_regression(FEATURES, SCALE)
    totals = []
    for rows in ([range(i, i + batch) for i in range(0, ROWS, batch)], [range(ROWS)]):
        total = {}
        for part in rows:
            arrays = {name: value[part] for name, value in data.items()}
            trainer = ppgen.Trainer(
                ppgen.Problem(*programs, data=arrays, backend=backend, size=max(size, len(part))), ELBO()
            )
            losses, grads = forced.compiled(trainer, trainer.init(), arrays)(guide=draw)
            for name, value in {"loss": losses["model"], **grads}.items():
                total[name] = total.get(name, 0.0) + len(part) * value
        totals.append(total)
    return totals


def test_minibatches_sum_to_the_full_data(backend, forced):
    parts, whole = parts_and_whole(backend, forced)
    assert parts.keys() == whole.keys() == {"loss", "w_loc", "w_scale", "b_loc", "b_scale"}
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-5, atol=1e-5, err_msg=name)

    data = regression_data()
    x, y = data["x"].astype(float), data["y"].astype(float)
    w, b = np.array([0.3, -0.8]), 0.4  # the guide starts as the prior, so that these terms cancel
    assert whole["loss"] == pytest.approx(-normal(y, x @ w + b, SCALE).sum(), rel=1e-5)


def test_a_prior_counted_in_each_minibatch_is_caught(backend, forced):
    """Without N, a row of a minibatch of 4 carries 1/4 of the global terms: all rows carry them three times."""
    parts, whole = parts_and_whole(backend, forced, size=ROWS // 3)[0], parts_and_whole(backend, forced)[1]
    assert abs(parts["b_scale"] - whole["b_scale"]) > 0.1


# doubled data ------------------------------------------------------------------------------------------------


def twice(x, y):
    """`linear_regression` with a likelihood of weight 2."""
    w = sample("w", dist.Normal(0.0, 1.0).expand([FEATURES]).to_event(1))
    b = sample("b", dist.Normal(0.0, 1.0))
    with plate("data", len(x)):
        response = dist.Normal((x * w).sum(-1) + b, SCALE)
        sample("y", response)
        factor("again", response.log_prob(y))


def per_row_of_doubled(backend):
    """Bounds on the doubled data, per row of it: by doubling the rows, and by doubling the likelihood."""
    data = regression_data()
    both = doubled(data)
    guide = posterior_guide(both)
    bounds = []
    for model, arrays in ((linear_regression(FEATURES, SCALE)[0], both), (twice, data)):
        trainer = ppgen.Trainer(ppgen.Problem(model, guide, data=arrays, backend=backend), ELBO(K))
        bounds.append(-float(trainer.losses(trainer.init(), arrays)["model"]) * len(arrays["y"]) / (2 * ROWS))
    _, _, evidence = linear_regression_posterior(both["x"], both["y"], SCALE)
    return bounds, evidence / (2 * ROWS)


def test_doubled_data_is_a_likelihood_of_weight_two(backend):
    """The prior counts once in both, and with the exact posterior as guide the bound is the evidence."""
    (rows, likelihood), evidence = per_row_of_doubled(backend)
    assert rows == pytest.approx(likelihood, abs=1e-5)
    assert rows == pytest.approx(evidence, abs=1e-5)


@pytest.mark.parametrize("size", [1, ROWS])
def test_a_wrong_number_of_rows_is_caught(backend, mistake, size):
    mistake(size)
    (rows, likelihood), evidence = per_row_of_doubled(backend)
    assert abs(rows - evidence) > 0.05
    assert abs(rows - likelihood) > 0.05


# global and local variables together -------------------------------------------------------------------------


def effects(rows):
    """Random effects: w for everyone, z for each row, and y with noise."""
    w = sample("w", dist.Normal(0.0, 1.0))
    with plate("data", rows):
        z = sample("z", dist.Normal(w, 1.0))
        sample("y", dist.Normal(z, SCALE))


def effects_posterior(y):
    """The exact p(w | y) p(z | w, y), at shift 0."""
    variance = 1 / (1 + len(y) / (1 + SCALE**2))
    loc = variance * y.sum() / (1 + SCALE**2)
    w = sample("w", dist.Normal(loc + param("shift", 0.0), variance**0.5))
    with plate("data", len(y)):
        precision = 1 + 1 / SCALE**2
        sample("z", dist.Normal((w + y / SCALE**2) / precision, precision**-0.5))


def effects_guess(y):
    """A guide for minibatches, which must not make w of one."""
    w = sample("w", dist.Normal(param("shift", 0.0), 1.0))
    with plate("data", len(y)):
        sample("z", dist.Normal(w + 0.0 * y, 1.0))


def effects_log_weight(y, w, z, shift):
    """Log p(y, w, z) - log q(w, z | y) of all rows together, [particles], and log q."""
    variance = 1 / (1 + len(y) / (1 + SCALE**2))
    precision = 1 + 1 / SCALE**2
    log_p = normal(w, 0, 1) + (normal(z, w[:, None], 1) + normal(y, z, SCALE)).sum(1)
    log_q = normal(w, variance * y.sum() / (1 + SCALE**2) + shift, np.sqrt(variance))
    log_q = log_q + normal(z, (w[:, None] + y / SCALE**2) / precision, precision**-0.5).sum(1)
    return log_p - log_q, log_q


def effects_evidence(y):
    """Log N(y; 0, (1 + s^2) I + 1 1')."""
    covariance = (1 + SCALE**2) * np.eye(len(y)) + 1
    return -0.5 * (y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(2 * np.pi * covariance)[1])


@functools.cache
def effects_data():
    rng = np.random.default_rng(1)
    return {"y": (0.8 + rng.normal(size=ROWS) + SCALE * rng.normal(size=ROWS)).astype(np.float32)}


def effects_problem(backend, size=ROWS):
    guide = effects_posterior if size == ROWS else effects_guess
    return ppgen.Problem(effects, guide, data=effects_data(), backend=backend, size=size)


def pooled_log_weights(backend):
    """The log-weight of each particle, drawn from the exact posterior; and its log q, by rows and in two parts."""
    problem = effects_problem(backend)
    batch = ppgen.Batch(problem.device(effects_data()))
    with ppgen.using(backend):
        joints = problem.joints()
        z = joints["guide"].draw(batch, K)
        log_w = joints["model"].log_weight(batch, z)
        pooled = joints["model"].pool(log_w, batch)
    assert log_w.shape == (K, ROWS)
    return [problem.backend.numpy(value) for value in (pooled, z.log_prob, *z.parts)]


def test_pooled_weights_are_the_evidence(backend):
    """Drawn from the exact posterior, every particle weighs log p(y), a multivariate normal density."""
    pooled, log_q, local, shared = pooled_log_weights(backend)
    assert pooled.shape == (K, 1)
    np.testing.assert_allclose(pooled, effects_evidence(effects_data()["y"].astype(float)), rtol=1e-5)
    np.testing.assert_allclose(log_q.sum(1), local.sum(1) + shared, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2 * ROWS])
def test_weights_with_a_wrong_share_are_caught(backend, mistake, size):
    mistake(size)
    assert np.abs(pooled_log_weights(backend)[0] - effects_evidence(effects_data()["y"])).max() > 0.1


SHIFT = 0.4
POOLED = [IWAE(K), IWAE(K, gradient="vimco"), Renyi(0.5, K), ReweightedWakeSleep(K), ELBO(K, gradient="score")]


def effects_loss(backend, algorithm, forced):
    """Losses with a guide that is off by `SHIFT`, at given draws; and the log-weights and log q of those draws."""
    rng = np.random.default_rng(2)
    w, z = rng.normal(size=K), rng.normal(0.5, 1, size=(K, ROWS))
    trainer = ppgen.Trainer(effects_problem(backend), algorithm)
    state = trainer.init(parameters={"shift": np.float32(SHIFT)})
    losses, _ = forced.compiled(trainer, state, effects_data())(guide={"w": w, "z": z})
    return losses, *effects_log_weight(effects_data()["y"].astype(float), w, z, SHIFT)


def expected_losses(algorithm, log_w, log_q):
    """Minus the bounds with one weight per particle, per row."""
    if isinstance(algorithm, ELBO):
        bound = log_w.mean()
    elif isinstance(algorithm, Renyi):
        bound = logmeanexp((1 - algorithm.alpha) * log_w) / (1 - algorithm.alpha)
    else:
        bound = logmeanexp(log_w)
    weight = np.exp(log_w - np.logaddexp.reduce(log_w))
    guide = (weight * log_q).sum() if isinstance(algorithm, ReweightedWakeSleep) else bound
    return {"model": -bound / ROWS, "guide": -guide / ROWS}


@pytest.mark.parametrize("algorithm", POOLED, ids=repr)
def test_one_weight_per_particle(backend, algorithm, forced):
    losses, log_w, log_q = effects_loss(backend, algorithm, forced)
    assert losses == pytest.approx(expected_losses(algorithm, log_w, log_q), rel=1e-5)


@pytest.mark.parametrize("algorithm", [IWAE(K), Renyi(0.5, K), ReweightedWakeSleep(K)], ids=repr)
def test_weights_of_rows_are_caught(backend, algorithm, forced, monkeypatch):
    """Where w is shared, a weight for each row is another objective."""
    monkeypatch.setattr(Joint, "pool", lambda self, log_w, batch: log_w)
    losses, log_w, log_q = effects_loss(backend, algorithm, forced)
    assert abs(losses["model"] - expected_losses(algorithm, log_w, log_q)["model"]) > 0.01


@pytest.mark.parametrize("algorithm", POOLED, ids=repr)
def test_minibatches_are_refused(backend, algorithm):
    with pytest.raises(IllegalPairing, match=r"site 'w' is global .* minibatches would bias it"):
        ppgen.Trainer(effects_problem(backend, size=2 * ROWS), algorithm)


def test_the_elbo_takes_minibatches(backend):
    trainer = ppgen.Trainer(effects_problem(backend, size=2 * ROWS), ELBO())
    assert np.isfinite(float(trainer.losses(trainer.init(), effects_data())["model"]))


def mixed(x):
    """A global site with gradients beside discrete ones of single rows."""
    w = sample("w", dist.Normal(0.0, 1.0))
    with plate("data", len(x)):
        z = sample("z", dist.Bernoulli(logits=param("odds", 0.4)))
        sample("y", dist.Normal(w * x + 2.0 * z, 0.5))


def mixed_guide(x):
    w = sample("w", dist.Normal(param("loc", 0.2), ops.exp(param("log_scale", -0.3))))
    with plate("data", len(x)):
        sample("z", dist.Bernoulli(logits=param("slope", 0.7) * x + w))


def test_the_score_of_a_rows_own_draws_takes_minibatches(backend, play):
    """Each discrete draw is judged by its row: gradients of two halves are together those of all rows, at the same draws."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 8)).astype(np.float32)
    uniform, normal = rng.random((3, 8)), rng.normal(size=(3, 1))
    found = []
    for parts in ([slice(0, 4), slice(4, 8)], [slice(0, 8)]):
        total = {}
        for rows in parts:
            data = {"x": x[rows], "y": y[rows]}
            problem = ppgen.Problem(mixed, mixed_guide, data=data, backend=backend, size=8)
            trainer = ppgen.Trainer(problem, ELBO(3, gradient="score"))
            losses, grads = play(trainer, trainer.init(), data)(normal=normal, uniform=uniform[:, rows])
            for name, value in {"loss": losses["model"], **grads}.items():
                total[name] = total.get(name, 0.0) + value / len(parts)
        found.append({name: float(value) for name, value in total.items()})
    assert found[0] == pytest.approx(found[1], rel=1e-4, abs=1e-5)
    assert abs(found[0]["slope"]) > 0.01
