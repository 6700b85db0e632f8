import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

import ppgen
from ppgen import deterministic, dist, ops, param, plate, sample
from ppgen.errors import DataError, NoLikelihoodError
from ppgen.evaluation import generate, impute, likelihood, posterior, reconstruct, weights


def test_draws_of_the_exact_posterior(ready, gaussian):
    tree = posterior(*ready(gaussian.model, gaussian.guide(), {"x": gaussian.x}), draws=2000, chains=2)
    z = tree["posterior"]["z"]
    assert dict(z.sizes) == {"chain": 2, "draw": 2000, "data": 11}
    assert np.allclose(z.mean(("chain", "draw")), gaussian.mean, atol=5 * gaussian.std / 4000**0.5)
    assert np.allclose(z.std(("chain", "draw")), gaussian.std, rtol=0.1)
    weight = tree["sample_stats"]["log_weight"]
    assert weight.dims == ("chain", "draw", "data")
    assert np.allclose(weight, gaussian.log_prob, atol=1e-4)
    assert np.array_equal(tree["observed_data"]["x"], gaussian.x)
    assert tree["observed_data"]["x"].dims == ("data", "x_dim_0")


def test_weights_are_those_of_the_draws(ready, gaussian):
    tree = posterior(*ready(gaussian.model, gaussian.guide(2.0), {"x": gaussian.x}), draws=5)
    z = tree["posterior"]["z"].values[0].astype(float)
    log_p = -0.5 * z**2 - 2 * np.sum((gaussian.x - [0.5, 1.0] - z[..., None] * [1.0, -2.0]) ** 2, -1)
    log_q = -0.5 * ((z - gaussian.mean) / gaussian.std / 2) ** 2
    difference = tree["sample_stats"]["log_weight"].values[0] - (log_p - log_q)
    assert np.allclose(difference, difference[0, 0], atol=1e-3)


def test_attributes(backend, gaussian):
    data = {"x": gaussian.x}
    fit = ppgen.fit(gaussian.model, gaussian.guide(), data=data, algorithm=ppgen.IWAE(3), backend=backend, steps=1)
    tree = fit.posterior(data, draws=2, seed=7)
    assert set(tree) == {"posterior", "sample_stats", "log_likelihood", "posterior_predictive", "observed_data"}
    for attrs in (tree.attrs, tree["posterior"].attrs):
        assert attrs["algorithm"] == "IWAE(particles=3, gradient='reparam')"
        assert (attrs["inference_library"], attrs["backend"], attrs["seed"]) == ("ppgen", backend, 7)
        assert attrs["inference_library_version"]


