"""`ppgen.fit`: epochs, steps, streams, validation, callbacks, optimisers, what it returns."""

import numpy as np
import optax
import pytest

import ppgen
from ppgen.errors import DataError, ProgramError


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_history_has_a_line_an_epoch(quick, bits):
    fit = quick(valid={"x": bits[:5]})
    assert fit.history["step"].tolist() == [3, 6, 9]  # batches of 8, 8 and 3 rows
    assert fit.history["epoch"].tolist() == [1, 2, 3]
    assert (np.diff(fit.history["seconds"]) > 0).all()
    for name in ("loss/model", "loss/guide", "valid/model", "valid/guide"):
        assert fit.history[name].shape == (3,)
        assert np.isfinite(fit.history[name]).all()


def test_it_learns_and_can_be_repeated(quick):
    first, second = quick(epochs=60, optimizer=ppgen.Adam(1e-2)), quick(epochs=60, optimizer=ppgen.Adam(1e-2))
    assert first.history["loss/model"][-5:].mean() < first.history["loss/model"][0] - 0.3
    assert same(first.params, second.params)
    assert not same(first.params, quick(epochs=60, optimizer=ppgen.Adam(1e-2), seed=1).params)


def test_short_epochs_in_one_chunk_are_the_same_run(quick, bits):
    """Without a smaller last batch several epochs share a compiled call; a callback forces one epoch a call."""
    together = quick(data={"x": bits[:16]}, epochs=5)
    apart = quick(data={"x": bits[:16]}, epochs=5, callbacks=[lambda fit: None])
    assert same(together.params, apart.params)
    np.testing.assert_array_equal(together.history["loss/model"], apart.history["loss/model"])
    assert together.history["epoch"].tolist() == [1, 2, 3, 4, 5]


def test_steps_end_inside_an_epoch(quick):
    fit = quick(steps=5)
    assert int(fit.state.step) == 5
    assert fit.history["epoch"].tolist() == pytest.approx([1, 5 / 3])


def test_every_row_comes_once_an_epoch():
    from ppgen.training.batches import Epochs

    plan = Epochs(rows=19, batch_size=8, seed=0)
    parts = plan.index(0)
    assert [part.shape for part in parts] == [(2, 8), (1, 3)]
    assert sorted(np.concatenate([part.ravel() for part in parts])) == list(range(19))
    assert not np.array_equal(plan.index(0)[0], plan.index(1)[0])
    assert [part.shape for part in Epochs(rows=5, batch_size=5, seed=0).index(3)] == [(1, 5)]


def test_the_last_batch_counts_by_its_rows(quick, bits):
    """An epoch's loss is the mean over rows, so the batch of 3 weighs 3/19."""
    fit = quick(epochs=1, optimizer=ppgen.SGD(1e-12))
    trainer = ppgen.Trainer(fit.problem, fit.algorithm, ppgen.SGD(1e-12))
    from ppgen.training.batches import Epochs

    losses, rows = [], []
    fresh = trainer.init()
    for part in Epochs(19, 8, 0).index(0):
        for index in part:
            fresh, metrics = trainer.step(fresh, {"x": bits[index]})
            losses.append(float(metrics["loss/model"]))
            rows.append(len(index))
    assert fit.history["loss/model"][0] == pytest.approx(np.average(losses, weights=rows), abs=1e-4)
    assert np.average(losses) != pytest.approx(np.average(losses, weights=rows), abs=1e-3)  # the two can be told apart
    assert int(fit.state.step) == 3


def test_a_stream_is_the_same_as_its_batches(quick, bits):
    batches = [{"x": bits[:8]}, {"x": bits[8:16]}, {"x": bits[16:]}]
    fit = quick(data=batches, batch_size=None, epochs=2)
    assert fit.history["step"].tolist() == [3, 6]
    generated = quick(data=(b for _ in range(2) for b in batches), batch_size=None, steps=6)
    assert same(fit.params, generated.params)


def test_callbacks_see_the_fit_and_can_end_it(quick):
    seen = []

    def watch(fit):
        seen.append((int(fit.state.step), fit.params["decoder.0.weight"].copy(), fit))
        return len(seen) == 2

    fit = quick(epochs=10, callbacks=[watch])
    assert [step for step, _, _ in seen] == [3, 6]
    assert int(fit.state.step) == 6
    first = seen[0][2]
    np.testing.assert_array_equal(first.params["decoder.0.weight"], seen[0][1])  # kept, not overwritten by later steps
    first.__dict__.pop("params", None)
    np.testing.assert_array_equal(first.params["decoder.0.weight"], seen[0][1])


def native_sgd(backend):
    if backend == "numpyro":
        return optax.sgd(0.05)
    import torch

    return lambda parameters: torch.optim.SGD(parameters, lr=0.05)


