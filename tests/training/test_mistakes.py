"""Numbers that would lie: mistakes in programs, data and settings, each refused, warned of, or understood, on both backends."""

import time

import numpy as np
import pytest

import ppgen
from ppgen import dist, module, nn, ops, param, plate, sample
from ppgen.errors import DataError, IllegalPairing, NonFiniteError, ProgramError, ProgramWarning
from ppgen.evaluation import Evaluation
from ppgen.problem.arrays import DataWarning, to_host

ML = ppgen.MaximumLikelihood()
N, D = 8, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D)).astype("float32")
Y = RNG.normal(size=N).astype("float32")
LABELS = (Y > 0).astype("float32")


def likelihood(make):
    """A model y ~ make(a, x), with a parameter a."""

    def model(rows, x):
        a = param("a", 0.5)
        with plate("data", rows):
            sample("y", make(a, x))

    return model


def net(x, outputs=1):
    out = module("net", nn.MLP(D, 4, outputs))(x)
    return out[..., 0] if outputs == 1 else out


def prior(rows):
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0))
        sample("y", dist.Normal(z, 1.0))


def interval(rows):
    with plate("data", rows):
        z = sample("z", dist.Uniform(0.0, 1.0))
        sample("y", dist.Normal(z, 1.0))


def shared(rows):
    w = sample("w", dist.Normal(0.0, 1.0))
    with plate("data", rows):
        sample("y", dist.Normal(w, 1.0))


def guide_of(make):
    """A guide of z in the rows."""

    def guide(y):
        with plate("data", len(y)):
            sample("z", make(y))

    return guide


def look(backend, model, guide=None, data=None, **options):
    data = {"y": Y} if data is None else data
    return ppgen.Problem(model, guide, data=data, backend=backend, **options)


XY = {"y": Y, "x": X}
BITS = {"y": LABELS, "x": X}


def row_to_row(x):
    """Each row's first number beside that of the row before it."""
    return ops.concatenate([x[:1, 0], x[:-1, 0]])


OWN = np.random.default_rng(0)


class Holder:
    """What a program finds a network, or a generator, in."""

    def __init__(self, held):
        self.inner = {"held": [held]}


BOX = Holder(OWN)

PROGRAMS = {
    "logits as probs": (
        likelihood(lambda a, x: dist.Bernoulli(probs=net(x))), None, BITS,
        r"(?s)probs.*in their range.*logits="),
    "a network's output as a scale": (
        likelihood(lambda a, x: dist.Normal(a, net(x))), None, XY, r"(?s)scale.*in their range.*ops\.softplus"),
    "own entry": (
        lambda rows, y: likelihood(lambda a, y: dist.Normal(a * y, 1.0))(rows, y), None, {"y": Y},
        r"site 'y' of the model is computed from the very entry 'y'.*Take 'y' out"),
}  # fmt: skip

RIGHT = {
    "squashed probs": (likelihood(lambda a, x: dist.Bernoulli(probs=ops.sigmoid(net(x)))), None, BITS),
    "a mixture of probs": (
        likelihood(lambda a, x: dist.Bernoulli(probs=ops.sum(ops.softmax(net(x, 2)) * 0.5, -1))), None, BITS),
    "a constant from a seed": (
        likelihood(lambda a, x: dist.Normal(a * float(np.random.default_rng(0).normal()), 1.0)), None, XY),
    "a positive scale": (likelihood(lambda a, x: dist.Normal(a, ops.softplus(net(x)))), None, XY),
    "classes by logits": (likelihood(lambda a, x: dist.Categorical(logits=net(x, 3))), None, BITS),
    "classes by softmax": (likelihood(lambda a, x: dist.Categorical(probs=ops.softmax(net(x, 3)))), None, BITS),
    "rows apart": (likelihood(lambda a, x: dist.Normal(a * (x - ops.mean(x, 1, keepdims=True))[:, 0], 1.0)), None, XY),
    "a parameter a column": (likelihood(lambda a, x: dist.Normal(x @ param("w", np.ones(D)), 1.0)), None, XY),
    "a guide of the rows": (prior, guide_of(lambda y: dist.Normal(y * param("g", 0.5), 1.0)), {"y": Y}),
    "a guide of what is shared": (shared, lambda y: sample("w", dist.Normal(param("m", 0.0), 1.0)), {"y": Y}),
    "a Beta for an interval": (interval, guide_of(lambda y: dist.Beta(ops.exp(y), param("b", 1.0, "positive"))), {"y": Y}),
}  # fmt: skip


