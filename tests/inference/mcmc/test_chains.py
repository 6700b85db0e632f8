"""NUTS and HMC: draws of known posteriors, the libraries' own kernels to the digit, and what a fit of draws can be asked."""

import functools
import re
import warnings
from pathlib import Path

import jax
import numpy as np
import numpyro
import numpyro.distributions as nd
import pyro
import pyro.distributions as pd
import pytest
from scipy import stats

import ppgen
from ppgen import HMC, NUTS, dist, factor, param, plate, sample
from ppgen.errors import DataError, IllegalPairing, NoLikelihoodError, NonFiniteError, ProgramError
from ppgen.inference import SamplingWarning

X = np.array([1.0, 2.0, 4.0, 0.5], np.float32)
ALGORITHMS = {"NUTS": NUTS(draws=200, warmup=100, chains=2), "HMC": HMC(draws=200, warmup=100, chains=2)}


def model(rows):
    loc = sample("loc", dist.Normal(0.0, 3.0))
    scale = sample("scale", dist.Gamma(5.0, 3.0))
    with plate("data", rows):
        sample("x", dist.Normal(loc, scale))


def shifted(rows):
    """A model that no start is bad for."""
    loc = sample("loc", dist.Normal(0.0, 3.0))
    with plate("data", rows):
        sample("x", dist.Normal(loc, 1.0))


@functools.cache
def fitted(backend, name="NUTS"):
    return ppgen.fit(model, data={"x": X}, algorithm=ALGORITHMS[name], backend=backend, seed=1)


@functools.cache
def posterior():
    """The posterior's weights on a grid of (loc, scale)."""
    loc, scale = np.meshgrid(np.linspace(-8, 12, 801), np.linspace(0.01, 10, 800), indexing="ij")
    log_p = stats.norm.logpdf(loc, 0, 3) + stats.gamma.logpdf(scale, 5, scale=1 / 3)
    log_p += stats.norm.logpdf(X[:, None, None], loc, scale).sum(0)
    weights = np.exp(log_p - log_p.max())
    return loc, scale, weights / weights.sum()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_moments_are_those_of_the_posterior(backend, name):
    """Within four Monte Carlo errors, as the effective sample sizes say."""
    fit = fitted(backend, name)
    table, (loc, scale, weights) = fit.diagnose(), posterior()
    assert (table.ess_bulk > 50).all() and (table.r_hat < 1.05).all()
    for site, grid in (("loc", loc), ("scale", scale), ("log scale", np.log(scale)), ("loc²", loc**2)):
        draws = {"log scale": np.log(fit.draws["scale"]), "loc²": fit.draws["loc"] ** 2}.get(site, fit.draws.get(site))
        mean = (weights * grid).sum()
        error = np.sqrt((weights * (grid - mean) ** 2).sum() / table.ess_bulk.min())
        assert abs(draws.mean() - mean) < 4 * error, site


