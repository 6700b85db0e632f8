"""docs/evaluation.md is true: its code runs, and the numbers that it states are those that it finds."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import ppgen

PAGE = (Path(ppgen.__file__).parents[1] / "docs" / "evaluation.md").read_text()


def test_the_page_of_evaluation_runs(capsys):
    """On Pyro, which compiles nothing, with one epoch and few of everything."""
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    few = {
        "epochs": 1, "particles": 3, "temperatures": 4, "rows": 5, "simulations": 10, "steps": 2, "batch_size": 479,
    }  # fmt: skip
    for name, value in few.items():
        code, count = re.subn(rf"\b{name}=\d+", f"{name}={value}", code)
        assert count, f"the page sets no {name}"
    code = re.sub(r"(ppgen\.(?:fit|evaluate)\(.*)\)", r'\1, backend="pyro")', code)
    names = {}
    exec(code, names)
    assert names["found"].reference in names["fits"] and names["both"].data["x"].shape == (5, 64)
    assert all(isinstance(figure, Figure) for figure in names["figures"].values())
    stated = [float(x) for x in re.findall(r"\) = (0\.\d+)", PAGE)]
    found = np.exp([names["with_treatment"].nats, names["seen"]])
    assert found == pytest.approx(stated, abs=1e-4)
    printed = capsys.readouterr().out
    assert "from the prior" in printed and "p (symmetric)" in printed and "posterior predictive" in printed
