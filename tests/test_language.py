"""The language of programs: each word means the same on both backends."""

import jax
import numpy as np
import pytest
import scipy.stats
import torch

import ppgen
from ppgen import deterministic, dist, factor, module, nn, ops, param, plate, sample
from ppgen.errors import ProgramError

ROWS, PARTICLES = 4, 3
X = np.array([0.5, -1.0, 2.0, 0.0], np.float32)


class Bound:
    """A model without a guide, with everything observed, on a backend."""

    def __init__(self, model, backend, data=None, seed=0):
        self.data = {"x": X} if data is None else data
        self.problem = ppgen.Problem(model, data=self.data, backend=backend, seed=seed)
        self.parameters = self.problem.start
        self.backend = self.problem.backend

    @property
    def params(self):
        return self.problem.export(self.parameters)

    def log_prob(self, drawn=None):
        """Log density [particles, rows] of the data and of values `drawn`, [particles, rows, ...]."""
        drawn = {name: self.backend.array(np.asarray(value, np.float32)) for name, value in (drawn or {}).items()}
        batch = ppgen.Batch(self.problem.device(self.data))
        if drawn:
            batch = batch | ppgen.Batch(drawn, rows=ROWS, drawn=drawn, particles=PARTICLES)

        def run(parameters):
            return self.problem.joints(parameters)["model"].log_prob(batch)

        return self.backend.numpy(self.backend.without_gradients(run)(self.parameters))


# outside a program -------------------------------------------------------------------------------------------------

WORDS = {
    "sample": lambda: sample("x", None),
    "plate": lambda: plate("data", 3),
    "param": lambda: param("a", 0.0),
    "module": lambda: module("net", nn.MLP(2, 1)),
    "deterministic": lambda: deterministic("d", 0.0),
    "factor": lambda: factor("f", 0.0),
}


@pytest.mark.parametrize("word", WORDS)
def test_outside_a_program(word):
    with pytest.raises(
        ProgramError, match=rf"ppgen\.{word} was called outside a running program; expected .* ppgen\.fit"
    ):
        WORDS[word]()


@pytest.mark.parametrize("word", WORDS)
def test_a_backend_by_itself_runs_no_program(word, backend):
    with (
        ppgen.using(backend),
        pytest.raises(ProgramError, match=rf"ppgen\.{word} was called outside a running program"),
    ):
        WORDS[word]()


def test_an_unknown_backend():
    with (
        pytest.raises(ValueError, match=r"expected a backend, one of \('numpyro', 'pyro'\); got 'stan'"),
        ppgen.using("stan"),
    ):
        pass


# distributions: see backends/test_catalogue.py -------------------------------------------------------------------


@pytest.mark.parametrize("logit", [0.0, 1.5, -40.0, 40.0])
@pytest.mark.parametrize("x", [0.0, 1.0])
def test_the_gradient_of_a_bernoulli(x, logit, backend):
    """x - sigmoid(logit): x - 1/2 at a logit of 0, where NumPyro's own is 0 or 1."""
    with ppgen.using(backend):
        if backend == "numpyro":
            found = jax.grad(lambda logit: dist.Bernoulli(logits=logit).log_prob(x))(logit)
        else:
            tensor = torch.tensor(logit, requires_grad=True)
            (found,) = torch.autograd.grad(dist.Bernoulli(logits=tensor).log_prob(torch.tensor(x)), tensor)
    assert float(found) == pytest.approx(x - 1 / (1 + np.exp(-logit)), abs=1e-6)


# param -------------------------------------------------------------------------------------------------------------


def noisy(rng):
    return rng.normal(size=(2, 3))


def asks_for(*names, init=noisy, constraint="real"):
    """A model with these parameters, made in this order."""

    def model(rows):
        total = sum(ops.sum(ops.square(param(name, init, constraint))) for name in names)
        with plate("data", rows):
            sample("x", dist.Normal(0.0, 1.0 + total))

    return model


def start(model, backend, seed=0):
    return Bound(model, backend, seed=seed).params


def test_initial_values_are_the_same_on_both_backends():
    values = {"real": noisy, "positive": lambda rng: rng.gamma(2.0, size=3), "unit_interval": [[0.2], [0.7]]}
    values |= {"simplex": lambda rng: rng.dirichlet(np.ones(4), size=2), "lower_cholesky": [[1.0, 0.0], [-0.5, 2.0]]}
    for constraint, init in values.items():
        model = asks_for("a", init=init, constraint=constraint)
        in_jax, in_torch = (start(model, backend)["a"] for backend in ("numpyro", "pyro"))
        assert in_jax.dtype == in_torch.dtype == np.float32
        tight = {"rtol": 0, "atol": 0} if constraint == "real" else {"rtol": 1e-5, "atol": 1e-6}
        np.testing.assert_allclose(in_jax, in_torch, **tight, err_msg=constraint)
        if not callable(init):
            np.testing.assert_allclose(in_jax, init, rtol=1e-5, err_msg=constraint)


