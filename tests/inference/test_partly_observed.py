"""Sites that the data give in some rows only, or in some batches: each row has the loss of what it has."""

import numpy as np
import pytest
from scipy import stats

import ppgen
from ppgen import ELBO, IWAE, MaximumLikelihood, ReweightedWakeSleep, Trace, WakeSleep, dist, ops, param, plate, sample
from ppgen.errors import DataError, IllegalPairing, ProgramError

X = np.array([0.7, -1.3, 0.2, 1.9], np.float32)
Y = np.array([1.0, 0.0, 1.0, 1.0], np.float32)
SEEN = np.array([True, False, False, True])
EVERY = np.ones(4, bool)
MASKED = {"x": X, "y": np.ma.array(Y, mask=~SEEN)}
GIVEN, WITHOUT = {"x": X, "y": Y}, {"x": X}
EPS = np.array([[0.3, -1.2, 0.8, 1.1], [1.6, 0.4, -0.5, -0.9]])  # of z
UNIFORM = np.array([[0.2, 0.9, 0.1, 0.6], [0.7, 0.3, 0.8, 0.05]])  # of y, where it is drawn


def model(rows):
    odds, mean = param("odds", 0.3), param("mean", [-0.8, 1.9])
    with plate("data", rows):
        y = sample("y", dist.Bernoulli(logits=odds))
        z = sample("z", dist.Normal(mean[0] + mean[1] * y, 1.0))
        sample("x", dist.Normal(z + 0.5 * y, 0.5))


def guide_of_z(x, y):
    loc = param("loc", [0.2, 0.5, -0.7])
    with plate("data", len(x)):
        sample("z", dist.Normal(loc[0] + loc[1] * x + loc[2] * y, ops.exp(param("log_scale", -0.3))))


def guide(x):
    logits = param("logits", [0.4, -0.9])
    with plate("data", len(x)):
        y = sample("y", dist.Bernoulli(logits=logits[0] + logits[1] * x))
    guide_of_z(x, y)


def rows(data, some):
    return {name: value[some] for name, value in data.items()}


def started(algorithm, backend, model=model, guide=guide, data=MASKED):
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data=data, backend=backend), algorithm)
    return trainer, trainer.init()


def of(trainer, state, data, some, play, **noise):
    """Losses and gradients of some rows at their noise, summed over the rows."""
    particles = getattr(trainer.algorithm, "particles", 1)
    noise = {kind: table[:particles, some] for kind, table in noise.items()}
    losses, grads = play(trainer, state, rows(data, some))(**noise)
    return {name: some.sum() * value for name, value in {**losses, **grads}.items()}


def of_parts(algorithm, backend, play, programs=(model, guide), name="y", of_given=None, **noise):
    """The masked batch; its rows with and without the values that it has; and all rows without."""
    masked, given = {"x": X, name: MASKED["y"]}, {"x": X, name: Y}
    trainer, state = started(algorithm, backend, *programs, masked)
    labelled = started(of_given, backend, *programs, given) if of_given else (trainer, state)
    return (
        of(trainer, state, masked, EVERY, play, **noise),
        of(*labelled, given, SEEN, play, **noise),
        of(trainer, state, WITHOUT, ~SEEN, play, **noise),
        of(trainer, state, WITHOUT, EVERY, play, **noise),
    )


def furthest(whole, *parts):
    """The largest difference between the whole and the sum of its parts."""
    return max(np.abs(value - sum(part[name] for part in parts)).max() for name, value in whole.items())


SCORE, VIMCO, WEIGHTED = ELBO(2, gradient="score"), IWAE(2, gradient="vimco"), ReweightedWakeSleep(2)


@pytest.mark.parametrize(
    ("algorithm", "of_given"), [(SCORE, ELBO(2)), (VIMCO, IWAE(2)), (WEIGHTED, None), (WakeSleep(), None)],
    ids=["ELBO", "IWAE", "ReweightedWakeSleep", "WakeSleep"],
)  # fmt: skip
def test_each_row_has_the_loss_of_what_it_has(backend, algorithm, of_given, play):
    """Of labels in some rows: losses and gradients are those of the labelled rows and of the others, added up.

    The score function is that of y, where it is drawn: labelled rows have the gradient through z alone.
    """
    noise = {"normal": EPS, "uniform": UNIFORM}
    masked, given, without, unlabelled = of_parts(algorithm, backend, play, of_given=of_given, **noise)
    assert furthest(masked, given, without) < 1e-4
    assert furthest(masked, unlabelled) > 0.1, "the labels count"