def test_seed_and_chunks(ready, gaussian, monkeypatch):
    arguments = ready(gaussian.model, gaussian.guide(), {"x": gaussian.x})
    first, again, other = (posterior(*arguments, draws=4, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first["posterior"]["z"], again["posterior"]["z"])
    assert not np.array_equal(first["posterior"]["z"], other["posterior"]["z"])
    monkeypatch.setattr(weights, "SCALARS", 11 * 512 * 3)
    assert posterior(*arguments, draws=7)["posterior"]["z"].sizes["draw"] == 7


def test_global_sites(ready, regression):
    tree = posterior(*ready(regression.model, regression.guide, regression.data), draws=1000)
    w = tree["posterior"]["w"]
    assert w.dims == ("chain", "draw", "w_dim_0")
    assert np.allclose(w.mean(("chain", "draw")), regression.mean, atol=0.03)
    weight = tree["sample_stats"]["log_weight"]
    assert weight.dims == ("chain", "draw")
    assert np.allclose(weight, regression.evidence, atol=1e-3)
    assert tree["constant_data"]["a"].dims == ("data", "a_dim_0")
    assert tree["observed_data"]["y"].dims == ("data",)


def grid(rows):
    """Rows in the outer plate, sensors in the inner one, two readings an event."""
    loc = param("loc", 0.0)
    with plate("data", rows, dim=-2), plate("sensors", 3, dim=-1):
        z = sample("z", dist.Normal(loc, 1.0).expand([2]).to_event(1))
        sample("x", dist.Normal(z.sum(-1), 1.0))


def grid_guide(x):
    scale = param("scale", 0.01, "positive")
    with plate("data", len(x), dim=-2), plate("sensors", 3, dim=-1):
        sample("z", dist.Normal(ops.stack([x, -x], -1), scale).to_event(1))


def test_inner_plates(ready):
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    arguments = ready(grid, grid_guide, {"x": x})
    tree = posterior(*arguments, draws=5)
    z = tree["posterior"]["z"]
    assert z.dims == ("chain", "draw", "data", "sensors", "z_dim_0")
    assert z.shape == (1, 5, 4, 3, 2)
    assert np.allclose(z.isel(z_dim_0=1), -x, atol=0.1)
    assert tree["observed_data"]["x"].dims == ("data", "sensors")
    assert tree["sample_stats"]["log_weight"].shape == (1, 5, 4)
    assert likelihood(*arguments, particles=2).dimensions == 3


@pytest.mark.filterwarnings("ignore:Passing a dict or None as alias_mapping")  # ArviZ 0.23 under Matplotlib 3.11
def test_arviz_takes_it_as_it_comes(ready, gaussian):
    tree = posterior(*ready(gaussian.model, gaussian.guide(), {"x": gaussian.x[:3]}), draws=50, chains=2)
    table = az.summary(tree)
    assert list(table.index) == ["z[0]", "z[1]", "z[2]"]
    assert np.isfinite(table["r_hat"]).all()
    axes = az.plot_trace(tree)
    assert axes.shape == (1, 2)
    plt.close("all")


def test_densities_of_the_data_given_the_draws(ready, gaussian):
    """By hand; and data drawn anew have the moments of p(x | draws)."""
    tree = posterior(*ready(gaussian.model, gaussian.guide(), {"x": gaussian.x}), draws=1500)
    loc = np.array([0.5, 1.0]) + tree["posterior"]["z"].values[..., None] * [1.0, -2.0]
    density = tree["log_likelihood"]["x"]
    assert density.dims == ("chain", "draw", "data")
    np.testing.assert_allclose(density, stats.norm(loc, 0.5).logpdf(gaussian.x).sum(-1), atol=1e-3)
    anew = tree["posterior_predictive"]["x"]
    assert anew.dims == ("chain", "draw", "data", "x_dim_0")
    error = anew.values - loc
    assert abs(error.mean()) < 0.02 and error.std() == pytest.approx(0.5, abs=0.02)
    assert np.abs(error.mean((0, 1))).max() < 0.08, "each row its own noise"


def scaled(rows):
    """A global site and a local one that others are computed of; a slash in a name, as modules of Bayesian networks have it."""
    scale = sample("net/scale", dist.LogNormal(0.0, 0.1))
    deterministic("variance", scale**2)
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0))
        deterministic("shifted", ops.stack([z, z + 1.0], -1))
        sample("x", dist.Normal(scale * z, param("noise", 1.0)))


def scaled_guide(x):
    sample("net/scale", dist.LogNormal(0.2, 0.1))
    with plate("data", len(x)):
        sample("z", dist.Normal(param("slope", 0.5) * x, 0.3))


def test_deterministic_sites_and_slashes(ready):
    problem, parameters, data = ready(scaled, scaled_guide, {"x": np.arange(4, dtype=np.float32)})
    tree = posterior(problem, parameters, data, draws=5)["posterior"]
    np.testing.assert_allclose(tree["variance"], tree["net.scale"] ** 2, rtol=1e-6)
    assert tree["shifted"].dims == ("chain", "draw", "data", "shifted_dim_0")
    np.testing.assert_allclose(tree["shifted"][..., 1], tree["z"] + 1.0, rtol=1e-6)
    drawn = generate(problem, parameters, rows=3)
    np.testing.assert_allclose(drawn["variance"], drawn["net/scale"] ** 2, rtol=1e-6)
    np.testing.assert_allclose(drawn["shifted"][:, 0], drawn["z"], rtol=1e-6)


def test_a_samplers_groups(backend, regression):
    """With densities of the data, which ArviZ's leave-one-out takes."""
    fit = ppgen.fit(
        regression.model, data=regression.data, backend=backend, algorithm=ppgen.NUTS(draws=100, warmup=50, chains=2)
    )
    tree = fit.posterior()
    w = tree["posterior"]["w"].values
    expected = stats.norm(w @ regression.data["a"].T, 1.0).logpdf(regression.data["y"])
    np.testing.assert_allclose(tree["log_likelihood"]["y"], expected, atol=1e-3)
    assert np.isfinite(az.loo(tree).elpd_loo)
    assert tree["posterior_predictive"]["y"].shape == (2, 100, 20)


