"""What the README and the pages under docs/ say is true: their code runs, and what they point at is there."""

import doctest
import importlib
import importlib.util
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

import ppgen
from ppgen.models.registry import MODELS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
}
NEW_ALGORITHM = PAGES["docs/new-algorithm.md"]


def blocks(text):
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def replaced(code, **changes):
    """Code with other settings: `epochs="1"` in place of whatever epochs has there."""
    for name, value in changes.items():
        code, count = re.subn(rf"\b{name}=[^,)\s]+", f"{name}={value}", code)
        assert count, f"the block sets no {name}"
    return code


# docs/new-algorithm.md ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def log_variance(tmp_path_factory):
    """The algorithm of the page, in a file of its own as the page asks."""
    (code,) = blocks(NEW_ALGORITHM)
    path = tmp_path_factory.mktemp("page") / "log_variance.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("log_variance", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LogVariance


def test_the_new_algorithm_has_about_fifteen_lines():
    (code,) = blocks(NEW_ALGORITHM)
    assert 12 <= len([line for line in code.splitlines() if line.strip()]) <= 18


@pytest.mark.parametrize("name", ["vae", "sigmoid_belief_network", "linear_regression"])
def test_the_new_algorithm_trains(name, log_variance, backend):
    """With continuous, discrete and global latent sites: the guide's loss falls, its gradient being no estimate of it."""
    entry = MODELS[name]
    model, guide = entry.build()
    fit = ppgen.fit(
        model, guide, data=entry.data(0, 64), algorithm=log_variance(), backend=backend, steps=60,
        optimizer=ppgen.Adam(3e-2),
    )  # fmt: skip
    for loss in (fit.history["loss/model"], fit.history["loss/guide"]):
        assert np.isfinite(loss).all()
    assert fit.history["loss/model"][-10:].mean() < fit.history["loss/model"][:10].mean()


def test_the_new_algorithm_follows_the_house(log_variance):
    """It is what ppgen's own algorithms are: a frozen, documented dataclass that says what it needs."""
    algorithm = log_variance(particles=7)
    assert isinstance(algorithm, ppgen.Algorithm)
    assert repr(algorithm) == "LogVariance(particles=7)"
    assert hash(algorithm) == hash(log_variance(7))
    with pytest.raises(ppgen.errors.IllegalPairing, match="need a guide"):
        bits = MODELS["sigmoid_belief_network"]
        ppgen.fit(bits.build()[0], data=bits.data(0, 8), algorithm=algorithm, steps=1)


# docs/new-flow.md ------------------------------------------------------------------------------------------------------

NEW_FLOW = PAGES["docs/new-flow.md"]


@pytest.fixture(scope="module")
def new_flow():
    """The names that both blocks of the page define, with the fit of the second."""
    names = {"__name__": "new_flow"}
    for code in blocks(NEW_FLOW):
        exec(code, names)
    return names


def test_the_new_flow_has_about_twenty_lines():
    code, _ = blocks(NEW_FLOW)
    assert 15 <= len([line for line in code.splitlines() if line.strip()]) <= 22


def test_the_new_flow_learns(new_flow):
    history = new_flow["fit"].history["loss/model"]
    assert np.isfinite(history).all()
    assert history[-1] < history[0]


def test_the_new_flow_keeps_the_contract(new_flow, backend):
    """What the contract tests ask of every transform in the registry."""
    transform, rng = new_flow["SinhArcsinh"](3), np.random.default_rng(0)
    with ppgen.using(backend):
        asarray = ppgen.ops.asarray
        params = {path: asarray(rng.normal(0, 0.5, 3).astype(np.float32)) for path in transform.specs()}
        x = asarray(rng.normal(size=(7, 3)).astype(np.float32))
        y, log_det = transform.forward(params, x)
        again, back = transform.inverse(params, y)
    np.testing.assert_allclose(np.asarray(again), np.asarray(x), atol=1e-4)
    np.testing.assert_allclose(np.asarray(log_det), -np.asarray(back), atol=1e-4)
    exact = jax.vmap(
        jax.jacfwd(lambda x: transform.forward({k: jax.numpy.asarray(v) for k, v in params.items()}, x)[0])
    )
    jacobian = exact(jax.numpy.asarray(np.asarray(x)))
    np.testing.assert_allclose(np.asarray(log_det), np.linalg.slogdet(np.asarray(jacobian))[1], atol=1e-4)


# README ------------------------------------------------------------------------------------------------------------


def test_the_programs_of_the_readme_run(backend, tmp_path, monkeypatch, capsys):
    """All blocks one after the other, with one epoch, ten particles, and batches of one size to compile for."""
    pytest.importorskip("pyro", reason="the second block loads a fit on Pyro")
    programs, after, made, learnable = blocks(README)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(replaced(programs, epochs="1", batch_size="479", particles="10", backend=repr(backend)), names)
    printed = capsys.readouterr().out
    for algorithm in ("ELBO(", "IWAE(", "ReweightedWakeSleep(", "WakeSleep("):
        assert re.search(rf"^{re.escape(algorithm)}.* nats per row \(360 rows\)", printed, re.MULTILINE), printed
    assert names["fit"].backend == backend

    *lines, last = replaced(after, draws="20").splitlines()
    exec("\n".join(lines), names)
    loaded = eval(last.split("  #")[0], names)
    assert (tmp_path / "runs" / "vae").is_dir()
    assert loaded.backend == "pyro"
    assert loaded.params.keys() == names["fit"].params.keys()
    for name, value in names["fit"].params.items():
        np.testing.assert_array_equal(loaded.params[name], value)

    exec(replaced(made, steps="2", draws="10", warmup="10").replace("SMC()", "SMC(particles=50)"), names.copy())

    exec(replaced(learnable, epochs="1", batch_size="479", particles="10"), names)
    assert "lower bound" in capsys.readouterr().out
    assert any(name.startswith("prior.") for name in names["fit"].params)


