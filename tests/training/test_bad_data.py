"""Data that do not fit the programs, before and during a run: refused by name and row, and nothing learned is lost."""

import warnings

import numpy as np
import pytest

import ppgen
from ppgen import dist, nn, ops, param, plate, sample
from ppgen.errors import DataError, NonFiniteError
from ppgen.problem.arrays import DataWarning

ML = ppgen.MaximumLikelihood()
N = 24
RNG = np.random.default_rng(0)
Y = RNG.normal(size=N).astype("float32")
C = RNG.uniform(1, 2, size=N).astype("float32")


def location(rows):
    with plate("data", rows):
        sample("y", dist.Normal(param("loc", 0.5), 1.0))


def regression(rows, c):
    with plate("data", rows):
        sample("y", dist.Normal(param("slope", 0.5) * c, 1.0))


def observed_as(make):
    """A model with one site y ~ make(a), for a positive parameter a."""

    def model(rows):
        a = param("a", 0.5, "positive")
        with plate("data", rows):
            sample("y", make(a))

    return model


def bernoulli(a):
    return dist.Bernoulli(logits=a)


def categorical(a):
    return dist.Categorical(logits=a * ops.asarray(np.arange(3, dtype="float32")))


def first_loss(backend, model, data):
    trainer = ppgen.Trainer(ppgen.Problem(model, data=data, backend=backend), ML)
    return float(trainer.losses(trainer.init(), data)["model"])


def fit(backend, model, data, **options):
    return ppgen.fit(model, data=data, algorithm=ML, backend=backend, **({"epochs": 2} | options))


def batches(data, size=8):
    return [{name: value[i : i + size] for name, value in data.items()} for i in range(0, N, size)]


def spoiled(value, row, values=Y):
    values = values.copy()
    values[row] = value
    return values


@pytest.mark.parametrize("batch_size", [None, 8])
def test_good_data_pass(backend, batch_size):
    fitted = fit(backend, regression, {"y": Y, "c": C}, batch_size=batch_size, valid={"y": Y[:5], "c": C[:5]})
    assert np.isfinite(fitted.params["slope"])
    assert len(fitted.history["valid/model"]) == 2


def test_good_stream_passes(backend):
    data = {"y": Y, "c": C}
    fitted = fit(backend, regression, batches(data), valid=data)
    assert int(fitted.state.step) == 6
    assert len(fitted.history["valid/model"]) == 2


# the form of the data ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"y": Y[:0]}, r"expected at least one row; got an empty batch"),
        ({}, r"the model takes an argument 'c' that the batch does not have"),
        (Y, r"expected a dict of arrays .*got float32\. Write data="),
        ([Y], r"expected a dict of arrays .*got ndarray\. Write data="),
        ([], r"expected at least one batch; the stream was empty"),
        ({"y": Y, "c": C[:3]}, r"expected the same number of rows .*'y': 24, 'c': 3.*first axis counts the rows"),
        ({"y": [[1.0, 2.0], [3.0]]}, r"entry 'y': expected an array of numbers; got a list whose rows differ .*Pad"),
        ({"y": ["a", "b"]}, r"entry 'y': expected an array of numbers .*got shape \(2,\), dtype <U1"),
        ({"y": 3.0}, r"entry 'y': expected an array of numbers with one row per datum; got shape \(\)"),
        ({"y": None}, r"entry 'y': expected an array of numbers"),
    ],
    ids=[
        "no rows",
        "no entries",
        "array",
        "list of arrays",
        "empty stream",
        "unequal",
        "ragged",
        "text",
        "scalar",
        "None",
    ],
)
def test_form(backend, data, message):
    with pytest.raises(DataError, match=message):
        fit(backend, regression, data)


def test_float64_is_cut_aloud(backend):
    digits = np.linspace(0, 1, N)
    with pytest.warns(DataWarning, match=r"float64 entries \['y'\] are used in float32; pass float32 to be silent"):
        fitted = fit(backend, location, {"y": digits}, steps=1, epochs=None)
    assert fitted.params["loc"].dtype == np.float32
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(backend, location, {"y": np.round(digits * 8) / 8}, steps=1, epochs=None)  # not a digit is lost


