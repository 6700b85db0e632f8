import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import ppgen
from ppgen import dist, ops, param, plate, sample
from ppgen.errors import DataError, NoLikelihoodError
from ppgen.evaluation import likelihood, posterior, weights


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
    assert isinstance(tree, xr.DataTree)
    assert set(tree.children) == {"posterior", "sample_stats", "observed_data"}
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
def test_arviz_reads_it(ready, gaussian):
    tree = posterior(*ready(gaussian.model, gaussian.guide(), {"x": gaussian.x[:3]}), draws=50, chains=2)
    idata = az.InferenceData.from_datatree(tree)
    assert set(idata.groups()) == {"posterior", "sample_stats", "observed_data"}
    table = az.summary(idata)
    assert list(table.index) == ["z[0]", "z[1]", "z[2]"]
    assert np.isfinite(table["r_hat"]).all()
    axes = az.plot_trace(idata)
    assert axes.shape == (1, 2)
    plt.close("all")


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
