"""Numbers that are missing count nowhere: each algorithm does what it does to the model without their terms."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import ppgen
from ppgen import ELBO, IWAE, MaximumLikelihood, Renyi, ReweightedWakeSleep, WakeSleep, dist, ops, param, plate, sample
from ppgen.errors import DataError
from ppgen.inference import EM
from ppgen.inference.target import target_of
from ppgen.problem.batch import Batch

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3)).astype(np.float32)
HALF = X[:, :1] + 0.5
LACKS = np.zeros((6, 3), bool)
LACKS[:, 1] = True
SCATTERED = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 1], [0, 0, 0]], bool)
MASKED = {"x": np.ma.array(X, mask=LACKS), "g": HALF}
WITHOUT = {"x": X[:, [0, 2]], "g": HALF}


def model(columns, latent=lambda: dist.Normal(0.0, 1.0)):
    """z, and a number of x for each column."""

    def p(rows):
        slope, log_scale = param("slope", 0.7), param("log_scale", -0.2)
        with plate("data", rows):
            z = sample("z", latent())
            loc = slope * z[..., None] * ops.asarray(np.array(columns, np.float32) + 1.0)
            sample("x", dist.Normal(loc, ops.exp(log_scale)).to_event(1))

    return p


def discrete():
    return dist.Bernoulli(logits=param("odds", 0.3))


def guide(g):
    loc, log_scale = param("q_loc", 0.2), param("q_log_scale", -0.5)
    with plate("data", len(g)):
        sample("z", dist.Normal(loc * g[:, 0], ops.exp(log_scale)))


def discrete_guide(g):
    with plate("data", len(g)):
        sample("z", dist.Bernoulli(logits=param("q_slope", 0.4) * g[:, 0]))


ALGORITHMS = [
    (ELBO(2), None), (ELBO(2, gradient="stl"), None), (ELBO(2, analytic_kl=True), None), (IWAE(3, gradient="dreg"), None),
    (Renyi(), None),
    (ELBO(2, gradient="score"), discrete), (IWAE(2, gradient="vimco"), discrete), (ReweightedWakeSleep(3), discrete),
    (ReweightedWakeSleep(3, sleep_phase=True), discrete), (WakeSleep(), None), (MaximumLikelihood(), discrete),
]  # fmt: skip


def turn(algorithm, latent, columns, data, backend):
    """Losses and gradients of one turn, with the noise of the first step."""
    p = model(columns) if latent is None else model(columns, latent)
    q = None if "guide" not in algorithm.roles else guide if latent is None else discrete_guide
    data = data if q else {"x": data["x"]}
    trainer = ppgen.Trainer(ppgen.Problem(p, q, data=data, backend=backend), algorithm)
    state, batch = trainer.init(), trainer.device(data)
    play = trainer.backend.compile(
        lambda parameters: trainer._turn(parameters, batch, trainer.schedule[0], state.key)[:2]
    )
    losses, gradients = play(state.parameters)
    return {name: float(value) for name, value in {**losses, **gradients}.items()}


@pytest.mark.parametrize(
    ("algorithm", "latent"), ALGORITHMS, ids=lambda value: getattr(value, "__name__", None) or repr(value)[:60]
)
def test_the_terms_are_dropped(backend, algorithm, latent):
    masked = turn(algorithm, latent, range(3), MASKED, backend)
    assert masked == pytest.approx(turn(algorithm, latent, [0, 2], WITHOUT, backend), rel=1e-4, abs=1e-5)
    full = turn(algorithm, latent, range(3), {"x": X, "g": HALF}, backend)
    assert abs(masked["slope"] - full["slope"]) > 1e-2


def test_samplers_and_em_drop_them_too(backend):
    """The density that samplers move in, and a step of EM."""
    found, learned = [], []
    for columns, data in ((range(3), MASKED), ([0, 2], WITHOUT)):
        data = {"x": data["x"]}
        problem = ppgen.Problem(model(columns), data=data, backend=backend)
        u = problem.backend.array(np.random.default_rng(1).normal(size=(2, 6)).astype(np.float32))
        target = target_of(problem, problem.start, problem.device(data), problem.backend.key(0))
        with ops.activate(problem.backend):
            found.append(problem.backend.numpy(target.log_density(u)))
        fit = ppgen.fit(model(columns, discrete), data=data, algorithm=EM(), backend=backend, steps=1)
        learned.append([float(fit.params[name]) for name in ("odds", "slope", "log_scale")])
    np.testing.assert_allclose(*found, rtol=1e-5)
    np.testing.assert_allclose(*learned, rtol=1e-4)


def independent(rows):
    loc = param("loc", [0.3, -0.2, 0.9])
    with plate("data", rows):
        sample("x", dist.Normal(loc, 1.0).to_event(1))
        sample("n", dist.Gamma(2.0, 3.0))


def counts(kept, log_prob):
    return np.where(kept, log_prob, 0.0)


def test_evaluation_counts_what_was_seen(backend):
    """Also where 0 is no value of the site, and in plates; NaN is as good as a mask."""
    n = np.array([0.5, np.nan, 1.5, np.nan, 0.2, 2.0], np.float32)
    x = np.where(SCATTERED, np.nan, X)
    found = ppgen.evaluate(independent, data={"x": x, "n": n}, missing="nan", backend=backend)
    kept = ~np.isnan(n)
    expected = counts(~SCATTERED, stats.norm([0.3, -0.2, 0.9], 1.0).logpdf(X)).sum(1)
    expected += counts(kept, stats.gamma(2, scale=1 / 3).logpdf(np.where(kept, n, 1.0)))
    np.testing.assert_allclose(found.per_row, expected, rtol=1e-5)
    assert found.dimensions == pytest.approx(((~SCATTERED).sum() + kept.sum()) / 6)
    assert found.bits_per_dim == pytest.approx(
        -expected.sum() / np.log(2) / ((~SCATTERED).sum() + kept.sum()), rel=1e-5
    )

    def in_plates(rows):
        loc = ops.asarray(np.array([0.3, -0.2, 0.9], np.float32))
        with plate("data", rows, dim=-2), plate("columns", 3, dim=-1):
            sample("x", dist.Normal(loc, 1.0))

    masked = {"x": np.ma.array(X, mask=SCATTERED)}
    found = ppgen.evaluate(in_plates, data=masked, backend=backend)
    np.testing.assert_allclose(
        found.per_row, counts(~SCATTERED, stats.norm([0.3, -0.2, 0.9], 1.0).logpdf(X)).sum(1), rtol=1e-5
    )


def test_a_fit_with_minibatches_learns_from_what_is_there(backend, tmp_path):
    """The mean of each column is that of its known numbers; the fit remembers what NaN means."""

    def columns(rows):
        with plate("data", rows):
            sample("x", dist.Normal(param("loc", np.zeros(3)), 1.0).to_event(1))

    x = np.where(SCATTERED, np.nan, X)
    fit = ppgen.fit(
        columns, data={"x": x}, algorithm=MaximumLikelihood(), missing="nan", backend=backend, steps=400, batch_size=6,
        optimizer=ppgen.SGD(1.0),
    )  # fmt: skip
    np.testing.assert_allclose(fit.params["loc"], np.nanmean(x, 0), atol=1e-3)
    again = ppgen.load(fit.save(tmp_path / "fit"), columns)
    assert again.evaluate({"x": x}).nats == fit.evaluate({"x": x}).nats
    fit = ppgen.fit(
        columns, data={"x": x}, algorithm=MaximumLikelihood(), missing="nan", backend=backend, steps=6, batch_size=2
    )
    assert np.isfinite(fit.history["loss/model"]).all() and fit.evaluate({"x": X}).dimensions == 3
    with pytest.raises(DataError, match="NaN or infinite values in rows 1, 2, 3, 4"):
        ppgen.fit(columns, data={"x": x}, algorithm=MaximumLikelihood(), backend=backend, steps=1)


def joint(rows):
    with plate("data", rows):
        sample("x", dist.MultivariateNormal(param("loc", np.zeros(3)), covariance_matrix=ops.eye(3)))


def reads_it(rows):
    with plate("data", rows):
        x = sample("x", dist.Normal(param("loc", np.zeros(3)), 1.0).to_event(1))
        sample("y", dist.Normal(x.sum(-1), 1.0))


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (joint, {}, r"site 'x': single entries of the data are missing, and MultivariateNormal has one density"),
        (reads_it, {"y": X[:, 0]}, r"entry 'x' has missing numbers, and site 'y' of the model depends on them"),
    ],
    ids=["joint", "read"],
)
def test_terms_that_cannot_be_left_out(model, data, message, backend):
    with pytest.raises(DataError, match=message):
        ppgen.Problem(model, data={"x": np.ma.array(X, mask=SCATTERED)} | data, backend=backend)


def test_other_things_that_are_missing(backend):
    with pytest.raises(DataError, match=r"entry 'g' has masked rows or numbers, and is no site of the model"):
        ppgen.Problem(
            model(range(3)),
            guide,
            data={"x": X, "g": np.ma.array(HALF.repeat(2, 1), mask=SCATTERED[:, 1:])},
            backend=backend,
        )
    with pytest.raises(DataError, match=r"expected missing to be None or 'nan'; got -1"):
        ppgen.Problem(independent, data={"x": X}, backend=backend, missing=-1)
    for algorithm in (ppgen.GAN(), ppgen.ALI()):
        problem = ppgen.Problem(model(range(3)), guide, data=MASKED, backend=backend)
        assert any("a critic compares whole rows" in reason for reason in algorithm.objections(problem))


def test_a_dream_lacks_what_the_data_lack(backend):
    """So that a sleep phase shows the guide what it will see."""
    problem = ppgen.Problem(independent, data={"x": np.ma.array(X, mask=SCATTERED), "n": np.ones(6)}, backend=backend)
    batch = Batch(problem.device(problem.example))
    dream = problem.backend.numpy(problem.joints()["model"].dream(batch).values["x"])[0]
    assert (dream[SCATTERED] == 0).all() and (dream[~SCATTERED] != 0).all()


def test_the_page_runs():
    """docs/missing.md, with fewer steps."""
    page = (Path(ppgen.__file__).parents[1] / "docs" / "missing.md").read_text()
    names = {}
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        exec(re.sub(r"steps=\d+", "steps=20", code), names)
    assert names["found"].kind == "lower bound" and names["found"].dimensions < 4