def test_a_lost_mask_is_caught(play, monkeypatch):
    """The density of a label under the guide belongs to the weights of unlabelled rows only."""
    monkeypatch.setattr(Trace, "_in_rows", lambda self, trace, seen: trace)
    masked, given, without, _ = of_parts(WEIGHTED, "pyro", play, normal=EPS, uniform=UNIFORM)
    assert furthest(masked, given, without) > 0.1


@pytest.mark.parametrize("algorithm", [ELBO(), VIMCO, WEIGHTED], ids=repr)
def test_a_given_site_costs_the_guide_nothing(backend, algorithm, play):
    """A guide that could draw y, and is given it, is the guide of z that takes y as an argument."""
    found = [
        of(*started(algorithm, backend, guide=q, data=GIVEN), GIVEN, EVERY, play, normal=EPS)
        for q in (guide, guide_of_z)
    ]
    shared = {name: value for name, value in found[0].items() if name != "logits"}
    assert shared.keys() == found[1].keys()
    assert furthest(shared, found[1]) < 1e-5
    assert not found[0]["logits"].any()


def two_numbers(rows):
    loc = param("loc", 0.4)
    with plate("data", rows):
        u = sample("u", dist.Normal(loc, 1.2))
        sample("x", dist.Normal(u, 0.5))


def number_guide(x):
    slope, log_scale = param("slope", 0.6), param("log_scale", -0.5)
    with plate("data", len(x)):
        sample("u", dist.Normal(slope * x, ops.exp(log_scale)))


@pytest.mark.parametrize("algorithm", [ELBO(2), ELBO(2, analytic_kl=True), IWAE(2, gradient="dreg")], ids=repr)
def test_continuous_sites_too(backend, algorithm, play):
    """Through reparameterised draws, and with the KL of the missing rows in closed form."""
    parts = of_parts(algorithm, backend, play, (two_numbers, number_guide), "u", normal=EPS)
    assert furthest(*parts[:3]) < 1e-4
    assert furthest(parts[0], parts[3]) > 0.1


def test_programs_of_drawn_and_given_labels_run_all_particles_at_once():
    """On Pyro, whether the first batch has some of the labels, all or none."""
    for data in (MASKED, GIVEN, WITHOUT):
        problem = ppgen.Problem(model, guide, data=data, backend="pyro")
        assert all(program.vectorises for program in problem.programs.values())


@pytest.mark.filterwarnings("ignore:sites ..x.. of the model depend on other rows")  # as this one is meant to
def test_a_program_that_takes_drawn_labels_for_rows_runs_one_particle_at_a_time():
    """Even if they are given in the first batch."""

    def by_first_axis(rows):
        with plate("data", rows):
            y = sample("y", dist.Bernoulli(0.4))
            z = sample("z", dist.Normal(param("prior", 0.1), 1.0))
            sample("x", dist.Normal(z + y - y.mean(0), 0.5))

    for data in (MASKED, GIVEN, WITHOUT):
        problem = ppgen.Problem(by_first_axis, guide, data=data, backend="pyro")
        assert not problem.model.vectorises


# summed out ----------------------------------------------------------------------------------------------------------


def mixture(rows):
    odds, mean = param("odds", 0.3), param("mean", [-0.8, 1.9])
    with plate("data", rows):
        y = sample("y", dist.Bernoulli(logits=odds))
        sample("x", dist.Normal(mean[0] + mean[1] * y, 1.0))


def log_joint(y):
    return y * 0.3 - np.logaddexp(0, 0.3) + stats.norm(-0.8 + 1.9 * y, 1).logpdf(X)


LOG_EVIDENCE = np.logaddexp(log_joint(0), log_joint(1))


@pytest.mark.parametrize(
    ("data", "expected"),
    [(MASKED, np.where(SEEN, log_joint(Y), LOG_EVIDENCE)), (GIVEN, log_joint(Y)), (WITHOUT, LOG_EVIDENCE)],
    ids=["some", "all", "none"],
)
def test_missing_classes_are_summed_out(backend, data, expected):
    """By one trainer, whose first batch has some of them."""
    trainer, state = started(MaximumLikelihood(), backend, mixture, None)
    assert -float(trainer.losses(state, data)["model"]) == pytest.approx(expected.mean(), rel=1e-5)


# batches that observe different sites --------------------------------------------------------------------------------


