"""Programs that say nothing of single rows: no plate, plates of other things, a minibatch that they draw themselves."""

import itertools
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as nd
import pyro
import pyro.distributions as pd
import pytest
import torch
from scipy.stats import multivariate_normal, norm

import ppgen
from ppgen.errors import DataError, IllegalPairing, NoLikelihoodError, Note, ProgramError

N, SD = 7, 0.5
RNG = np.random.default_rng(3)
X = RNG.normal(size=(N, 2)).astype(np.float32)
Y = (X @ [1.0, -0.5] + SD * RNG.normal(size=N)).astype(np.float32)
EVIDENCE = multivariate_normal(np.zeros(N), X @ X.T + SD**2 * np.eye(N)).logpdf(Y)
COVARIANCE = np.linalg.inv(np.eye(2) + X.T @ X / SD**2)
MEAN = COVARIANCE @ X.T @ Y / SD**2
NO_PLATE = "ignore:no plate holds every observed site"


@pytest.fixture
def lib(backend):
    """What a native program of this backend is written with."""
    if backend == "numpyro":
        return SimpleNamespace(
            name=backend, sample=numpyro.sample, plate=numpyro.plate, dist=nd, array=jnp.asarray, eye=jnp.eye,
            scale=numpyro.handlers.scale, mask=numpyro.handlers.mask,
        )  # fmt: skip
    return SimpleNamespace(
        name=backend, sample=pyro.sample, plate=pyro.plate, dist=pd, array=torch.as_tensor, eye=torch.eye,
        scale=pyro.poutine.scale, mask=pyro.poutine.mask,
    )  # fmt: skip


def exact_guide(lib):
    """The posterior of the weights."""

    def guide(x, y):
        mean, covariance = (lib.array(a.astype(np.float32)) for a in (MEAN, COVARIANCE))
        lib.sample("w", lib.dist.MultivariateNormal(mean, covariance))

    return guide


def weights(lib):
    return lib.sample("w", lib.dist.Normal(lib.array(np.zeros(2, np.float32)), 1.0).to_event(1))


def no_plate(lib):
    def model(x, y):
        lib.sample("y", lib.dist.Normal(x @ weights(lib), SD), obs=y)

    return model


def one_event(lib):
    def model(x, y):
        loc = x @ weights(lib)
        lib.sample("y", lib.dist.MultivariateNormal(loc, SD**2 * lib.eye(len(y))), obs=y)

    return model


def two_plates(lib):
    def model(x, y):
        loc = x @ weights(lib)
        with lib.plate("first", 3):
            lib.sample("y", lib.dist.Normal(loc[:3], SD), obs=y[:3])
        with lib.plate("data", len(y) - 3):
            lib.sample("more", lib.dist.Normal(loc[3:], SD), obs=y[3:])

    return model


def own_minibatch(lib, size=3):
    def model(x, y):
        w = weights(lib)
        with lib.plate("rows", len(x), subsample_size=size) as i:
            lib.sample("y", lib.dist.Normal(x[i] @ w, SD), obs=y[i])

    return model


def elbo(problem, data, turns, particles=3):
    """A bound on log p per row, by the noise of each turn."""

    def bound(batch, key):
        joints = problem.joints(key=key)
        with ppgen.ops.activate(problem.backend):
            return -ppgen.ELBO(particles).losses(joints["model"], joints["guide"], ppgen.Batch(batch))["model"]

    bound, batch, key = problem.backend.without_gradients(bound), problem.device(data), problem.backend.key(0)
    return np.array([float(bound(batch, problem.backend.fold_in(key, turn))) for turn in turns])


MODELS = {model.__name__: model for model in (no_plate, one_event, two_plates)}


@pytest.mark.filterwarnings(NO_PLATE)
@pytest.mark.parametrize("kind", MODELS)
def test_under_the_posterior_every_weight_is_the_evidence(kind, lib):
    model, data = MODELS[kind](lib), {"x": X, "y": Y}
    problem = ppgen.Problem(model, exact_guide(lib), data=data, backend=lib.name)
    found = ppgen.evaluation.likelihood(problem, problem.start, data, particles=4)
    assert (found.rows, found.kind) == (1, "lower bound")
    np.testing.assert_allclose(found.nats, EVIDENCE, atol=2e-4)
    draws = ppgen.evaluation.posterior(problem, problem.start, data, draws=4)
    np.testing.assert_allclose(draws["sample_stats"]["log_weight"], EVIDENCE, atol=2e-4)


@pytest.mark.filterwarnings(NO_PLATE)
def test_a_guide_made_of_the_model_has_the_full_covariance(lib, tmp_path):
    fit = ppgen.fit(
        no_plate(lib), ppgen.guides.Laplace(), data={"x": X, "y": Y}, backend=lib.name, steps=400,
        optimizer=ppgen.Adam(0.05),
    )  # fmt: skip
    np.testing.assert_allclose(fit.params["guide.loc"], MEAN, atol=1e-3)
    tril = fit.params["guide.scale_tril"]
    np.testing.assert_allclose(tril @ tril.T, COVARIANCE, atol=1e-4)
    np.testing.assert_allclose(fit.evaluate({"x": X, "y": Y}, particles=4).nats, EVIDENCE, atol=1e-3)
    loaded = ppgen.load(fit.save(tmp_path / "fit"), no_plate(lib), ppgen.guides.Laplace())
    np.testing.assert_allclose(loaded.evaluate({"x": X, "y": Y}, particles=4).nats, EVIDENCE, atol=1e-3)