def test_float64_beyond_float32(backend):
    with pytest.warns(DataWarning), pytest.raises(DataError, match=r"'y' of the .* infinite values in row 5; .*Drop"):
        fit(backend, location, {"y": spoiled(1e300, 5, Y.astype("float64"))})


# NaN and infinity ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 20], ids=["first batch", "later batch"])
@pytest.mark.parametrize("entry", ["y", "c"])
def test_not_finite_in_arrays(backend, value, row, entry):
    data = {"y": Y, "c": C}
    data[entry] = spoiled(value, row, data[entry])
    message = rf"entry '{entry}' of the (batch|data) has NaN or infinite values in row {row}; expected finite .*Drop"
    with pytest.raises(DataError, match=message):
        fit(backend, regression, data, batch_size=8)
    with pytest.raises(DataError, match=rf"'{entry}' of the validation data .* row {row}"):
        fit(backend, regression, {"y": Y, "c": C}, valid=data)


def test_many_rows_are_counted(backend):
    with pytest.raises(DataError, match=r"in rows 3, 4, 5, 6, 7, \.\.\. \(8 rows\)"):
        fit(backend, location, {"y": spoiled(np.nan, slice(3, 11))})


def later(batch):
    """A stream whose third batch is another one."""
    good = batches({"y": Y, "c": C})
    return [*good[:2], batch, *good[2:]]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"y": spoiled(np.nan, 3), "c": C}, r"entry 'y' of batch 2 has NaN or infinite values in row 3; .*Drop"),
        ({"y": Y, "c": spoiled(np.inf, 9, C)}, r"entry 'c' of batch 2 has NaN or infinite values in row 9; .*Drop"),
        ({"y": Y[:, None], "c": C}, r"entry 'y' of batch 2: expected rows of shape \(\), .*got \(1,\)\. Reshape it"),
        (
            {"y": Y},
            r"batch 2: expected the entries of the first batch, \['c', 'y'\]; got \['y'\], without \['c'\]\. Correct",
        ),
        (
            {"y": Y, "C": C},
            r"batch 2: expected the entries of .*; got \['C', 'y'\], with \['C'\], which no program takes\. Correct",
        ),
        ({"y": Y[:0], "c": C[:0]}, r"expected at least one row; got an empty batch"),
        ({"y": Y, "c": C[:3]}, r"expected the same number of rows in every entry; got \{'y': 24, 'c': 3\}"),
        (Y, r"expected a dict of arrays .*got ndarray"),
    ],
    ids=["NaN", "inf covariate", "(N, 1)", "missing", "misspelt", "empty", "unequal", "no dict"],
)
def test_bad_batch_in_a_stream(backend, batch, message):
    """The run stops at that batch; the error holds the fit so far."""
    with pytest.raises(DataError, match=message) as caught:
        fit(backend, regression, later(batch))
    kept = caught.value.fit
    assert int(kept.state.step) == 2
    before = fit(backend, regression, later(batch), steps=2, epochs=None)
    np.testing.assert_array_equal(kept.params["slope"], before.params["slope"])
    np.testing.assert_array_equal(kept.history["loss/model"], before.history["loss/model"])


def test_bad_first_batch_of_a_stream(backend):
    with pytest.raises(DataError, match=r"'y' of the batch .*row 3") as caught:
        fit(backend, regression, [{"y": spoiled(np.nan, 3), "c": C}])
    assert caught.value.fit is None


def test_bad_batch_in_a_loop_of_ones_own(backend):
    trainer = ppgen.Trainer(ppgen.Problem(regression, data={"y": Y, "c": C}, backend=backend), ML)
    state, _ = trainer.step(trainer.init(), {"y": Y, "c": C})
    with pytest.raises(DataError, match=r"entry 'y' of the batch has NaN or infinite values in row 3"):
        trainer.step(state, {"y": spoiled(np.nan, 3), "c": C})
    with pytest.raises(DataError, match=r"entry 'y' of the batch: expected rows of shape \(\), .*got \(1,\)"):
        trainer.step(state, {"y": Y[:, None], "c": C})


