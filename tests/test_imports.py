"""Imports go one way, downwards, and only `ppgen/backends/` touches a framework."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "ppgen").rglob("*.py"))

# From the bottom to the top; a name may import its own line and the lines before it.
HOUSE = (
    ("errors", "arguments", "data"),
    ("ops",),
    ("backends",),
    ("language",),
    ("nn",),
    ("distributions",),
    ("problem",),
    ("guides", "inference", "models"),
    ("evaluation", "storage"),
    ("training",),
    ("ppgen",),  # the public names, `import ppgen`
    ("report",),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(HOUSE) for name in names}
STRANGERS = ({"inference", "models"}, {"guides", "models"})  # on one level, yet they meet in `Joint` only

ALLOWED = {
    "numpyro": ("ppgen/backends/",),
    "pyro": ("ppgen/backends/",),
    "torch": ("ppgen/backends/", "ppgen/ops/torch/"),
}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that is imported at run time, inside functions too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imported(other)
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        else:
            yield from imported(node)


def place(name: str) -> str:
    """The entry of the house that a module belongs to: ppgen.nn.mlp to nn; a public name to ppgen."""
    part = (*name.split("."), "")[1]
    return part if part in LEVEL else "ppgen"


def mistakes(path: str, source: str) -> list[str]:
    """What is wrong with the imports of a file, one line each."""
    here = place(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    found = []
    for line, name in imported(ast.parse(source)):
        library = name.split(".")[0]
        if library == "":
            found.append(f"{path}:{line} imports {name}: write the full name")
        elif library in ALLOWED and not path.startswith(ALLOWED[library]):
            found.append(f"{path}:{line} imports {library}: only {' and '.join(ALLOWED[library])} may")
        elif library == "ppgen":
            there = place(name)
            if LEVEL[there] > LEVEL[here] or {here, there} in STRANGERS:
                found.append(f"{path}:{line} ({here}) imports {name} ({there}): imports go downwards")
    return found


def test_imports_go_downwards():
    found = [mistake for path in FILES for mistake in mistakes(path, (ROOT / path).read_text())]
    assert not found, "\n".join(found)


def test_every_file_has_a_place():
    tops = {Path(path).parts[1].removesuffix(".py") for path in FILES} - {"__init__"}
    assert not tops - LEVEL.keys(), "say in HOUSE where these belong"


PLANTED = {
    "ppgen/models/new.py": (
        "from ppgen.inference import ELBO",
        "import ppgen.inference.variational.elbo",
        "from ppgen import inference",
        "from ppgen import fit",
        "import ppgen",
        "def model():\n    from ppgen.training.fit import fit",
        "import torch.nn as nn",
        "from numpyro import handlers",
        "from ..inference import ELBO",
    ),
    "ppgen/inference/new.py": ("from ppgen.models.vae import vae", "import pyro"),
    "ppgen/backends/new.py": ("from ppgen.language import sample", "from ppgen import problem"),
    "ppgen/ops/": ("from ppgen import backends", "import numpyro", "import torch"),
    "ppgen/errors.py": ("from ppgen import ops",),
    "ppgen/language.py": ("from ppgen import nn",),
    "ppgen/problem/new.py": (
        "from ppgen.inference.algorithm import Algorithm",
        "from ppgen.training.trainer import State",
    ),
    "ppgen/evaluation/new.py": (
        "from ppgen.report.tables import comparison",
        "from ppgen.training.trainer import State",
    ),
    "ppgen/storage/new.py": ("from ppgen.training.result import Fit",),
    "ppgen/report/new.py": ("from ppgen import cli",),
    "ppgen/__init__.py": ("from ppgen.report import demo",),
}


def test_planted_imports_are_caught():
    for path, sources in PLANTED.items():
        for source in sources:
            assert len(mistakes(path, source)) == 1, (path, source)


def test_good_imports_are_not():
    for path, source in [
        ("ppgen/models/new.py", "if TYPE_CHECKING:\n    from ppgen.inference import ELBO"),
        ("ppgen/models/new.py", "from ppgen import nn, ops\nfrom ppgen.language import sample"),
        ("ppgen/backends/new.py", "import torch\nimport numpyro\nimport pyro"),
        ("ppgen/training/new.py", "from ppgen import evaluation\nfrom ppgen.inference import ELBO"),
        ("ppgen/report/new.py", "import ppgen\nfrom ppgen import nn, fit"),
    ]:
        assert mistakes(path, source) == [], (path, source)


@pytest.mark.parametrize("module", ["ppgen", "ppgen.cli", "ppgen.models.registry"])
def test_importing_ppgen_imports_no_framework(module):
    """Neither torch nor Pyro, which need not be installed; nor NumPyro, which takes a second."""
    script = f"import sys, {module}; print(*({{'torch', 'pyro', 'numpyro'}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


def test_a_backend_imports_its_own_framework_only(backend):
    script = f"import sys, ppgen; ppgen.backends.get({backend!r}); print(*({{'pyro', 'numpyro'}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [backend]