@pytest.mark.parametrize("case", PROGRAMS)
def test_mistaken_programs(backend, case):
    model, guide, data, message = PROGRAMS[case]
    with pytest.raises(ProgramError, match=message):
        look(backend, model, guide, data)


@pytest.mark.parametrize("case", RIGHT)
def test_right_programs_pass(backend, case):
    """What is like the mistakes, and is none; also in minibatches."""
    model, guide, data = RIGHT[case]
    problem = look(backend, model, guide, data, size=100)
    assert not any(program.mixed for program in problem.programs.values())


@pytest.mark.parametrize(
    ("make", "data"),
    [
        (likelihood(lambda a, x: dist.Normal(a * (x - ops.mean(x, 0))[:, 0], 1.0)), XY),
        (likelihood(lambda a, x: dist.Normal(a * row_to_row(x), 1.0)), XY),
        (lambda rows, x: mixed_latent(rows), XY),
    ],
    ids=["mean of a covariate", "the row before", "mean of a latent site"],
)
def test_rows_that_are_mixed(backend, make, data):
    with pytest.warns(ProgramWarning, match=r"sites \['y'\] of the model depend on other rows"):
        problem = look(backend, make, None, data)
    assert problem.model.mixed == {"y"}


def mixed_latent(rows):
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0))
        sample("y", dist.Normal(z - ops.mean(z) + param("a", 0.0), 1.0))


def test_mixed_rows_are_never_called_exact(backend):
    model = likelihood(lambda a, x: dist.Normal(a * (x - ops.mean(x, 0))[:, 0], 1.0))
    with pytest.warns(ProgramWarning, match="depend on other rows"):
        found = ppgen.evaluate(model, data=XY, backend=backend)
    assert found.kind == "estimate"
    assert "depend on other rows" in found.note


def test_categories_that_do_not_sum_to_one():
    """Pyro normalises them, which is right; NumPyro does not."""
    model = likelihood(lambda a, x: dist.Categorical(probs=ops.exp(net(x, 3))))
    with pytest.raises(ProgramError, match=r"expected the probs .*divide probabilities of classes by their sum"):
        look("numpyro", model, None, BITS)
    look("pyro", model, None, BITS)


def test_an_autoregression_of_ones_own_is_warned_of(backend):
    def model(rows, x):
        before = ops.concatenate([x[:, :1] * 0, x[:, :-1]], 1)
        with plate("data", rows):
            sample("x", dist.Normal(before * param("a", 0.5), 1.0).to_event(1))

    with pytest.warns(ProgramWarning, match=r"site 'x' .*very entry 'x'.*an autoregression"):
        look(backend, model, None, {"x": X})


def test_a_guide_of_a_shared_site_that_reads_the_minibatch(backend):
    def guide(y):
        sample("w", dist.Normal(ops.mean(y) * param("a", 1.0), 1.0))

    look(backend, shared, guide)
    with pytest.raises(ProgramError, match=r"site 'w' of the guide is shared by all rows.*\['y'\].*batch_size"):
        look(backend, shared, guide, size=100)


@pytest.mark.parametrize("start", [lambda y: np.zeros(N), lambda y: np.zeros(len(y))], ids=["sliced", "as long as"])
def test_a_parameter_per_datum(backend, start):
    def guide(y):
        m = param("m", start(y))
        with plate("data", len(y)):
            sample("z", dist.Normal(m[: len(y)], 1.0))

    with pytest.raises(ProgramError, match=r"site 'z' of the guide has one value of m per datum.*amortisation"):
        look(backend, prior, guide, full_batch=False)
    problem = look(backend, prior, guide)
    assert problem.guide.placed == {"m"}
    evaluate = ppgen.evaluation.likelihood
    evaluate(problem, problem.start, {"y": Y}, particles=1)
    for other in (Y[::-1].copy(), Y[:4]):
        with pytest.raises(
            DataError, match=r"\['m'\] have one value per datum.*in their order|'m' .* has numbers for each"
        ):
            evaluate(problem, problem.start, {"y": other}, particles=1)


def test_an_interval_that_moves(backend):
    with pytest.warns(ProgramWarning, match=r"site 'z' of the guide lies in an interval whose high change"):
        look(backend, interval, guide_of(lambda y: dist.Uniform(0.0, 0.5 * param("s", 1.0))))
    with pytest.raises(ProgramError, match=r"expected the guide's support to be the model's, reals in \[0, 1\]"):
        look(backend, interval, guide_of(lambda y: dist.Uniform(0.0, 0.5)))


