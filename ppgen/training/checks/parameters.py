"""Parameters that the model and the guide share by name are meant to be shared."""

from ppgen.backends.program import Program
from ppgen.errors import ProgramError


def shared(model: Program, guide: Program) -> None:
    """One name in both programs is one parameter; networks are shared by using one network object."""
    for name, p in model.parameters.items():
        q = guide.parameters.get(name)
        if q is None:
            continue
        if p.shape != q.shape:
            raise ProgramError(
                f"parameter {name!r} has shape {p.shape} in the model and {q.shape} in the guide; "
                "expected one meaning for one name. Give the two their own names."
            )
        if p.source is not q.source:
            raise ProgramError(
                f"the model and the guide both have a network with a parameter {name!r}, but not the same network; "
                "expected a name for each. To share one, build it once outside both programs."
            )
