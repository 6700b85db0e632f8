"""Tables: each number stands with its kind."""

import io

import numpy as np
from rich.console import Console

from ppgen.evaluation import Evaluation
from ppgen.report.tables import Line, comparison


def shown(*lines, **options):
    console = Console(file=io.StringIO(), width=160)
    console.print(comparison("A title", lines, **options))
    return console.file.getvalue()


def evaluation(**changes):
    settings = {"dimensions": 4, "kind": "lower bound", "estimator": "importance sampling", "particles": 50} | changes
    return Evaluation.of_rows(np.array([-1.0, -3.0]), **settings)


def test_a_line_has_all_numbers_and_their_kind():
    text = shown(Line("IWAE", evaluation(), 12.34))
    assert "A title" in text
    (heading,) = [line for line in text.splitlines() if "algorithm" in line]
    assert heading.strip("┃ ").split("┃")[-2].strip() == "kind"
    (line,) = [line for line in text.splitlines() if "IWAE" in line]
    cells = [cell.strip() for cell in line.strip("│ ").split("│")]
    assert cells == ["IWAE", "-2.00", "1.00", "0.721", "lower bound", "12.3"]


def test_the_unit_and_the_kind_are_those_of_the_evaluation():
    text = shown(Line("EM", evaluation(kind="exact", particles=None), 1.0), unit="row")
    assert "│ exact " in text
    assert "nats / row" in text


def test_a_note_follows_the_kind():
    text = shown(Line("GAN", evaluation(), 1.0, "guide fitted afterwards"))
    assert "│ lower bound, guide fitted afterwards " in text
