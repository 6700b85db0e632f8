"""Programs that are not those of the fit are refused, though their parameters have the same names and shapes."""

import numpy as np
import pytest

import ppgen
from ppgen import dist, module, nn, ops, param, plate, sample
from ppgen.errors import CheckpointError, DataError

OTHER = {"numpyro": "pyro", "pyro": "numpyro"}
X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")


def model(likelihood="Normal", activation="relu", prior=0.0, name="x"):
    def program(rows):
        decoder = module("decoder", nn.MLP(2, 6, 3, activation=activation))
        with plate("data", rows):
            z = sample("z", dist.Normal(prior, 1.0).expand([2]).to_event(1))
            sample("x", getattr(dist, likelihood)(decoder(z), 1.0).to_event(1))
            if name != "x":
                sample(name, dist.Normal(0.0, 1.0))

    return program


def guide(activation="relu", scale=1.0):
    def program(x):
        encoder = module("encoder", nn.MLP(3, 6, 2, activation=activation))
        with plate("data", len(x)):
            sample("z", dist.Normal(encoder(x), scale * param("scale", 0.5, "positive")).to_event(1))

    return program


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    """A short fit and its folder, by backend."""
    made = {}

    def of(backend):
        if backend not in made:
            fit = ppgen.fit(model(), guide(), data={"x": X}, backend=backend, epochs=1, batch_size=10)
            made[backend] = fit, fit.save(tmp_path_factory.mktemp(backend) / "fit")
        return made[backend]

    return of


WRONG = {
    "likelihood": (model("Laplace"), guide(), r"site 'x' of the model, Laplace, has log density .* it was Normal"),
    "activation": (model(activation="tanh"), guide(), r"site 'x' of the model, Normal, has log density"),
    "prior": (model(prior=0.3), guide(), r"site 'z' of the model, Normal, has log density"),
    "encoder": (model(), guide("tanh"), r"site 'z' of the guide, Normal, has log density"),
    "spread": (model(), guide(scale=1.1), r"site 'z' of the guide"),
}


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same backend", "other backend"])
@pytest.mark.parametrize(("p", "q", "message"), WRONG.values(), ids=WRONG)
def test_other_programs_are_refused(fits, backend, p, q, message, elsewhere):
    """On the backend of the fit, and on the other one, where a fit of the right programs loads."""
    _, path = fits(backend)
    target = OTHER[backend] if elsewhere else backend
    assert ppgen.load(path, model(), guide(), backend=target).backend == target
    with pytest.raises(CheckpointError, match=r"expected the programs that .*fit was learned with.*" + message):
        ppgen.load(path, p, q, backend=target)


def test_a_run_is_not_gone_on_with_by_another_likelihood(fits, backend):
    fit, _ = fits(backend)
    with pytest.raises(CheckpointError, match=r"programs that the fit to resume was learned with.*site 'x'.*Laplace"):
        ppgen.fit(model("Laplace"), guide(), data={"x": X}, backend=backend, epochs=2, batch_size=10, resume=fit)


# programs that know the rows of the fit only ------------------------------------------------------------------------

DATA = {
    "y": np.array([28, 8, -3, 7, -1, 1, 18, 12], np.float32),
    "sigma": np.array([15, 10, 16, 11, 9, 11, 10, 18], np.float32),
}


def schools(sigma):
    """Eight schools, with their number written into the plate."""
    mu = sample("mu", dist.Normal(0.0, 5.0))
    with plate("data", 8):
        theta = sample("theta", dist.Normal(mu, 5.0))
        sample("y", dist.Normal(theta, sigma))


def one_mean(sigma):
    """No parameter has a number for each row, yet the plate does."""
    with plate("data", 8):
        sample("y", dist.Normal(param("mu", 0.0), ops.exp(0 * sigma) * sigma))


def native(backend, rows):
    """The same in the backend's own language, with its autoguide."""
    if backend == "numpyro":
        import numpyro as library
        from numpyro.infer.autoguide import AutoNormal
    else:
        import pyro as library
        from pyro.infer.autoguide import AutoNormal

    def program(sigma, y=None):
        mu = library.sample("mu", library.distributions.Normal(0.0, 5.0))
        with library.plate("schools", rows or len(sigma)):
            theta = library.sample("theta", library.distributions.Normal(mu, 5.0))
            library.sample("y", library.distributions.Normal(theta, sigma), obs=y)

    return program, lambda: AutoNormal(program)


CASES = {
    "mean field": lambda backend: (schools, ppgen.guides.MeanField),
    "full rank": lambda backend: (schools, ppgen.guides.FullRank),
    "no guide": lambda backend: (one_mean, lambda: None),
    "AutoNormal": lambda backend: native(backend, None),
    "AutoNormal of eight": lambda backend: native(backend, 8),
}


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_fits_of_these_rows_only(backend, make, tmp_path):
    program, guide = make(backend)
    algorithm = ppgen.ELBO() if guide() else ppgen.MaximumLikelihood()
    fit = ppgen.fit(program, guide(), data=DATA, backend=backend, steps=2, algorithm=algorithm)
    back = ppgen.load(fit.save(tmp_path / "fit"), program, guide())
    for name, value in fit.params.items():
        np.testing.assert_array_equal(back.params[name], value)
    few = {name: value[:5] for name, value in DATA.items()}
    with pytest.raises(
        DataError, match=r"expected the 8 rows that these programs met; got 5 rows, and the (model|guide)"
    ):
        back.evaluate(few, particles=5)


def test_fits_of_any_rows_keep_a_few(backend, tmp_path):
    """A full batch alone does not tie a program to its rows."""

    def program(sigma):
        with plate("data", len(sigma)):
            sample("y", dist.Normal(param("mu", 0.0), sigma))

    fit = ppgen.fit(program, data=DATA, backend=backend, steps=2, algorithm=ppgen.MaximumLikelihood())
    back = ppgen.load(fit.save(tmp_path / "fit"), program)
    assert len(back.problem.example["y"]) == 7
    few = {name: value[:5] for name, value in DATA.items()}
    assert back.evaluate(few).nats == fit.evaluate(few).nats