def test_stream_without_a_size(backend):
    """A site that all rows share needs N; it would weigh as much against a batch as against all the data."""

    def bayesian(rows):
        loc = sample("loc", dist.Normal(0.0, 1.0))
        with plate("data", rows):
            sample("y", dist.Normal(loc, 1.0))

    def point(rows):
        sample("loc", dist.Delta(param("m", 0.5)))

    settings = dict(data=batches({"y": Y}), backend=backend, epochs=1)
    with pytest.raises(DataError, match=r"sites \['loc'\] .*shared by all rows.*expected their number.*size=N"):
        ppgen.fit(bayesian, point, **settings)
    ppgen.fit(bayesian, point, size=N, **settings)


@pytest.mark.parametrize(
    ("valid", "message"),
    [
        (
            {"y": Y[:5, None], "c": C[:5]},
            r"'y' of the validation data: expected rows of shape \(\), .*got \(1,\)\. Reshape",
        ),
        ({"y": Y[:5]}, r"the validation data: expected the entries .*\['c', 'y'\]; got \['y'\]"),
        ({"Y": Y[:5], "c": C[:5]}, r"the validation data: expected the entries .*\['c', 'y'\]; got \['Y', 'c'\]"),
    ],
    ids=["(N, 1)", "missing", "misspelt"],
)
def test_bad_validation_data(backend, valid, message):
    with pytest.raises(DataError, match=message):
        fit(backend, regression, {"y": Y, "c": C}, valid=valid)


# values outside the support --------------------------------------------------------------------------------------

TWO = np.tile([0, 1], N // 2)
THREE = np.tile([0, 1, 2], N // 3)


@pytest.mark.parametrize(
    ("make", "values", "message"),
    [
        (bernoulli, TWO + 1, r"expected \{0, 1\}; got 2.* in rows 1, 3.*Recode the labels as 0 and 1"),
        (bernoulli, 2 * TWO - 1, r"expected \{0, 1\}; got -1.* in rows 0, 2.*Recode the labels as 0 and 1"),
        (bernoulli, (255 * TWO).astype("uint8"), r"expected \{0, 1\}; got 255.*binarise the pixels"),
        (bernoulli, TWO * 0.5, r"expected \{0, 1\}; got 0\.5.*Recode"),
        (categorical, THREE + 1, r"expected integers in \[0, 2\]; got 3 in rows 2, 5.*Number the classes 0 to 2"),
        (categorical, THREE - 1, r"expected integers in \[0, 2\]; got -1 in rows 0, 3.*Number the classes 0 to 2"),
        (categorical, THREE + 0.5, r"expected integers in \[0, 2\]; got 0\.5.*Number the classes"),
        (lambda a: dist.Poisson(a), TWO * 1.5, r"expected integers in \[0, inf\]; got 1\.5 in rows 1, 3.*round"),
        (lambda a: dist.Poisson(a), -TWO, r"expected integers in \[0, inf\]; got -1.*likelihood with this support"),
        (lambda a: dist.Binomial(10, probs=a), 11 * TWO, r"expected integers in \[0, 10\]; got 11"),
        (
            lambda a: dist.Gamma(a, 1.0),
            -1.0 * TWO,
            r"expected reals in \[0, inf\]; got -1\.0.*likelihood with this support",
        ),
        (lambda a: dist.Beta(a, 1.0), 2.0 * TWO, r"expected reals in \[0, 1\]; got 2\.0.*Rescale"),
    ],
    ids=[
        *("Bernoulli {1, 2}", "Bernoulli {-1, 1}", "Bernoulli pixels", "Bernoulli halves", "class too large"),
        *("class negative", "class no integer", "Poisson halves", "Poisson negative", "Binomial", "Gamma", "Beta"),
    ],
)
def test_outside_the_support(backend, make, values, message):
    if values.dtype == np.float64:
        values = values.astype(np.float32)
    model, message = observed_as(make), r"entry 'y' of the (batch|data) .*site 'y': " + message
    with pytest.raises(DataError, match=message):
        fit(backend, model, {"y": values})


def test_outside_the_support_in_a_later_batch(backend):
    model = observed_as(bernoulli)
    with pytest.raises(DataError, match=r"'y' of the data .*site 'y': expected \{0, 1\}; got 2.* in row 20\. Recode"):
        fit(backend, model, {"y": spoiled(2, 20, TWO)}, batch_size=8)
    with pytest.raises(DataError, match=r"'y' of batch 1 .*got 2.* in row 4\. Recode") as caught:
        fit(backend, model, batches({"y": spoiled(2, 12, TWO)}))
    assert int(caught.value.fit.state.step) == 1


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float64"])
@pytest.mark.parametrize(
    ("make", "values", "canonical"),
    [
        (bernoulli, TWO, "float32"),
        (categorical, TWO, "int32"),
        (lambda a: dist.Poisson(a), TWO, "float32"),
        (lambda a: dist.Normal(a, 1.0), TWO, "float32"),
    ],
    ids=["Bernoulli", "Categorical", "Poisson", "Normal"],
)
def test_types_whose_meaning_is_clear(backend, make, values, canonical, dtype):
    model = observed_as(make)
    expected = first_loss(backend, model, {"y": values.astype(canonical)})
    assert first_loss(backend, model, {"y": values.astype(dtype)}) == pytest.approx(expected, rel=1e-6)


def test_integer_pixels_reach_the_guide_as_the_model_takes_them(backend):
    def model(rows):
        decoder = ppgen.module("decoder", nn.MLP(1, 4, 3))
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0).expand([1]).to_event(1))
            sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1))

    def guide(x):
        with plate("data", len(x)):
            sample("z", dist.Normal(ppgen.module("encoder", nn.MLP(3, 4, 1))(x), 1.0).to_event(1))

    x = RNG.integers(2, size=(N, 3))
    for dtype in ("bool", "uint8", "int64", "float32"):
        ppgen.fit(model, guide, data={"x": x.astype(dtype)}, backend=backend, steps=1, batch_size=8)