def test_draws_are_those_of_numpyros_own_sampler():
    """From the same points, with the same keys, on the same model written natively."""

    def native(x):
        loc = numpyro.sample("loc", nd.Normal(0.0, 3.0))
        scale = numpyro.sample("scale", nd.Gamma(5.0, 3.0))
        with numpyro.plate("data", len(x)):
            numpyro.sample("x", nd.Normal(loc, scale), obs=x)

    algorithm = NUTS(draws=15, warmup=15, chains=3)
    fit = ppgen.fit(model, data={"x": X}, algorithm=algorithm, seed=1)
    problem = ppgen.Problem(model, data={"x": X}, seed=1)
    key = problem.backend.fold_in(problem.backend.key(1), 0)
    state = algorithm.init(problem, {}, problem.device(problem.example), key)["chains"]

    energy = functools.partial(numpyro.infer.util.potential_energy, native, (X,), {})
    start, move = numpyro.infer.hmc.hmc(lambda u: energy({"loc": u[0], "scale": u[1]}), algo="NUTS")
    start(state.z[0], 15)
    move = jax.jit(move)
    for chain in range(3):
        one, u = jax.tree.map(lambda x, chain=chain: x[chain], state), []
        for _ in range(30):
            one = move(one)
            u.append(np.asarray(one.z))
        loc, log_scale = np.array(u)[15:].T
        np.testing.assert_allclose(fit.draws["loc"][chain], loc, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(fit.draws["scale"][chain], np.exp(log_scale), rtol=2e-3)


def test_a_seed_gives_one_run():
    """On Pyro, whose kernels draw from torch's one stream; on NumPyro the test above would fail."""
    short = {"data": {"x": X}, "algorithm": NUTS(draws=4, warmup=4, chains=2), "backend": "pyro"}
    first, again, other = (ppgen.fit(shifted, **short, seed=seed).draws["loc"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(np.concatenate([first[0, -1:], first[1, -1:], other[0, -1:]]))) == 3


def test_pyros_chains_draw_fresh_noise_though_the_program_seeds_its_own():
    """Each run of a program seeds torch's generator; the noise of a trajectory must not begin anew with it."""
    found = fitted("pyro")
    energy, lp = found.statistics["energy"], found.statistics["lp"]
    kinetic = energy[:, 1:] + lp[:, :-1]  # of fresh momenta, in two dimensions: a gamma variable
    assert len(np.unique(kinetic.round(6))) > 0.9 * kinetic.size
    assert stats.kstest(kinetic.ravel(), stats.gamma(1).cdf).pvalue > 1e-3


def test_a_mixture_and_sites_of_rows(backend):
    """A discrete site of each row summed out, a continuous one sampled."""

    def mixture(rows):
        w = sample("w", dist.Normal(0.0, 2.0))
        with plate("data", rows):
            k = sample("k", dist.Bernoulli(0.5))
            z = sample("z", dist.Normal(w * (2 * k - 1), 1.0))
            sample("x", dist.Normal(z, 0.5))

    algorithm = NUTS(draws=10, warmup=10, chains=2)
    fit = ppgen.fit(mixture, data={"x": X}, algorithm=algorithm, backend=backend)
    assert {name: value.shape for name, value in fit.draws.items()} == {"w": (2, 10), "z": (2, 10, 4)}
    assert fit.posterior()["posterior"]["z"].dims == ("chain", "draw", "data")
    assert set(fit.sample(rows=5)) == {"w", "k", "z", "x"}
    assert "drawn from their prior" in fit.evaluate({"x": X}, particles=10).estimator


def test_native_programs():
    def native(x):
        loc = pyro.sample("loc", pd.Normal(0.0, 3.0))
        with pyro.plate("rows", len(x)):
            pyro.sample("obs", pd.Normal(loc, 1.0), obs=x)

    fit = ppgen.fit(native, data={"x": X}, algorithm=NUTS(draws=100, warmup=50, chains=2), backend="pyro")
    mean, sd = 9 * X.sum() / (9 * 4 + 1), 3 / np.sqrt(9 * 4 + 1)
    assert abs(fit.draws["loc"].mean() - mean) < 4 * sd / np.sqrt(fit.posterior().attrs["ess_bulk_min"])
    np.testing.assert_array_equal(fit.posterior()["observed_data"]["obs"], X)


# what a fit of draws can be asked -----------------------------------------------------------------------------------------


def test_the_tree_and_its_attributes(backend):
    fit = fitted(backend)
    tree = fit.posterior({"x": X})
    assert tree["posterior"]["loc"].shape == (2, 200)
    stats_of = tree["sample_stats"]
    assert {"acceptance_rate", "diverging", "energy", "lp", "tree_depth", "step_size", "n_steps"} == set(stats_of)
    assert (2.0 ** (stats_of["tree_depth"] - 1) <= stats_of["n_steps"]).all()
    assert ((stats_of["acceptance_rate"] >= 0) & (stats_of["acceptance_rate"] <= 1 + 1e-6)).all()
    assert abs(float(stats_of["acceptance_rate"].mean()) - 0.8) < 0.15
    np.testing.assert_array_equal(tree["observed_data"]["x"], X)
    assert tree.attrs["r_hat_max"] == pytest.approx(fit.diagnose().r_hat.max())
    assert tree.attrs["divergences"] == 0 and "note" not in tree.attrs
    with pytest.raises(DataError, match="got others. Fit again"):
        fit.posterior({"x": X + 1})
    with pytest.raises(ProgramError, match="none of draws= and chains="):
        fit.posterior(draws=3)


def test_predictive_density(backend):
    """Against a grid; rows unseen, in any number."""
    loc, scale, weights = posterior()
    new = np.array([0.0, 3.0, 9.0], np.float32)
    found = fitted(backend).evaluate({"x": new})
    wanted = [np.log((weights * stats.norm.pdf(x, loc, scale)).sum()) for x in new]
    np.testing.assert_allclose(found.per_row, wanted, atol=0.3)
    assert found.kind == "estimate" and found.particles == 400 and found.per_row[0] == pytest.approx(wanted[0], abs=0.1)
    chunks = fitted(backend).evaluate({"x": new}, batch_size=2)
    np.testing.assert_allclose(chunks.per_row, found.per_row, rtol=1e-5)


def test_new_rows_come_from_a_draw(backend):
    fit = fitted(backend)
    seen = [fit.sample(rows=6, seed=seed) for seed in range(3)]
    assert seen[0]["x"].shape == (6,) and all(new["loc"] in fit.draws["loc"] for new in seen)
    assert len({float(new["loc"]) for new in seen}) == 3
    i = np.argwhere(fit.draws["loc"] == seen[0]["loc"])[0]
    assert fit.draws["scale"][tuple(i)] == seen[0]["scale"], "both sites from one draw"


def test_draws_are_kept_on_disk(backend, tmp_path):
    fit, other = fitted(backend), {"numpyro": "pyro", "pyro": "numpyro"}[backend]
    fit.save(tmp_path / "fit")
    for name in (backend, other):
        again = ppgen.load(tmp_path / "fit", model, backend=name)
        np.testing.assert_array_equal(again.draws["scale"], fit.draws["scale"])
        np.testing.assert_array_equal(again.statistics["diverging"], fit.statistics["diverging"])
        assert again.algorithm == fit.algorithm
        new = {"x": X + 1}
        assert again.evaluate(new).nats == pytest.approx(fit.evaluate(new).nats, rel=1e-5)
    assert again.posterior().attrs["r_hat_max"] == fit.posterior().attrs["r_hat_max"]


def test_parameters_stay_and_are_named():
    def learned(rows):
        scale = param("scale", 0.5, "positive")
        loc = sample("loc", dist.Normal(0.0, 3.0))
        with plate("data", rows):
            sample("x", dist.Normal(loc, scale))

    short = {"data": {"x": X}, "algorithm": NUTS(draws=4, warmup=4, chains=1), "backend": "pyro"}
    with pytest.warns(SamplingWarning, match=r"the model's parameters \['scale'\] stayed at their first values"):
        ppgen.fit(learned, **short)
    fit = ppgen.fit(learned, **short, params={"scale": 2.0})
    assert fit.params["scale"] == pytest.approx(2.0) and "['scale'] stayed" in fit.posterior().attrs["note"]
    assert not fit.train


def test_divergences_are_counted():
    algorithm = NUTS(draws=3, chains=2)
    diverging = np.array([[True, False], [False, False], [True, True]])
    with pytest.warns(SamplingWarning, match="3 of 6 draws ended in a divergence.*Raise target_accept"):
        result = algorithm.result(None, None, {"draws": {}, "statistics": {"diverging": diverging}})
    assert result.statistics["diverging"].shape == (2, 3)


# refusals -----------------------------------------------------------------------------------------------------------------


def refuse(program, data=None, algorithm=None):
    ppgen.fit(program, data={"x": X} if data is None else data, algorithm=algorithm or NUTS())


def many_bits():
    return dist.Bernoulli(0.5).expand([16]).to_event(1)


def test_what_cannot_be_sampled_is_refused():
    def observed(site):
        def program(rows):
            site()
            with plate("data", rows):
                sample("x", dist.Normal(0.0, 1.0))

        return program

    for site, message in (
        (lambda: None, "every site of the model is observed"),
        (lambda: sample("k", dist.Poisson(3.0)), "the latent sites .'k'. are discrete"),
        (lambda: (sample("z", dist.Normal(0.0, 1.0)), sample("k", dist.Poisson(3.0))), "'k' .* cannot be summed out"),
        (lambda: sample("z", dist.Delta(1.0)), "site 'z' of the model has one value"),
    ):
        with pytest.raises(IllegalPairing, match=message):
            refuse(observed(site))
    with pytest.raises(IllegalPairing, match="have 65536 configurations"):
        refuse(observed(lambda: (sample("z", dist.Normal(0.0, 1.0)), sample("k", many_bits()))))
    with pytest.raises(ProgramError, match="no site of the model is observed"):
        refuse(lambda rows, c: sample("z", dist.Normal(0.0, 1.0)), {"c": X})


def test_legal_samplers_are_named():
    """Where a game of losses is illegal, the message says that a sampler would do."""
    with pytest.raises(IllegalPairing, match=r"Legal here: .*NUTS\("):
        ppgen.fit(model, data={"x": X}, algorithm=ppgen.MaximumLikelihood(), steps=1)


def test_a_density_that_is_nowhere_finite():
    def impossible(rows):
        z = sample("z", dist.Normal(0.0, 1.0))
        factor("never", -np.inf + 0.0 * z)
        with plate("data", rows):
            sample("x", dist.Normal(z, 1.0))

    with pytest.raises(NonFiniteError, match="not finite at 100 points"):
        refuse(impossible)


def test_shared_sites_that_were_summed_out_predict_nothing():
    def switch(rows):
        flip = sample("flip", dist.Bernoulli(0.5))
        w = sample("w", dist.Normal(0.0, 1.0))
        with plate("data", rows):
            sample("x", dist.Normal(w + flip, 1.0))

    fit = ppgen.fit(switch, data={"x": X}, algorithm=NUTS(draws=4, warmup=4, chains=1), backend="pyro")
    for ask in (lambda: fit.evaluate({"x": X}), lambda: fit.sample(rows=2)):
        with pytest.raises(NoLikelihoodError, match="'flip'.*were summed out"):
            ask()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NUTS(draws=0), "NUTS: expected draws"),
        (lambda: NUTS(target_accept=1.0), "target_accept between 0 and 1"),
        (lambda: NUTS(max_tree_depth=0), "max_tree_depth"),
        (lambda: HMC(trajectory_length=0.0), "positive trajectory_length"),
    ],
)
def test_settings_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_page_of_samplers_runs():
    """docs/samplers.md, on Pyro and with few draws."""
    page = (Path(ppgen.__file__).parents[1] / "docs" / "samplers.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    for old, new in (("draws=1000", "draws=20"), ("warmup=1000", "warmup=20"), ("seed=0", 'seed=0, backend="pyro"')):
        assert old in code
        code = code.replace(old, new)
    with warnings.catch_warnings(action="ignore", category=SamplingWarning):
        names = {}
        exec(code, names)
    assert names["fit"].history["temperature"][-1] == 1