def test_the_readme_names_every_learnable_distribution():
    table = README.split("| learnable distribution |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(\w+)[`(]", "".join(line.split(" | ")[0] for line in table.splitlines())))
    assert named == ppgen.dist.learnable.keys() - {"StandardNormal", "StandardUniform"}  # where flows begin


def test_the_readme_names_every_algorithm():
    table = README.split("| algorithm |")[1].split("\n\n")[0]
    named = set(re.findall(r"^\| `(\w+)\(", table, re.MULTILINE))
    assert named == {type(algorithm).__name__ for algorithm in ppgen.inference.EVERYTHING}


def test_the_readme_names_settings_that_exist():
    table = README.split("| algorithm |")[1].split("\n\n")[0]
    for name, settings in re.findall(r"^\| `(\w+)\(([^)]*)\)", table, re.MULTILINE):
        assert set(filter(None, settings.split(", "))) <= getattr(ppgen, name).__dataclass_fields__.keys(), name


def test_the_folders_of_the_readme_exist():
    """The first column names files and folders; a file named beside them lies in the folder."""
    table = README.split("## Where things are")[1].split("| --- | --- |")[1].split("\n\n")[0]
    missing = []
    for line in table.strip().splitlines():
        paths, text = line.strip("| ").split(" | ")
        for folder in re.findall(r"`([^`]+)`", paths):
            beside = [f"{folder}/{file}" for file in re.findall(r"`(\w+\.py)`", text)]
            missing += [path for path in (folder, *beside) if not (ROOT / path).exists()]
    assert not missing


# all pages ---------------------------------------------------------------------------------------------------------

TO_BE_WRITTEN = {  # by whoever follows the page
    "ppgen/inference/variational/log_variance.py",
    "ppgen/distributions/flows/sinh_arcsinh.py",
}


@pytest.mark.parametrize("page", PAGES)
def test_what_pages_point_at_exists(page):
    """Links and pictures, relative to the page; paths in backticks, relative to the root."""
    links = {link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGES[page]) if "://" not in link}
    missing = [link for link in links if link and not (ROOT / page).parent.joinpath(link).exists()]
    code = re.sub(r"^```.*?^```$", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    paths = set(re.findall(r"`((?:ppgen|docs|examples|benchmarks|tests)/[\w./-]*)`", code))
    missing += [path for path in paths - TO_BE_WRITTEN if not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_what_ppgen_has(page):
    """Every `ppgen.name` and `ppgen.name.name` in a page is there."""
    for path in set(re.findall(r"\bppgen((?:\.[A-Za-z]\w*)+)\b(?!/)", PAGES[page])):
        thing = ppgen
        for name in path[1:].split("."):
            if thing is ppgen.dist:
                assert name in dir(ppgen.dist), f"ppgen{path}"
                break
            if not hasattr(thing, name) and hasattr(thing, "__path__"):
                importlib.import_module(f"{thing.__name__}.{name}")
            assert hasattr(thing, name), f"ppgen{path}"
            thing = getattr(thing, name)


# docstrings --------------------------------------------------------------------------------------------------------


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(
    map(module_name, (ROOT / "ppgen").rglob("*.py"))
)  # files: pkgutil passes by a folder without __init__.py


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_docstrings_run(name, tmp_path, monkeypatch, capsys):
    if name.startswith(("ppgen.backends.pyro", "ppgen.backends.torch")):
        pytest.importorskip("pyro", reason="the pyro backend needs the extra ppgen[pyro]")
    monkeypatch.chdir(tmp_path)  # an example may save
    module = importlib.import_module(name)
    with warnings.catch_warnings(action="error"):
        failed = doctest.testmod(module, optionflags=doctest.REPORT_NDIFF).failed
    assert not failed, capsys.readouterr().out


def test_a_failing_example_is_seen(capsys):
    """And so is a warning."""
    spec = importlib.util.spec_from_loader("planted", None)
    for example in ("1 + 1\n    3", "import warnings; warnings.warn('old')"):
        module = importlib.util.module_from_spec(spec)
        module.__doc__ = f"\n    >>> {example}\n"
        with warnings.catch_warnings(action="error"):
            assert doctest.testmod(module).failed == 1
    assert "UserWarning: old" in capsys.readouterr().out


def test_public_examples_are_many():
    """What a newcomer calls first carries an example that runs."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for thing in (
        ppgen.fit,
        ppgen.Trainer,
        ppgen.sample,
        ppgen.using,
        ppgen.nn.MLP,
        ppgen.models.vae,
        ppgen.Evaluation,
    ):
        assert any(test.examples for test in finder.find(thing, thing.__name__)), thing


# the whole project -------------------------------------------------------------------------------------------------


def project_files():
    """Text files that git tracks, or would if they were added."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = (".py", ".md", ".toml", ".yml", ".yaml", ".txt", "Makefile", "run")
    return [path for path in listed if path.endswith(kinds) and (ROOT / path).is_file()]


def test_no_file_knows_the_machine_it_was_written_on():
    homes = [f"/{folder}/" for folder in ("work", "root")]
    found = []
    for path in project_files():
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            found += [f"{path}:{number} has {home}" for home in homes if home in line]
    assert not found, "\n".join(found)