def test_batches_of_one_run_may_observe_different_sites(backend):
    """A stream of labelled, unlabelled and half-labelled batches is stepped through as by hand."""
    stream = [GIVEN, WITHOUT, MASKED, WITHOUT]
    algorithm, settings = ReweightedWakeSleep(2), {"backend": backend, "optimizer": ppgen.SGD(0.1)}
    fit = ppgen.fit(model, guide, data=stream, algorithm=algorithm, epochs=1, **settings)

    trainer = ppgen.Trainer(
        ppgen.Problem(model, guide, data=GIVEN, backend=backend, full_batch=False), algorithm, ppgen.SGD(0.1)
    )
    state = trainer.init()
    for batch in stream:
        state, _ = trainer.step(state, batch)
    for name, value in trainer.problem.export(state.parameters).items():
        np.testing.assert_allclose(fit.params[name], value, rtol=1e-6)
        assert (value != trainer.problem.export(trainer.problem.start)[name]).all()


def test_minibatches_take_their_masks_along(backend):
    """Four rows, two at a time; what is under the mask is never looked at."""
    hidden = np.ma.array(np.where(SEEN, Y, np.nan), mask=~SEEN)
    fits = [
        ppgen.fit(mixture, data={"x": X, "y": y}, algorithm=MaximumLikelihood(), backend=backend, steps=6, batch_size=2)
        for y in (MASKED["y"], hidden)
    ]
    np.testing.assert_array_equal(fits[0].params["mean"], fits[1].params["mean"])
    found = fits[0].evaluate(MASKED)
    assert found.kind == "exact" and found.dimensions == 1.5


def test_an_algorithm_is_legal_for_every_batch(backend):
    """With labels only z is latent, whose draws carry gradients; without, y is drawn too."""
    with pytest.raises(IllegalPairing, match=r"site 'y' of the guide \(discrete.*no reparameterised draw"):
        ppgen.fit(model, guide, data=[GIVEN, WITHOUT], algorithm=ELBO(), backend=backend, epochs=1)
    ppgen.fit(model, guide, data=[GIVEN, GIVEN], algorithm=ELBO(), backend=backend, epochs=1)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (
            {"x": X, "w": Y},
            DataError,
            r"entries of the first batch, \['x', 'y'\]; got .*with \['w'\], which no program",
        ),
        ({}, DataError, r"entries of the first batch, \['x', 'y'\]; got \[\]\. Correct the names, or add"),
        ({"y": Y, "x": X, "seen:w": SEEN}, DataError, r"with \['seen:w'\], which no program takes"),
    ],
    ids=["unknown", "nothing", "unknown mask"],
)
def test_entries_that_no_batch_may_have(backend, batch, error, message):
    problem = ppgen.Problem(model, guide, data=GIVEN, backend=backend)
    with pytest.raises(error, match=message):
        problem.observing(batch)


def test_problems_of_other_entries_are_made_once():
    problem = ppgen.Problem(model, guide, data=GIVEN)
    other = problem.observing(WITHOUT)
    assert problem.observing(["x"]) is other and problem.observing(GIVEN) is problem
    assert [site.name for site in other.model.latent(other.data)] == ["y", "z"]
    assert problem.data == {"x", "y"}, "the problem has not changed"


def test_a_guide_without_the_site_cannot_meet_rows_without_it(backend):
    problem = ppgen.Problem(model, guide_of_z, data=GIVEN, backend=backend)
    with pytest.raises(ProgramError, match=r"the guide misses latent site \['y'\] of the model"):
        problem.observing(WITHOUT)


@pytest.mark.parametrize(
    ("model", "guide", "data", "message"),
    [
        (
            model, guide_of_z, MASKED,
            r"the guide takes an argument 'y', which is given in some rows only.*Sample it in the guide",
        ),
        (
            lambda rows, c: mixture(rows), None, {**GIVEN, "c": MASKED["y"]},
            r"the model takes an argument 'c', which is given in some rows only",
        ),
        (
            mixture, None, {"x": X, "y": np.ma.array(Y + 1, mask=~SEEN)},
            r"entry 'y' .* expected \{0, 1\}; got 2\.0 in rows 0, 3",
        ),
    ],
    ids=["argument", "covariate", "outside the support"],
)  # fmt: skip
def test_masks_that_make_no_sense(backend, model, guide, data, message):
    with pytest.raises(DataError, match=message):
        ppgen.Problem(model, guide, data=data, backend=backend)