def test_it_is_said_and_minibatches_are_refused(lib):
    about = {"data": {"x": X, "y": Y}, "steps": 1, "backend": lib.name}
    with pytest.warns(Note, match="the data are one row") as seen:
        ppgen.fit(no_plate(lib), ppgen.guides.FullRank(), **about)
    assert [warning.filename for warning in seen] == [__file__]
    with pytest.raises(ProgramError, match="to take minibatches; got .*'y'.*leave out batch_size"):
        ppgen.fit(no_plate(lib), exact_guide(lib), batch_size=2, **about)
    with pytest.raises(ProgramError, match="a minibatch of its own, 3 of 7 rows in the plate 'rows'"):
        ppgen.fit(own_minibatch(lib), exact_guide(lib), size=N, **(about | {"data": [{"x": X, "y": Y}]}))


@pytest.mark.filterwarnings(NO_PLATE)
def test_other_rows_are_another_problem(lib):
    problem = ppgen.Problem(no_plate(lib), exact_guide(lib), data={"x": X, "y": Y}, backend=lib.name)
    with pytest.raises(DataError, match=r"entry 'x'.*expected.*\(7, 2\).*got \(3, 2\)"):
        ppgen.evaluation.likelihood(problem, problem.start, {"x": X[:3], "y": Y[:3]})


# minibatches that the program draws ------------------------------------------------------------------------------------


def test_its_own_minibatch_is_weighed_once(lib):
    """Under the posterior, the mean of the bound over minibatches is the evidence."""
    problem = ppgen.Problem(own_minibatch(lib), exact_guide(lib), data={"x": X, "y": Y}, backend=lib.name)
    bounds = elbo(problem, {"x": X, "y": Y}, range(200), particles=20)
    assert abs(bounds.mean() - EVIDENCE) < 4 * bounds.std() / np.sqrt(len(bounds))
    assert len(np.unique(bounds.round(2))) > 50
    with pytest.raises(IllegalPairing, match="'y' of the model has an unbiased estimate"):
        ppgen.IWAE(5).check(problem)
    with pytest.raises(NoLikelihoodError, match="'y' of the model has an unbiased estimate"):
        ppgen.evaluation.likelihood(problem, problem.start, {"x": X, "y": Y})


def test_model_and_guide_draw_the_same_rows(lib):
    """Under the exact posterior of each row, the bound is N / B times the evidence of the rows that were drawn."""

    def model(y):
        with lib.plate("rows", len(y), subsample_size=2) as i:
            z = lib.sample("z", lib.dist.Normal(0.0, 1.0))
            lib.sample("y", lib.dist.Normal(z, 1.0), obs=y[i])

    def guide(y):
        with lib.plate("rows", len(y), subsample_size=2) as i:
            lib.sample("z", lib.dist.Normal(y[i] / 2, 0.5**0.5))

    problem = ppgen.Problem(model, guide, data={"y": Y}, backend=lib.name)
    rows = norm(0.0, 2**0.5).logpdf(Y)
    possible = np.array([N / 2 * sum(pair) for pair in itertools.combinations(rows, 2)])
    for bound in elbo(problem, {"y": Y}, range(5)):
        assert np.abs(possible - bound).min() < 1e-4


def test_rows_of_a_given_minibatch_are_not_scaled_twice(lib):
    """`plate("rows", N, subsample=x)` with the batch in hand means what `plate("rows", len(x))` means to `fit`."""

    def model(x, y, total=None):
        w = weights(lib)
        part = {} if total is None else {"subsample_size": len(x)} if lib.name == "numpyro" else {"subsample": x}
        with lib.plate("rows", len(x) if total is None else total, **part):
            lib.sample("y", lib.dist.Normal(x @ w, SD), obs=y)

    def guide(x, y, total=None):
        exact_guide(lib)(x, y)

    about = {"data": {"x": X[:3], "y": Y[:3]}, "backend": lib.name}
    plain, stated = (
        ppgen.Problem(model, guide, size=N, **about),
        ppgen.Problem(model, guide, constants={"total": N}, full_batch=False, **about),
    )
    assert stated.size == N
    assert elbo(stated, about["data"], [0]) == pytest.approx(elbo(plain, about["data"], [0]), rel=1e-6)
    with pytest.raises(ProgramError, match="has 8 rows in all; expected the 7 of the data"):
        ppgen.Problem(model, guide, size=N, constants={"total": 8}, **about)


# scales ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "said"), [(3.5, True), (1.0, False)])
def test_a_scale_that_was_left_in_is_told(scale, said, lib, recwarn):
    def model(x, y):
        w = weights(lib)
        with lib.plate("rows", len(x)), lib.scale(scale=scale):
            lib.sample("y", lib.dist.Normal(x @ w, SD), obs=y)

    problem = ppgen.Problem(model, exact_guide(lib), data={"x": X, "y": Y}, backend=lib.name)
    assert ["multiplies the log densities of ['y']" in str(warning.message) for warning in recwarn] == [True] * said
    note = ppgen.evaluation.likelihood(problem, problem.start, {"x": X, "y": Y}, particles=2).note
    assert ("scales" in note) == said