def test_initial_values_know_no_order(backend):
    one, other = start(asks_for("a", "b", "c"), backend), start(asks_for("c", "a"), backend)
    for name, value in other.items():
        np.testing.assert_array_equal(value, one[name])


def test_initial_values_differ_by_name_and_seed(backend):
    first, second = (start(asks_for("a", "b"), backend, seed) for seed in (0, 1))
    values = [first["a"], first["b"], second["a"], second["b"]]
    assert all((values[i] != values[j]).all() for i in range(4) for j in range(i))


@pytest.mark.parametrize("init", [2, 2.0, np.float64(2), np.int64(2), [[1, 2], [3, 4]], np.arange(3), True], ids=repr)
def test_numbers_of_any_type_become_floats(init, backend):
    value = start(asks_for("a", init=init), backend)["a"]
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, np.asarray(init, np.float32))


INSIDE = {
    "positive": (2.0, lambda x: x > 0),
    "unit_interval": (0.5, lambda x: (x > 0) & (x < 1)),
    "simplex": ([0.2, 0.3, 0.5], lambda x: (x > 0).all() and x.sum() == pytest.approx(1, abs=1e-5)),
    "lower_cholesky": ([[1.0, 0.0], [0.3, 2.0]], lambda x: (np.diagonal(x) > 0).all() and x[0, 1] == 0),
}


@pytest.mark.parametrize("constraint", INSIDE)
def test_constraints_are_respected(constraint, backend):
    """Also far from the start: the model sees, and `Fit.params` shows, the constrained value."""
    init, inside = INSIDE[constraint]
    seen = []

    def model(rows):
        value = param("a", init, constraint)
        jax.debug.callback(lambda a: seen.append(np.asarray(a)), value) if backend == "numpyro" else seen.append(value)
        with plate("data", rows):
            sample("x", dist.Normal(ops.sum(value), 1.0))

    bound = Bound(model, backend)
    rng = np.random.default_rng(0)
    for scale in (0.1, 3.0):
        raw = {
            n: bound.backend.array(rng.normal(scale=scale, size=v.shape).astype(np.float32))
            for n, v in bound.parameters.items()
        }
        value = bound.problem.export(raw)["a"]
        assert np.all(inside(value)), value
        bound.parameters = raw
        bound.log_prob()
        jax.effects_barrier()
        np.testing.assert_allclose(np.asarray(bound.backend.numpy(seen[-1])), value, rtol=1e-6)


@pytest.mark.parametrize(
    ("init", "constraint"),
    [
        (0.0, "positive"),
        ([1.0, -1.0], "positive"),
        (np.inf, "positive"),
        (np.nan, "real"),
        (1.0, "unit_interval"),
        ([0.5, 0.6], "simplex"),
        ([0.0, 1.0], "simplex"),
        ([[1.0, 2.0], [0.0, 1.0]], "lower_cholesky"),
        ([[-1.0, 0.0], [0.0, 1.0]], "lower_cholesky"),
        (lambda rng: -rng.gamma(1.0, size=2), "positive"),
    ],
    ids=lambda value: "drawn" if callable(value) else repr(value),
)
def test_a_start_outside_the_constraint(init, constraint, backend):
    """Pyro and NumPyro begin with NaN, or quietly somewhere else."""
    with pytest.raises(
        ProgramError, match=rf"param 'a': expected a finite initial value strictly inside '{constraint}'; got "
    ):
        start(asks_for("a", init=init, constraint=constraint), backend)


@pytest.mark.parametrize("init", ["zero", lambda: 0.0, [[1.0], [1.0, 2.0]]])
def test_a_start_that_is_no_number(init, backend):
    with pytest.raises(
        ProgramError, match=r"param 'a': expected numbers, or a function from a NumPy generator to them; got"
    ):
        start(asks_for("a", init=init), backend)


def test_an_unknown_constraint(backend):
    with pytest.raises(ProgramError, match=r"param 'a': expected a constraint, one of \('real', .*\); got 'negative'"):
        start(asks_for("a", constraint="negative"), backend)


# plate, deterministic, factor --------------------------------------------------------------------------------------


def normal(x, loc=0.0, scale=1.0):
    return scipy.stats.norm(loc, scale).logpdf(x)