def test_reconstructions_and_imputations(ready, gaussian):
    """Known numbers stay; missing ones come from the other number of their row, as the exact conditional has them."""
    x = gaussian.x.copy()
    x[3, 1] = np.nan
    data = {"x": np.ma.masked_invalid(x)}
    given = gaussian.x[3, 0]
    variance = 1 / (1 + 1 / 0.25)
    mean = (given - 0.5) * variance / 0.25

    def guide(x):  # of the first number alone
        with plate("data", len(x)):
            sample("z", dist.Normal((x[:, 0] - 0.5) * variance / 0.25, param("width", variance**0.5)))

    arguments = ready(gaussian.model, guide, data)
    filled = impute(*arguments, draws=2000)["x"]
    assert filled.shape == (2000, 11, 2)
    known = ~np.isnan(x)
    np.testing.assert_array_equal(filled[:, known], np.broadcast_to(x[known], (2000, known.sum())))
    spread = (4 * variance + 0.25) ** 0.5
    assert abs(filled[:, 3, 1].mean() - (1 - 2 * mean)) < 5 * spread / 2000**0.5
    assert filled[:, 3, 1].std() == pytest.approx(spread, rel=0.1)
    means = reconstruct(*arguments, draws=2000)["x"]
    assert means[:, 3, 1].std() == pytest.approx(2 * variance**0.5, rel=0.1)
    with pytest.raises(ValueError, match="expected emit to be one of"):
        reconstruct(*arguments, emit="mode")


def test_a_column_left_out(ready):
    """It is integrated out: its terms are left out where nothing depends on it."""

    def two(rows):
        with plate("data", rows):
            sample("x", dist.Normal(param("loc", 0.3), 1.0))
            sample("y", dist.Normal(0.0, 2.0))

    x = np.arange(3, dtype=np.float32)
    problem, parameters, _ = ready(two, None, {"x": x, "y": x})
    found = likelihood(problem, parameters, {"x": x})
    assert found.dimensions == 1
    np.testing.assert_allclose(found.per_row, stats.norm(0.3, 1.0).logpdf(x), rtol=1e-5)


def test_native_program(backend, gaussian):
    if backend == "numpyro":
        import numpyro as library
        import numpyro.distributions as native
    else:
        import pyro as library
        import pyro.distributions as native

    def model(data):
        scale = library.param("scale", ops.asarray(1.0))
        with library.plate("data", len(data)):
            z = library.sample("z", native.Normal(0.0, 1.0))
            library.sample("obs", native.Normal(z, scale), obs=data)

    def guide(data):
        width = library.param("width", ops.asarray(0.5**0.5))
        with library.plate("data", len(data)):
            library.sample("z", native.Normal(data / 2, width))

    x = gaussian.x[:5, 0]
    problem = ppgen.Problem(model, guide, data={"data": x}, backend=backend)
    arguments = problem, problem.start, {"data": x}
    expected = -0.25 * x**2 - 0.5 * np.log(4 * np.pi)
    assert np.allclose(likelihood(*arguments, particles=4).per_row, expected, atol=1e-4)
    tree = posterior(*arguments, draws=6)
    assert tree["posterior"]["z"].dims == ("chain", "draw", "data_row")  # an entry has the plate's name
    assert np.array_equal(tree["observed_data"]["obs"], x)


def test_data_must_belong_to_the_programs(ready, gaussian):
    problem, parameters, _ = ready(gaussian.model, gaussian.guide(), {"x": gaussian.x})
    for ask in (likelihood, posterior):
        with pytest.raises(DataError, match=r"the data: expected the entries .*\['x'\]; got \['y'\]"):
            ask(problem, parameters, {"y": gaussian.x})
        with pytest.raises(DataError, match=r"values of \['z'\], which are latent"):
            ask(problem, parameters, {"x": gaussian.x, "z": gaussian.mean.astype(np.float32)})
        with pytest.raises(DataError, match=r"expected rows of shape \(2,\)"):
            ask(problem, parameters, {"x": gaussian.x[:, :1]})
        with pytest.raises(DataError, match="NaN or infinite values in row 3"):
            ask(problem, parameters, {"x": np.where(np.arange(11)[:, None] == 3, np.nan, gaussian.x)})


def test_a_missing_name(ready, regression):
    problem, parameters, _ = ready(regression.model, regression.guide, regression.data)
    with pytest.raises(DataError, match=r"the data: expected the entries .*\['a', 'y'\]; got \['a'\]"):
        posterior(problem, parameters, {"a": regression.data["a"]})


def test_nothing_to_infer(ready, gaussian):
    def model(rows):
        loc = param("loc", 0.0)
        with plate("data", rows):
            sample("x", dist.Normal(loc, 1.0).expand([2]).to_event(1))

    with pytest.raises(NoLikelihoodError, match="no latent sites"):
        posterior(*ready(model, None, {"x": gaussian.x}))
    with pytest.raises(NoLikelihoodError, match="there is no guide"):
        posterior(*ready(gaussian.model, None, {"x": gaussian.x}))
