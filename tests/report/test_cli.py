"""`ppgen demo` end to end on a few digits, `ppgen list`, and what the command line says to a mistake."""

import inspect
import json
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib import image
from typer.testing import CliRunner

import ppgen
from ppgen.cli import app
from ppgen.report import demo

TRAIN, TEST = 96, 30


@pytest.fixture
def runner(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")
    return CliRunner()


@pytest.fixture
def small(monkeypatch):
    """Few digits, small networks, three of the six ways."""
    whole = ppgen.data.digits()
    few = ppgen.data.Dataset(
        name="digits", train={"x": whole.train["x"][:TRAIN]}, test={"x": whole.test["x"][:TEST]}, shape=(8, 8)
    )
    for name, value in {"HIDDEN": 8, "LATENTS": 3, "BATCH": 48, "PARTICLES": 3, "EVALUATED": 20, "SHOWN": 9}.items():
        monkeypatch.setattr(demo, name, value)
    monkeypatch.setattr(ppgen.data, "digits", lambda: few)
    three = [player for player in demo.players() if player.name in ("ELBO", "wake-sleep", "GAN")]
    monkeypatch.setattr(demo, "players", lambda: three)


def test_the_demo(backend, runner, small, tmp_path):
    run = runner.invoke(
        app, ["demo", "--backend", backend, "--out", str(tmp_path / "demo"), "--epochs", "2", "--seed", "1"]
    )
    assert run.exit_code == 0, run.output or run.exception

    # the table
    lines = {line.split("│")[1].strip(): line for line in run.output.splitlines() if line.startswith("│")}
    assert lines.keys() == {"ELBO", "wake-sleep", "GAN"}
    assert all("lower bound" in line for line in lines.values())
    assert [name for name, line in lines.items() if "guide fitted afterwards" in line] == ["GAN"]
    assert "by 20 importance samples" in run.output

    # results.json
    report = json.loads((tmp_path / "demo" / "results.json").read_text())
    assert report.keys() == {"backend", "epochs", "seed", "train_rows", "test_rows", "machine", "seconds", "results"}
    assert (report["backend"], report["epochs"], report["seed"]) == (backend, 2, 1)
    assert (report["train_rows"], report["test_rows"]) == (TRAIN, TEST)
    assert {"platform", "python", "jax", "numpyro"} <= report["machine"].keys()
    evaluation = set(ppgen.Evaluation.__dataclass_fields__)
    for player, result in zip(demo.players(), report["results"], strict=True):
        assert result.keys() == evaluation | {"algorithm", "settings", "seconds", "note", "history"}
        assert result["algorithm"] == player.name
        assert result["settings"] == repr(player.algorithm)
        assert (result["kind"], result["particles"], result["rows"]) == ("lower bound", 20, TEST)
        assert len(result["per_row"]) == TEST
        assert result["nats"] == pytest.approx(np.mean(result["per_row"]), rel=1e-5)
        assert -100 < result["nats"] < -10
        assert 0 < result["seconds"] < report["seconds"]
        losses = {f"loss/{role}" for role in player.algorithm.roles}
        assert result["history"].keys() == {"step", "epoch", "seconds"} | losses
        assert all(len(values) == 2 and np.isfinite(values).all() for values in result["history"].values())
        assert ("guide fitted afterwards" in result["note"]) == (player.name == "GAN")

    # the pictures
    for name in ("samples.png", "curves.png"):
        pixels = image.imread(tmp_path / "demo" / name)[..., :3]
        assert min(pixels.shape[:2]) > 300
        assert 0.01 < (pixels.min(-1) < 0.9).mean() < 0.9, f"{name} is blank"


def test_the_six_ways_are_what_the_table_says():
    """One program, six names, six different algorithms; the GAN's critic takes the digits as they are."""
    players = demo.players()
    assert len({player.name for player in players}) == len({type(player.algorithm) for player in players}) == 6
    (gan,) = [player.algorithm for player in players if isinstance(player.algorithm, ppgen.GAN)]
    assert gan.critic.sizes[0] == demo.FEATURES


def test_list_has_everything(runner):
    run = runner.invoke(app, ["list"])
    assert run.exit_code == 0
    algorithms = {type(algorithm).__name__ for algorithm in ppgen.inference.ALGORITHMS}
    names = (
        algorithms
        | {"vae", "ppca", "sigmoid_belief_network", "digits", "binarized_mnist", "moons"}
        | set(ppgen.dist.SHARED)
        | set(ppgen.dist.learnable)
        | {"NSF", "MADE", "GaussianMixture", "Coupling", "RationalQuadraticSpline", "MixtureOfLogistics"}
    )
    words = set(run.output.replace(",", " ").split())
    assert names <= words
    assert not {"ALGORITHMS", "Algorithm", "Conditional", "Transform", "Dataset", "DataFileError"} & {
        line.split()[0] for line in run.output.splitlines()
    }


def test_list_shows_programs_only(runner):
    """What gives a model and a guide; no helper that belongs to one of them."""
    lines = [line.split() for line in runner.invoke(app, ["list"]).output.splitlines()]
    start, end = (next(i for i, words in enumerate(lines) if words[0] == title) for title in ("programs", "learnable"))
    names = [words[0] for words in lines[start + 1 : end]]
    assert names == sorted(ppgen.models.__all__)
    for name in names:
        assert inspect.signature(getattr(ppgen.models, name)).return_annotation == tuple[Callable, Callable], name


def test_list_shows_the_first_line_of_each_docstring(runner):
    lines = runner.invoke(app, ["list"]).output
    for thing in (ppgen.IWAE, ppgen.models.vae, ppgen.data.checkerboard):
        assert thing.__doc__.strip().splitlines()[0] in lines  # brackets too, which rich would take for markup


def test_help(runner):
    run = runner.invoke(app, ["--help"])
    assert run.exit_code == 0
    assert "demo" in run.output
    assert "list" in run.output
    run = runner.invoke(app, ["demo", "--help"])
    assert run.exit_code == 0
    for option in ("--backend", "--out", "--epochs", "--seed", "ppgen[pyro]"):
        assert option in run.output


def test_no_command_shows_the_help(runner):
    run = runner.invoke(app, [])
    assert run.exit_code == 2
    assert "Usage" in run.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--backend", "stan"], "expected a backend, one of ('numpyro', 'pyro'); got 'stan'."),
        (["demo", "--epochs", "0"], "greater than or equal to 1"),
        (["demo", "--speed", "9"], "No such option"),
        (["train"], "No such command"),
    ],
)
def test_a_mistake_exits_with_2_and_a_message(arguments, message, runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = runner.invoke(app, arguments)
    assert run.exit_code == 2
    assert message in run.output
    assert not list(tmp_path.iterdir()), "something was written"


def test_a_missing_extra_is_named_in_full(runner, tmp_path, monkeypatch):
    """The brackets of ppgen[pyro] are shown, which rich would take for markup."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ppgen.backends, "_loaded", {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    run = runner.invoke(app, ["demo", "--backend", "pyro"])
    assert run.exit_code == 2
    assert "pip install 'ppgen[pyro]'" in run.output
