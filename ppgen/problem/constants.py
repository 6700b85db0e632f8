"""Arguments of programs that are no rows of data: sizes, flags, settings, and numbers that follow the step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen.backends.protocol import Backend
from ppgen.errors import DataError, ProgramError


@dataclass(frozen=True)
class schedule:
    """A constant that changes while a program learns: the weight of a prior that is switched on slowly, say.

    In a step of training the program's argument is `value(step)`, where the step counts from 0; everywhere else (at the first
    look, in evaluation, in draws) it is `settled`. Nothing is compiled again when it changes.

    Args:
        value: from the number of the step to a number; written with `ppgen.ops`, or a schedule of optax.
        settled: what it is outside training.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows, sd):
        ...     loc = ppgen.param("loc", 0.0)
        ...     with plate("data", rows):
        ...         sample("x", dist.Normal(loc, sd))
        >>> cooling = ppgen.schedule(lambda step: 1.0 + 1.0 / (1.0 + step), settled=1.0)
        >>> fit = ppgen.fit(model, data={"x": np.zeros(3)}, constants={"sd": cooling}, steps=2,
        ...                 algorithm=ppgen.MaximumLikelihood())
        >>> (fit.history["loss/model"][-1] > -fit.evaluate({"x": np.zeros(3)}).nats).item()
        True
    """

    value: Callable[[Any], Any]
    settled: Any

    def at(self, step: Any) -> Any:
        """The value at a step; None is outside training."""
        return self.settled if step is None else self.value(step)


def prepared(constants: Mapping[str, Any] | None, backend: Backend) -> dict[str, Any]:
    """Constants as programs take them: NumPy's arrays as the backend's, anything else as it is."""
    if constants is not None and not isinstance(constants, Mapping):
        raise DataError(
            f"expected constants to be a dict of values by argument name; got {type(constants).__name__}. Write "
            "constants={'hidden_dim': 400}."
        )
    return {
        name: backend.array(value) if isinstance(value, np.ndarray) else value
        for name, value in (constants or {}).items()
    }


def are_taken(constants: Mapping[str, Any], arguments: Mapping[str, tuple[str, ...]], data: Mapping[str, Any]) -> None:
    """Each constant is an argument of some program, and no entry of the data.

    Args:
        constants: by name.
        arguments: those of each program, by role.
        data: the first batch.
    """
    known = {name for names in arguments.values() for name in names}
    for name in constants:
        if name in data:
            raise DataError(
                f"{name!r} is given twice, as data and as a constant; expected one of them. Rows of data go into data=, "
                "anything else into constants=."
            )
        if name not in known:
            raise ProgramError(
                f"no program takes the constant {name!r}; expected an argument, one of {sorted(known - {'rows', *data})}. "
                "Correct the name, or leave it out."
            )


def kept(constants: Mapping[str, Any], backend: Backend) -> tuple[dict[str, Any], dict[str, np.ndarray], list[str]]:
    """Constants to be written down: values that JSON can hold, arrays, and the names of those that are neither.

    Of a schedule it is the value that it settles at, which is what a fit that is loaded needs.
    """
    simple, arrays, others = {}, {}, []
    for name, value in constants.items():
        value = value.settled if isinstance(value, schedule) else value
        if value is None or isinstance(value, str | int | float | bool):
            simple[name] = value
        elif isinstance(value, np.ndarray) or backend.is_array(value):
            arrays[name] = backend.numpy(value)
        else:
            others.append(name)
    return simple, arrays, others