def test_square_data_with_plates_swapped(backend):
    def model(rows):
        with plate("columns", D, dim=-2), plate("data", rows, dim=-1):
            sample("s", dist.Normal(param("a", 0.0), 1.0))

    with pytest.raises(
        ProgramError, match=r"expected the plate of rows 'data' to be the first axis .*axis 1 of \(3, 3\)"
    ):
        look(backend, model, None, {"s": X[:D]})


# randomness -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noise", "what"),
    [
        (lambda: float(BOX.inner["held"][0].normal()), "a generator of its own"),
        (lambda: float(np.random.default_rng().normal()), "a new generator"),
        (lambda: time.time() % 1, r"the clock, time\.time"),
    ],
    ids=["held generator", "new generator", "clock"],
)
def test_randomness_from_elsewhere(backend, noise, what):
    """Frozen where programs are compiled; elsewhere a run that no seed repeats."""
    model = likelihood(lambda a, x: dist.Normal(a + noise(), 1.0))
    if backend == "numpyro":
        with pytest.raises(ProgramError, match=f"the model draws from {what}.*only once"):
            look(backend, model, None, XY)
    else:
        with pytest.warns(ProgramWarning, match=f"the model draws from {what}.*neither repeated nor resumed"):
            look(backend, model, None, XY)


def test_a_key_of_its_own(backend):
    def noise():
        if backend == "numpyro":
            import jax

            return jax.random.normal(jax.random.key(0))
        import torch

        torch.manual_seed(0)
        return torch.randn(())

    with pytest.raises(ProgramError, match=r"random numbers that are the same in each run"):
        look(backend, likelihood(lambda a, x: dist.Normal(a + noise(), 1.0)), None, XY)


@pytest.mark.parametrize("where", ["a dict", "a helper", "an attribute", "apply"])
def test_networks_that_hide(backend, where):
    if backend == "pyro":
        import torch

        own, call = torch.nn.Linear(D, 1), lambda own, x: own(x)
        if where == "apply":
            pytest.skip("torch networks hold their parameters")
    else:
        import equinox
        import jax

        own, call = equinox.nn.Linear(D, 1, key=jax.random.key(0)), lambda own, x: jax.vmap(own)(x)
    spec = nn.MLP(D, 4, 1)
    numbers = {name: entry.draw(np.random.default_rng(0)) for name, entry in spec.specs().items()}
    nets, box = {"own": own}, Holder(own)
    out = {
        "a dict": lambda x: call(nets["own"], x),
        "a helper": lambda x: call(own, x),
        "an attribute": lambda x: call(box.inner["held"][0], x),
        "apply": lambda x: spec.apply({name: ops.asarray(value) for name, value in numbers.items()}, x),
    }[where]
    with pytest.raises(ProgramError, match=r"without registering it, so it would never learn"):
        look(backend, likelihood(lambda a, x: dist.Normal(a + out(x)[..., 0], 1.0)), None, XY)


# data ---------------------------------------------------------------------------------------------------------------------


def native_counts(backend):
    import importlib

    core, d = importlib.import_module(backend), importlib.import_module(f"{backend}.distributions")
    start = ppgen.backends.get(backend).array(np.float32(1.0))

    def model(y):
        rate = core.param("rate", start, constraint=d.constraints.positive)
        with core.plate("data", len(y)):
            core.sample("y", d.Poisson(rate), obs=y - 1)

    return model


def test_a_computed_observation_out_of_its_support(backend):
    """At once in the first rows; in later ones where they come, with their rows; evaluation gives them no probability."""
    model, good = native_counts(backend), np.arange(1, N + 1).astype("float32")
    bad = good.copy()
    bad[5] = 0
    with pytest.raises(DataError, match=r"site 'y' .*outside its support: expected integers in \[0, inf\]; got -1"):
        look(backend, model, None, {"y": bad})
    late = [{"y": good}, {"y": bad}]
    with pytest.raises(NonFiniteError, match=r"observes values outside its support.*in row 5.*Correct these rows"):
        ppgen.fit(model, data=late, algorithm=ML, backend=backend, epochs=1)
    problem = look(backend, model, None, {"y": good})
    per_row = ppgen.evaluation.likelihood(problem, problem.start, {"y": bad}).per_row
    assert np.isneginf(per_row[5])
    assert np.isfinite(np.delete(per_row, 5)).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            np.arange(N) + 3_000_000_000,
            r"entry 'x': expected whole numbers that fit in 32 bits; got values up to 3000000007",
        ),
        (1.7e9 + np.arange(N), r"entry 'x': .*float32 can tell; got values near 1\.7.*Subtract an offset"),
        (np.array(["a"] * N, object), r"Encode its categories as numbers"),
    ],
    ids=["int64", "time stamps", "categories"],
)
def test_entries_that_would_change(value, message):
    with pytest.raises(DataError, match=message):
        to_host({"x": value})


