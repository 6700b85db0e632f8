"""Guides that are made of the model."""

import numpy as np
import pytest
import scipy.stats
from scipy.special import gammaln

import ppgen
from ppgen import dist, guides, ops, param, plate, sample
from ppgen.errors import Note, ProgramError
from ppgen.inference import SamplingWarning

ALL = [guides.MeanField(), guides.FullRank(), guides.LowRank(2), guides.Flow(), guides.MAP(), guides.Laplace()]
AT_ONCE = guides.FullRank | guides.MAP | guides.Laplace  # tried with all rows at each step
X = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
Y = (X @ [1.0, -1.0] + 0.3).astype(np.float32)


def regression(rows, x):
    """Global sites of four supports, one of them in a plate of its own, and a local one."""
    scale = sample("scale", dist.HalfNormal(1.0))
    share = sample("share", dist.Dirichlet(np.ones(2, np.float32)))
    chance = sample("chance", dist.Uniform(0.0, 2.0))
    with plate("columns", 2, dim=-2):
        w = sample("w", dist.Normal(0.0, 1.0))
    with plate("data", rows, dim=-1):
        z = sample("z", dist.Gamma(2.0, 1.0))
        loc = (x * w[..., 0][..., None, :]).sum(-1) + chance * share[..., 0][..., None] * z
        sample("y", dist.Normal(loc, scale))


def conjugate(rows):
    """Two correlated latent numbers, of which only the sum is seen."""
    a = sample("a", dist.Normal(0.0, 1.0))
    b = sample("b", dist.Normal(0.0, 1.0))
    with plate("data", rows):
        sample("y", dist.Normal(a + b, 1.0))


@pytest.mark.parametrize("guide", ALL, ids=lambda guide: type(guide).__name__)
def test_a_guide_has_the_model_s_sites(backend, guide):
    """Sites of every support, local and global, are drawn within it; parts of the data need an encoder."""
    batch_size = None if isinstance(guide, AT_ONCE) else 4
    rows = slice(0, batch_size)
    problem = ppgen.Problem(regression, guide, data={"x": X[rows], "y": Y[rows]}, size=len(Y), backend=backend)
    backend = problem.backend

    def weigh(data):
        with ops.activate(backend):
            joints, batch = problem.joints(), ppgen.Batch(data)
            z = joints["guide"].draw(batch, particles=3)
            return dict(z.values), joints["model"].log_prob(batch | z.values) - z.log_prob

    values, total = backend.without_gradients(weigh)(problem.device({"x": X[rows], "y": Y[rows]}))
    assert np.isfinite(backend.numpy(total)).all()
    for site in problem.model.latent(problem.data):
        value = backend.numpy(values[site.name])
        assert not site.support.outside(value).any(), site.name
        assert value.shape[1:] == (*site.batch_shape, *site.event_shape)
    networks = [name for name in problem.owned["guide"] if "rows.loc.0.weight" in name or "z.loc.0.weight" in name]
    assert bool(networks) == (batch_size is not None)


@pytest.mark.parametrize("guide", [ALL[0], ALL[3]], ids=lambda guide: type(guide).__name__)
def test_a_guide_has_a_density(backend, guide):
    """The weights p / q of its draws have the evidence as their mean: no log-determinant is missing."""

    def model(rows):
        rate = sample("rate", dist.Gamma(3.0, 2.0))
        with plate("data", rows):
            sample("x", dist.Poisson(rate))

    x = np.array([2.0, 1.0, 3.0], np.float32)
    fit = ppgen.fit(
        model, guide, data={"x": x}, backend=backend, algorithm=ppgen.ELBO(8), steps=150, optimizer=ppgen.Adam(0.03)
    )
    total, n = x.sum(), len(x)  # gamma-Poisson: a negative binomial
    exact = 3 * np.log(2) - gammaln(3) + gammaln(3 + total) - (3 + total) * np.log(2 + n) - gammaln(x + 1).sum()
    found = ppgen.evaluation.evidence(fit.problem, fit.state.parameters, {"x": x}, particles=4000)
    assert found.total == pytest.approx(exact, abs=0.02)


def test_full_rank_finds_the_correlation(backend):
    y = np.full(20, 1.0, np.float32)
    fit = ppgen.fit(
        conjugate, guides.FullRank(), data={"y": y}, backend=backend, algorithm=ppgen.ELBO(20, gradient="stl"),
        steps=400, optimizer=ppgen.Adam(0.03),
    )  # fmt: skip
    precision = np.eye(2) + 20 * np.ones((2, 2))
    tril = fit.params["guide.scale_tril"]
    np.testing.assert_allclose(tril @ tril.T, np.linalg.inv(precision), atol=0.03)
    np.testing.assert_allclose(fit.params["guide.loc"], np.linalg.solve(precision, [20, 20]), atol=0.03)