def with_factor(rows):
    loc = param("loc", 0.5)
    with plate("data", rows):
        x = sample("x", dist.Normal(loc, 1.0))
        factor("penalty", -2.0 * x**2)


def test_a_factor_adds_to_the_log_density(backend):
    np.testing.assert_allclose(Bound(with_factor, backend).log_prob(), (normal(X, 0.5) - 2 * X**2)[None], rtol=1e-5)


def test_a_factor_outside_the_rows_is_shared_by_them(backend):
    def model(rows):
        loc = param("loc", 0.5)
        factor("prior", -3.0 * loc)
        with plate("data", rows):
            sample("x", dist.Normal(loc, 1.0))

    found = Bound(model, backend).log_prob()
    np.testing.assert_allclose(found, (normal(X, 0.5) - 1.5 / ROWS)[None], rtol=1e-5)


def test_a_factor_of_a_latent_has_particles(backend):
    def model(rows):
        loc = param("loc", 0.0)
        with plate("data", rows):
            z = sample("z", dist.Bernoulli(0.25))
            factor("agreement", 2.0 * z)
            sample("x", dist.Normal(loc + z, 1.0))

    z = np.array([[0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]], np.float32)
    expected = np.log(np.where(z == 1, 0.25, 0.75)) + 2 * z + normal(X, z)
    np.testing.assert_allclose(Bound(model, backend).log_prob({"z": z}), expected, rtol=1e-5)


def test_deterministic_gives_its_value_back_and_has_no_density(backend):
    def model(rows):
        loc = param("loc", 0.5)
        twice = deterministic("twice", 2 * loc)
        with plate("data", rows):
            x = sample("x", dist.Normal(twice, 1.0))
            deterministic("shifted", x + 1)

    np.testing.assert_allclose(Bound(model, backend).log_prob(), normal(X, 1.0)[None], rtol=1e-5)


def test_inner_plates_of_data_are_summed(backend):
    """Log densities are [particles, rows]; in data the rows come first, so their plate is the outermost axis."""

    def model(rows):
        loc = param("loc", 0.5)
        with plate("data", rows, dim=-2):
            sample("x", dist.Normal(loc, 1.0).expand([rows, 1]))
            with plate("repeats", 5, dim=-1):
                sample("y", dist.Normal(loc, 2.0).expand([2]).to_event(1))

    y = np.random.default_rng(0).normal(size=(ROWS, 5, 2)).astype(np.float32)
    found = Bound(model, backend, {"x": X[:, None], "y": y}).log_prob()
    np.testing.assert_allclose(found, (normal(X, 0.5) + normal(y, 0.5, 2.0).sum((1, 2)))[None], rtol=1e-5)


@pytest.mark.parametrize("dims", [(None, None), (-1, -2), (-2, -1)], ids=str)
def test_inner_plates_of_latents_are_summed(dims, backend):
    """Wherever the axis of rows lies; by default the first plate is the last axis."""
    rows_dim, parts_dim = dims
    rows_last = rows_dim != -2

    def model(rows):
        loc = param("loc", 0.5)
        with plate("data", rows, rows_dim):
            sample("x", dist.Normal(loc, 1.0).expand([rows] if rows_last else [rows, 1]))
            with plate("parts", 2, parts_dim):
                sample("z", dist.Bernoulli(0.25))

    z = np.random.default_rng(0).integers(2, size=(PARTICLES, 2, ROWS) if rows_last else (PARTICLES, ROWS, 2))
    expected = normal(X, 0.5) + np.log(np.where(z == 1, 0.25, 0.75)).sum(1 if rows_last else 2)
    found = Bound(model, backend, {"x": X if rows_last else X[:, None]}).log_prob({"z": z})
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("fn", ["Normal", None, 1.0, object], ids=repr)
def test_a_site_without_a_distribution(fn, backend):
    def model(rows):
        param("loc", 0.5)
        with plate("data", rows):
            sample("x", fn)

    with pytest.raises(
        ProgramError, match=r"site 'x': expected a distribution, such as ppgen\.dist\.Normal\(0\.0, 1\.0\); got"
    ):
        Bound(model, backend)


def test_an_error_of_the_library_names_the_site(backend):
    def model(rows):
        scale = param("scale", 0.5)
        with plate("data", rows):
            sample("x", dist.Normal(ops.zeros((rows + 1,)), scale))

    with pytest.raises(Exception) as caught:
        Bound(model, backend)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert any("'x'" in f"{error} {getattr(error, '__notes__', '')}" for error in chain)