def test_entries_that_keep_their_meaning():
    import ml_dtypes
    import torch

    halves = np.array([0.5, 1.5])
    for half in (halves.astype(ml_dtypes.bfloat16), torch.tensor(halves, dtype=torch.bfloat16)):
        np.testing.assert_array_equal(to_host({"x": half})["x"], halves)
    narrow = to_host({"x": np.full(N, 200, np.uint8)})["x"]
    assert (narrow + narrow == 400).all()
    with pytest.warns(DataWarning, match="used in float32"):
        to_host({"x": np.full((N, 1), 0.1)})  # a constant column has no differences to lose


def test_sparse_arrays():
    import torch
    from scipy import sparse

    for value in (sparse.eye(N).tocsr(), torch.eye(N).to_sparse()):
        with pytest.raises(DataError, match=r"entry 'x': .*got a sparse .*Make it dense"):
            to_host({"x": value})


def test_frames_and_loaders(backend):
    """A frame's columns are entries; a loader of dicts is a stream; one of tuples has no names."""
    pandas, torch = pytest.importorskip("pandas"), pytest.importorskip("torch")

    def model(rows, x):
        with plate("data", rows):
            sample("y", dist.Normal(param("a", 0.5) * x, 1.0))

    data = {"y": Y, "x": X[:, 0].copy()}
    settings = dict(algorithm=ML, backend=backend, epochs=1)
    start = ppgen.fit(model, data=data, **settings)
    framed = ppgen.fit(model, data=pandas.DataFrame(data), **settings)
    rows = [{name: value[i] for name, value in data.items()} for i in range(N)]
    streamed = ppgen.fit(model, data=torch.utils.data.DataLoader(rows, batch_size=N), **settings)
    for other in (framed, streamed):
        np.testing.assert_allclose(other.params["a"], start.params["a"], rtol=1e-6)
    pairs = torch.utils.data.TensorDataset(*map(torch.as_tensor, data.values()))
    with pytest.raises(DataError, match=r"got list of 2 values without names, as a DataLoader of tuples.*collate_fn"):
        ppgen.fit(model, data=torch.utils.data.DataLoader(pairs, batch_size=4), **settings)


def test_a_default_that_hides_a_slip(backend):
    def model(rows, temprature=None):
        prior(rows)

    def guide(y, temperature):
        guide_of(lambda y: dist.Normal(y + temperature, param("s", 1.0, "positive")))(y)

    with pytest.raises(DataError, match=r"the model takes an argument 'temprature'.*entry 'temperature'"):
        look(backend, model, guide, {"y": Y, "temperature": Y})


# settings -----------------------------------------------------------------------------------------------------------------

LINE = likelihood(lambda a, x: dist.Normal(a * x[..., 0], 1.0))


def fit(backend, **options):
    return ppgen.fit(LINE, **({"data": XY, "algorithm": ML, "backend": backend, "steps": 1} | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, r"expected size to be .*at least the 8 of this batch; got 0"),
        ({"size": -5}, r"expected size .*got -5"),
        ({"size": 7}, r"expected size .*got 7"),
        ({"optimizer": {"modle": ppgen.Adam()}}, r"optimizer to be a dict by role.*got \['modle'\]"),
        ({"optimizer": "adam"}, r"expected optimizer .*got 'adam'.*ppgen\.Adam\(0\.001\)"),
        ({"optimizer": 0.01}, r"got 0\.01\. Write optimizer=ppgen\.Adam\(0\.01\)"),
        ({"optimizer": ppgen.Adam}, r"expected optimizer .*class.*Write optimizer="),
        ({"train": ()}, r"expected train to name at least one role"),
        ({"seed": None}, r"expected seed to be 0 or a positive integer; got None"),
        ({"seed": -1}, r"expected seed .*got -1"),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, dict) else "",
)
def test_settings(backend, options, message):
    with pytest.raises(ValueError, match=message):
        fit(backend, **options)