def test_laplace_is_exact_where_the_posterior_is_gaussian(backend, tmp_path):
    """Local sites too: any draw then weighs as much as the evidence; so it does after saving and loading."""

    def model(rows):
        a = sample("a", dist.Normal(0.0, 1.0))
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0))
            sample("y", dist.Normal(a + z, 1.0))

    y = np.array([0.5, -1.0, 2.0], np.float32)
    fit = ppgen.fit(model, guides.Laplace(), data={"y": y}, backend=backend, steps=400, optimizer=ppgen.Adam(0.05))
    covariance = 2 * np.eye(3) + np.ones((3, 3))
    exact = scipy.stats.multivariate_normal(np.zeros(3), covariance).logpdf(y)
    for own in (fit, ppgen.load(fit.save(tmp_path / "fit"), model, guides.Laplace())):
        found = ppgen.evaluation.evidence(own.problem, own.state.parameters, {"y": y}, particles=3)
        assert found.total == pytest.approx(exact, abs=1e-4)


def test_laplace_tells_when_it_is_not_at_the_mode(backend):
    def model(rows):
        a = sample("a", dist.StudentT(1.0, 0.0, 0.1))  # curved upwards away from its mode
        with plate("data", rows):
            sample("y", dist.Normal(0.0 * a, 1.0))

    data = {"y": np.ones(4, np.float32)}
    for program, message in ((conjugate, r"Newton's method would gain \d"), (model, "not curved downwards")):
        with pytest.warns(SamplingWarning, match=message) as caught:
            start = {"guide.loc": np.ones(1, np.float32)} if program is model else None
            ppgen.fit(program, guides.Laplace(), data=data, backend=backend, steps=1, params=start)
        assert caught[0].filename == __file__
    with pytest.raises(ProgramError, match=r"curvature of all rows together.*Leave batch_size out"):
        ppgen.fit(conjugate, guides.Laplace(), data=data, backend=backend, steps=1, batch_size=2)


def test_the_map_is_the_mode(backend):
    y = np.full(20, 1.0, np.float32)
    fit = ppgen.fit(conjugate, guides.MAP(), data={"y": y}, backend=backend, steps=300, optimizer=ppgen.Adam(0.05))
    for site in "ab":
        assert fit.params[f"guide.{site}.loc"] == pytest.approx(20 / 41, abs=1e-3)


def test_without_a_guide_mean_field_is_taken_and_said(backend):
    with pytest.warns(Note, match=r"no guide was given for the latent sites \['a', 'b'\].*MeanField"):
        fit = ppgen.fit(conjugate, data={"y": np.ones(3, np.float32)}, backend=backend, steps=2)
    assert sorted(fit.params) == [f"guide.{site}.{what}" for site in "ab" for what in ("loc", "log_scale")]


def test_a_discrete_site_is_refused(backend):
    def model(rows):
        loc = param("loc", 0.0)
        with plate("data", rows):
            k = sample("k", dist.Bernoulli(0.5))
            sample("y", dist.Normal(loc * k, 1.0))

    with pytest.raises(
        ProgramError, match=r"FullRank is a guide of continuous sites; site 'k' of the model is discrete"
    ):
        ppgen.fit(model, guides.FullRank(), data={"y": Y}, backend=backend, steps=1)


def test_rows_to_the_left_of_an_inner_plate(backend):
    """At the exact posterior of each row's numbers, every weight is the evidence."""

    def model(rows):
        with plate("data", rows, dim=-2), plate("inner", 3, dim=-1):
            z = sample("z", dist.Normal(0.0, 1.0))
            sample("x", dist.Normal(z, 1.0))

    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    exact = {"guide.rows.loc": x / 2, "guide.rows.log_scale": np.full((5, 3), 0.5 * np.log(0.5), np.float32)}
    problem = ppgen.Problem(model, ppgen.guides.FullRank(), data={"x": x}, backend=backend)
    found = ppgen.evaluation.likelihood(problem, problem.parameters(exact), {"x": x}, particles=3)
    np.testing.assert_allclose(found.per_row, (-0.5 * np.log(4 * np.pi) - x**2 / 4).sum(1), rtol=1e-5)
