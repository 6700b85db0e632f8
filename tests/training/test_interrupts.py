"""Runs that end early: by a callback, by a signal, by an exception, by a stream that has no more. Nothing learned is lost."""

import os
import signal
import threading

import numpy as np
import pytest

import ppgen
from ppgen.errors import RunWarning
from tests.training.test_runs import same


@pytest.fixture
def batches(bits):
    return [{"x": bits[:8]}, {"x": bits[8:16]}, {"x": bits[16:]}]


@pytest.fixture
def streamed(quick):
    """`quick` on a stream."""
    return lambda data, **options: quick(**{"data": data, "batch_size": None, **options})


@pytest.mark.parametrize("answer", [True, np.True_, 1, False, np.False_, 0, None], ids=repr)
def test_any_true_answer_of_a_callback_ends_the_run(streamed, batches, answer):
    fit = streamed(batches, epochs=2, callbacks=[lambda fit: answer, lambda fit: None])
    assert int(fit.state.step) == (3 if answer else 6)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_ends_a_run_on_arrays(quick, number):
    """In a callback, and at the next step of the same pass: what is returned can be gone on with."""
    before, times = signal.getsignal(number), []

    def callback(fit):
        times.append(int(fit.state.step))
        if len(times) == 1:
            send(number)

    with pytest.warns(RunWarning, match=rf"interrupted by {number.name} after step 3; .*To go on.*resume=fit"):
        fit = quick(callbacks=[callback])
    assert signal.getsignal(number) is before
    assert int(fit.state.step) == 3
    same(quick(), quick(resume=fit))


class Happening:
    """A loader that reads the batches anew for each pass; before it gives batch number `at`, something happens."""

    def __init__(self, batches, at, happens):
        self.batches, self.at, self.happens, self.count = batches, at, happens, 0

    def __iter__(self):
        for batch in self.batches:
            if self.count == self.at:
                self.happens()
            self.count += 1
            yield batch


def interrupted(batches, at, *numbers):
    return Happening(batches, at, lambda: [send(number) for number in numbers])


def test_a_signal_ends_a_run_on_a_stream(streamed, batches, tmp_path):
    """The batch that was read is not lost either: with a directory, the run goes on from where it was."""
    options = {"epochs": 2, "run_dir": tmp_path / "run"}
    with pytest.warns(RunWarning, match=r"interrupted by SIGTERM after step 4; .*pass resume=True\."):
        fit = streamed(interrupted(batches, 4, signal.SIGTERM), **options)
    assert int(fit.state.step) == 4
    assert fit.history["step"].tolist() == [3, 4]
    same(streamed(batches, epochs=2), streamed(batches, **options, resume=True))


def test_a_second_signal_interrupts_at_once(streamed, batches):
    with pytest.raises(KeyboardInterrupt) as caught:
        streamed(interrupted(batches, 4, signal.SIGINT, signal.SIGINT), epochs=2)
    assert int(caught.value.fit.state.step) == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_of_others_are_left_to_them(streamed, batches):
    """A handler of the user's own, and a run outside the main thread."""
    heard, fits = [], []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("mine"))
    try:
        fits.append(streamed(interrupted(batches, 1, signal.SIGTERM), epochs=2))
    finally:
        signal.signal(signal.SIGTERM, before)
    thread = threading.Thread(target=lambda: fits.append(streamed(batches, epochs=2)))
    thread.start()
    thread.join()
    assert heard == ["mine"]
    assert [int(fit.state.step) for fit in fits] == [6, 6]


class OutOfCoffee(Exception):
    pass


def tired():
    raise OutOfCoffee


@pytest.mark.parametrize("raised", [OutOfCoffee, KeyError, SystemExit])
def test_what_a_stream_raises_has_the_fit(streamed, batches, raised, tmp_path, programs):
    def happens():
        raise raised("no more")

    with pytest.raises(raised, match="no more") as caught:
        streamed(Happening(batches, 4, happens), epochs=2, run_dir=tmp_path / "run")
    assert caught.value.__notes__ == ["The fit so far is kept in this exception's `fit`."]
    assert caught.value.fit.history["step"].tolist() == [3, 4]
    same(streamed(batches, steps=4, epochs=None), caught.value.fit)
    assert int(ppgen.load(tmp_path / "run", *programs).state.step) == 4


def test_what_a_callback_raises_has_the_fit(quick):
    def callback(fit):
        if int(fit.state.step) == 6:
            raise OutOfCoffee

    with pytest.raises(OutOfCoffee) as caught:
        quick(callbacks=[callback])
    same(quick(epochs=2), caught.value.fit)


def test_an_error_before_the_first_step_begins_no_run(streamed, batches, tmp_path):
    """So that the corrected call is not refused."""
    with pytest.raises(OutOfCoffee):
        streamed(Happening(batches, 1, tired), steps=2, run_dir=tmp_path / "one")
    assert ppgen.storage.RunFolder(tmp_path / "one").begun
    with pytest.raises(OutOfCoffee):
        streamed(Happening(batches, 0, tired), steps=2, run_dir=tmp_path / "none")
    assert not ppgen.storage.RunFolder(tmp_path / "none").begun


def test_what_is_raised_at_the_end_adds_no_second_line(streamed, batches):
    def callback(fit):
        raise OutOfCoffee

    with pytest.raises(OutOfCoffee) as caught:
        streamed(batches, steps=2, callbacks=[callback])
    assert caught.value.fit.history["step"].tolist() == [2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 5}, r"ended after 3 batches, before the 5 passes that were asked for\. Pass a list"),
        ({"epochs": None, "steps": 4}, r"ended after 3 batches, before the 4 steps"),
    ],
)
def test_a_generator_that_ends_early_says_so(streamed, batches, options, message):
    with pytest.warns(RunWarning, match=message):
        fit = streamed(iter(batches), **options)
    assert fit.history["step"].tolist() == [3]
    assert int(streamed(iter(batches), epochs=1).state.step) == 3  # all that was asked for: no warning
