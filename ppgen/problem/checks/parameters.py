"""Parameters that the model and the guide share by name are meant to be shared."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen.errors import ProgramError
from ppgen.problem.program import Program


def shared(model: Program, guide: Program, start: Mapping[str, Any], guide_start: Mapping[str, Any]) -> None:
    """One name in both programs is one parameter; networks are shared by using one network object."""
    numpy = model.backend.numpy
    for name, p in model.parameters.items():
        q = guide.parameters.get(name)
        if q is None:
            continue
        if p.source is not q.source:
            raise ProgramError(
                f"the model and the guide both have a network with a parameter {name!r}; expected one network for one "
                "name; got two. Give each its own name; to share one, build it once outside both programs."
            )
        native = model.native or guide.native  # initial values may be random there, and the model's count
        same_start = native or np.array_equal(numpy(start[name]), numpy(guide_start[name]))
        if not (p.agrees(q) and same_start):
            raise ProgramError(
                f"the model and the guide use the parameter name {name!r} with two meanings: expected {p}, as in the "
                f"model; got {q}{'' if same_start else ', starting elsewhere'}, in the guide. Give each its own name."
            )