# predictions -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["numpyro", "pyro"])
def fitted(request):
    return fit(request.param, regression, {"y": Y, "c": C})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"y": Y}, r"sample\(\) generates \['y'\]; expected .*covariates only, of \['c'\]; got 'y'\. Leave it out"),
        ({"y": Y, "c": C}, r"sample\(\) generates .*got 'y'"),
        ({"C": C}, r"expected .*covariates only, of \['c'\]; got 'C'"),
        ({"c": C[:, None]}, r"entry 'c' .*expected rows of shape \(\), .*got \(1,\)\. Reshape it"),
        ({"c": spoiled(np.nan, 3, C)}, r"entry 'c' .*has NaN or infinite values in row 3"),
    ],
    ids=["observed", "observed too", "misspelt", "(N, 1)", "NaN"],
)
def test_bad_predictions(fitted, data, message):
    assert fitted.sample(data={"c": C})["y"].shape == (N,)
    with pytest.raises(DataError, match=message):
        fitted.sample(data=data)


def test_prediction_without_its_covariates(fitted):
    with pytest.raises(DataError, match=r"the model takes an argument 'c' .*Add 'c' to the data"):
        fitted.sample(rows=3)
    with pytest.raises(DataError, match=r"expected as many rows as the covariates have, 24; got rows=3"):
        fitted.sample(rows=3, data={"c": C})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"y": Y, "C": C},
            r"the data: expected the entries .*\['c', 'y'\]; got \['C', 'y'\], with \['C'\].*\. Correct",
        ),
        (
            {"Y": Y, "c": C},
            r"the data: expected the entries .*\['c', 'y'\]; got \['Y', 'c'\], with \['Y'\].*\. Correct",
        ),
        ({"y": Y}, r"the data: expected the entries .*\['c', 'y'\]; got \['y'\], without \['c'\]\. Correct"),
        ({"c": C}, r"the data: expected the entries .*\['c', 'y'\]; got \['c'\]\. Correct"),
        ({"y": Y[:, None], "c": C}, r"entry 'y' of the data: expected rows of shape \(\), .*got \(1,\)\. Reshape"),
        ({"y": spoiled(np.nan, 3), "c": C}, r"entry 'y' of the data has NaN or infinite values in row 3"),
    ],
    ids=["misspelt covariate", "misspelt", "no covariate", "nothing observed", "(N, 1)", "NaN"],
)
def test_bad_evaluation(fitted, data, message):
    assert fitted.evaluate({"y": Y, "c": C}).nats < 0
    with pytest.raises(DataError, match=message):
        fitted.evaluate(data)