def test_native_optimisers(quick, backend):
    ours = quick(optimizer=ppgen.SGD(0.05))
    native = quick(optimizer=native_sgd(backend))
    for name, value in ours.params.items():
        np.testing.assert_allclose(native.params[name], value, rtol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda: ppgen.Adam(0.02), lambda: ppgen.Adam(0.02, clip=0.1), lambda: ppgen.Adam(0.02, weight_decay=0.1),
             lambda: ppgen.SGD(0.1, momentum=0.9), lambda: ppgen.Adam(optax.cosine_decay_schedule(0.05, 12))],
    ids=["adam", "clip", "decay", "momentum", "schedule"],
)  # fmt: skip
def test_optimisers_make_the_same_updates_on_both_backends(make):
    """A deterministic loss: parameters agree after twelve steps."""
    from ppgen import dist, param, plate, sample

    def model(rows):
        loc, scale = param("loc", np.array([0.5, -2.0])), param("scale", np.array([1.0, 2.0]), "positive")
        with plate("data", rows):
            sample("x", dist.Normal(loc, scale).to_event(1))

    data = {"x": np.array([[1.0, 2.0], [0.0, 3.0], [2.0, 1.0]], np.float32)}
    found = [
        ppgen.fit(
            model, data=data, algorithm=ppgen.MaximumLikelihood(), backend=backend, steps=12, optimizer=make()
        ).params
        for backend in ("numpyro", "pyro")
    ]
    for name in found[0]:
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=2e-5)
    assert not np.allclose(found[0]["loc"], [0.5, -2.0], atol=1e-2)


def test_optimisers_by_role(quick):
    """A role with a tiny step size stays; the other moves."""
    before = quick(steps=1, optimizer=ppgen.SGD(1e-12)).params
    after = quick(optimizer={"model": ppgen.SGD(1e-12), "guide": ppgen.SGD(0.1)}).params
    np.testing.assert_allclose(after["decoder.0.weight"], before["decoder.0.weight"], atol=1e-7)
    assert np.abs(after["encoder.0.weight"] - before["encoder.0.weight"]).max() > 1e-4


def test_roles_held_fixed(quick):
    first = quick()
    again = quick(params=first, train=("guide",), algorithm=ppgen.ReweightedWakeSleep(3))
    for name, value in first.params.items():
        assert np.array_equal(again.params[name], value) == name.startswith("decoder"), name


def test_parameters_given_by_name(quick):
    weight = np.full((2, 6), 0.125, np.float32)
    fit = quick(steps=1, optimizer=ppgen.SGD(1e-12), params={"decoder.0.weight": weight})
    np.testing.assert_allclose(fit.params["decoder.0.weight"], weight, atol=1e-6)
    with pytest.raises(ProgramError, match=r"parameters \['decodr'\].*expected some of"):
        quick(params={"decodr": weight})
    with pytest.raises(ProgramError, match=r"'decoder.0.weight': expected shape \(2, 6\); got \(6, 2\)"):
        quick(params={"decoder.0.weight": weight.T})


def test_sample(quick):
    fit = quick()
    draws = fit.sample(rows=5, seed=1)
    assert {name: value.shape for name, value in draws.items()} == {"z": (5, 2), "x": (5, 4)}
    assert set(np.unique(draws["x"])) <= {0.0, 1.0}
    assert same(draws, fit.sample(rows=5, seed=1))
    assert not np.array_equal(draws["z"], fit.sample(rows=5, seed=2)["z"])
    means = fit.sample(rows=5, seed=1, emit="mean")["x"]
    assert ((means > 0) & (means < 1)).all()
    with pytest.raises(ValueError, match="expected emit"):
        fit.sample(rows=5, emit="median")
    with pytest.raises(DataError, match=r"expected rows, or data"):
        fit.sample()


def test_what_fit_does_not_take(quick, bits):
    with pytest.raises(ProgramError, match="expected epochs or steps"):
        quick(epochs=None)
    with pytest.raises(ProgramError, match="expected batch_size to be a positive integer; got 0"):
        quick(batch_size=0)
    with pytest.raises(DataError, match="a stream brings its own batches"):
        quick(data=[{"x": bits}])
    with pytest.raises(DataError, match="the stream was empty"):
        quick(data=[], batch_size=None)
    with pytest.raises(ProgramError, match="expected an algorithm such as"):
        quick(algorithm="ELBO")
    with pytest.raises(ProgramError, match="expected train to name roles"):
        quick(train=("critic",))
    with pytest.raises(ValueError, match="expected a backend"):
        quick(backend="tensorflow")


def test_repr_says_what_it_is(quick, backend):
    assert repr(quick()).startswith(f"Fit(ELBO(particles=1, gradient='reparam', analytic_kl=False, baseline=None), "
                                    f"backend='{backend}', step=9, loss/")  # fmt: skip
