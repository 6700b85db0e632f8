"""Programs that hold numbers of their own for each row of the data, and so know these rows only."""

import warnings

import numpy as np

from ppgen.backends.sites import Initialiser
from ppgen.errors import ProgramWarning
from ppgen.problem.arrays import cast
from ppgen.problem.batch import rows_of
from ppgen.problem.checks import dependence, plates
from ppgen.problem.preflight import inspect
from ppgen.problem.problem import Problem
from ppgen.problem.program import Program

FEW = 7  # rows that are enough for a look at programs which know no rows in particular


def tied(problem: Problem) -> str | None:
    """Why the programs run on all N rows of the data only; None where any number of rows will do.

    The answer is kept with the problem. Where steps saw minibatches, programs were seen to run on any number.
    """
    if problem.model.one_row:
        return "the model has no plate of rows"
    if not problem.full_batch or rows_of(problem.example) < 2:
        return None
    if "tied" not in problem.compiled:
        pair = (problem.programs[role] for role in ("model", "guide") if role in problem.programs)
        problem.compiled["tied"] = next(filter(None, (_reason(problem, program) for program in pair)), None)
    return problem.compiled["tied"]


def placed(problem: Problem) -> frozenset[str]:
    """Parameters that have a value for each row of the data, so that they belong to these rows in their order.

    Where the programs run on fewer rows too, a look at those tells such parameters from others that are as many by accident.
    """
    if "placed" not in problem.compiled:
        found = {name for program in problem.programs.values() for name in program.placed & program.parameters.keys()}
        if found and not tied(problem) and not any(_placed_in_fewer(problem, p) for p in problem.programs.values()):
            found = set()
        problem.compiled["placed"] = frozenset(found)
    return problem.compiled["placed"]


def _placed_in_fewer(problem: Problem, program: Program) -> frozenset[str]:
    """What gives rows their places where there are fewer."""
    arrays = _fewer(problem)
    again, seen = inspect(program, arrays, Initialiser(problem.seed), problem.specs)
    depends = problem.backend.dependences(again, seen, problem.start, arrays, rows_of(arrays))
    with warnings.catch_warnings(action="ignore", category=ProgramWarning):
        return dependence.check(again, depends, full_batch=True).placed


def _fewer(problem: Problem) -> dict[str, np.ndarray]:
    """Fewer rows of the data that the problem met."""
    rows = min(FEW, (rows_of(problem.example) + 1) // 2)
    return {name: value[:rows] for name, value in cast(problem.example, problem.model).items()}


def _reason(problem: Problem, program: Program) -> str | None:
    arrays = _fewer(problem)
    try:
        again, _ = inspect(program, arrays, Initialiser(problem.seed), problem.specs)
        plates.rows_match(again, arrays)
    except Exception:  # whatever a program raises that cannot do with fewer rows
        return f"the {program.role} has the number of rows, {problem.size}, written into it"
    for name, parameter in again.parameters.items():
        if parameter.shape != (shape := program.parameters[name].shape):
            return f"the parameter {name!r} of the {program.role}, of shape {shape}, has numbers for each row"
    return None