# losses and gradients that stop being finite ----------------------------------------------------------------------


def overflows(rows, c):
    """exp overflows in the row whose covariate is 1000."""
    a = param("a", 1.0)
    with plate("data", rows):
        sample("y", dist.Normal(ops.exp(a * c), 1.0))


def flat(rows, c):
    """A finite loss whose gradient is infinite at c = 0."""
    a = param("a", 1.0)
    with plate("data", rows):
        sample("y", dist.Normal(ops.sqrt(a * c), 1.0))


FAILURES = pytest.mark.parametrize(
    ("model", "bad", "what"),
    [
        (overflows, 1000.0, r"the log density of site 'y' of the model is not finite in row 17"),
        (flat, 0.0, r"every log density is finite, but the gradient of the parameter 'a' is not in row 17"),
    ],
    ids=["loss", "gradient only"],
)


@FAILURES
def test_not_finite_during_training(backend, model, bad, what):
    """The error names step, site and rows, and holds what a run with fewer steps would give."""
    data = {"y": Y, "c": spoiled(bad, 17, C)}
    with pytest.raises(NonFiniteError, match=rf"at step (\d+): {what}.*kept in the error's `fit`\. Lower") as caught:
        fit(backend, model, data, batch_size=4, epochs=3, seed=2)
    step, kept = caught.value.step, caught.value.fit
    assert 0 < step < N // 4, "choose a seed whose first batch is a good one"
    assert int(kept.state.step) == step
    assert np.isfinite(kept.params["a"])
    before = fit(backend, model, data, batch_size=4, epochs=None, steps=step, seed=2)
    np.testing.assert_array_equal(kept.params["a"], before.params["a"])
    assert kept.params["a"] != 1.0


@FAILURES
def test_not_finite_in_a_stream(backend, model, bad, what):
    stream = batches({"y": Y, "c": spoiled(bad, 17, C)})
    with pytest.raises(NonFiniteError, match=rf"at step 2: {what.replace('17', '1')}") as caught:
        fit(backend, model, stream)
    before = fit(backend, model, stream[:2], epochs=1)
    np.testing.assert_array_equal(caught.value.fit.params["a"], before.params["a"])
    assert len(caught.value.fit.history["loss/model"]) == 1


@FAILURES
@pytest.mark.parametrize("stream", [False, True], ids=["arrays", "stream"])
def test_a_step_of_several_turns_is_made_whole_or_not_at_all(backend, model, bad, what, stream):
    """The critic moves before the model; at the step where the model cannot, neither has moved."""

    def critic(y):
        return param("u", 0.5) * y + param("v", 0.1)

    def play(**length):
        data = {"y": Y, "c": spoiled(bad, 17, C)}
        source = {"data": batches(data, 4)} if stream else {"data": data, "batch_size": 4}
        return ppgen.fit(
            model, algorithm=ppgen.GAN(critic, critic_steps=2), backend=backend, seed=2, **source, **length
        )

    def numbers(fit):
        return fit.problem.backend.pack(fit.state)

    with pytest.raises(NonFiniteError, match=what.replace("17", "1" if stream else "17")) as caught:
        play(epochs=1)
    step, kept = caught.value.step, numbers(caught.value.fit)
    assert step > 0
    before = numbers(play(steps=step))
    assert kept.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(kept[name], value, err_msg=name)


def test_not_finite_at_the_first_step(backend):
    with pytest.raises(NonFiniteError, match=r"at step 0: .*'y'") as caught:
        fit(backend, overflows, {"y": Y, "c": spoiled(1000.0, slice(7, N), C)}, batch_size=12)
    assert caught.value.step == 0
    assert caught.value.fit.params["a"] == 1.0


def test_good_covariates_stay_finite(backend):
    for model in (overflows, flat):
        assert np.isfinite(fit(backend, model, {"y": Y, "c": C}, batch_size=4).params["a"])