def test_optimisers_of_the_other_backend():
    import numpyro
    import optax
    import pyro.optim

    for backend, wrong in (
        ("pyro", optax.adam(1e-3)), ("pyro", pyro.optim.Adam({})), ("numpyro", numpyro.optim.Adam(1e-3)),
    ):  # fmt: skip
        with pytest.raises(ProgramError, match=r"expected optimizer to be one of ppgen's.*Write optimizer=ppgen\.Adam"):
            fit(backend, optimizer=wrong)


@pytest.mark.parametrize("wrong", [{"clip": -1}, {"clip": 0}, {"b1": 1.0}, {"learning_rate": 0}, {"weight_decay": -1}])
def test_optimiser_settings(wrong):
    with pytest.raises(ValueError, match=rf"Adam: expected {next(iter(wrong))} to be"):
        ppgen.Adam(**wrong)


def test_parameters_that_share_no_name(backend):
    first = fit(backend)
    other = look(backend, prior, guide_of(lambda y: dist.Normal(y, param("other", 1.0, "positive"))))
    with pytest.raises(
        ProgramError, match=r"expected a fit that shares parameters .*\['other'\]; got one with \['a'\]"
    ):
        other.parameters(first)


def test_a_parameter_more_at_load(backend, tmp_path):
    path = fit(backend).save(tmp_path / "fit")
    with pytest.raises(ValueError, match=r"got \['b'\] besides, which would stay untrained"):
        ppgen.load(path, likelihood(lambda a, x: dist.Normal(a * x[..., 0] + param("b", 0.0), 1.0)))


def test_messages(backend):
    """They say what is at fault, and nothing of plates where plates are not."""

    def counts(rows):
        with plate("data", rows):
            sample("y", dist.Normal(sample("k", dist.Poisson(3.0)), param("s", 1.0, "positive")))

    with pytest.raises(IllegalPairing, match=r"need a guide.*Write a guide, a function that samples \['k'\]"):
        ppgen.fit(counts, data={"y": Y}, backend=backend, steps=1)
    with pytest.raises(ProgramError, match=r"GRU\(state, x\)\)\. Correct the call") as caught:
        look(backend, likelihood(lambda a, x: dist.Normal(module("rnn", nn.GRU(D, 2))(x)[..., 0], 1.0)), None, XY)
    assert "plate(" not in str(caught.value)
    huge = {"y": Y, "x": (X * 1e30).astype("float32")}
    with pytest.raises(ValueError, match=r"Normalise the data.*'x' reaches"):
        ppgen.fit(
            likelihood(lambda a, x: dist.Normal(a, ops.exp(x[..., 0]))),
            data=huge,
            algorithm=ML,
            backend=backend,
            steps=1,
        )


def test_a_number_of_a_parameter_is_not_known_while_compiling():
    with pytest.raises(ProgramError, match=r"does not know its numbers: expected array functions") as caught:
        look("numpyro", likelihood(lambda a, x: dist.Normal(float(a), 1.0)), None, XY)
    assert "plate(" not in str(caught.value)


# evaluation ---------------------------------------------------------------------------------------------------------------


def test_k_hat_of_few_particles():
    few = Evaluation.of_rows(
        -np.ones(2), dimensions=1, kind="lower bound", estimator="e", particles=9, khat=np.full(2, np.inf)
    )
    assert "k-hat: cannot be told from fewer than 25 particles" in repr(few)
    assert "good" not in repr(few)


def pixels(rows):
    with plate("data", rows):
        sample("x", dist.Normal(param("m", 0.5), 0.3).expand([D]).to_event(1))


def test_quantised_data(backend):
    """Bits of dequantised data are called a bound; data on the levels, or out of [0, 1], are no such data."""
    levels = RNG.integers(0, 256, size=(N, D))
    from ppgen.distributions.flows import dequantise

    found = ppgen.evaluate(pixels, data={"x": dequantise(levels)}, backend=backend, quantization=256)
    assert (found.kind, found.levels) == ("exact", 256)
    assert "bits per dimension (an upper bound" in repr(found)
    for data, message in (
        (levels / 255, "one of the levels"),
        (levels / 256, "one of the levels"),
        (X, r"scaled to \[0, 1\]"),
    ):
        with pytest.raises(DataError, match=message):
            ppgen.evaluate(pixels, data={"x": data.astype("float32")}, backend=backend, quantization=256)
