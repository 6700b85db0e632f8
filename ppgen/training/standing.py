"""Where a run stands: what one that goes on from it must share with it, beside its state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ppgen.errors import CheckpointError
from ppgen.training.described import described

_LONG = 200  # letters of a setting in a message


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    Attributes:
        settings: what decides on each step, in words, by name.
        epoch: passes so far.
        lines: lines of the history that are whole; one more is of a pass that was cut short.
        pending: losses of the steps since the last whole line, and their rows.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    epoch: float = 0.0
    lines: int = 0
    pending: Mapping[str, np.ndarray] = field(default_factory=dict)


def settings_of(**settings: Any) -> dict[str, str]:
    """Settings in words, the same in each process."""
    return {name: value if isinstance(value, str) else described(value) for name, value in settings.items()}


def check_settings(was: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise `CheckpointError` where a run would not go on as it began."""
    if differing := [name for name in now if was.get(name, now[name]) != now[name]]:
        before, after = (", ".join(f"{name}={s[name]:.{_LONG}}" for name in differing) for s in (was, now))
        raise CheckpointError(
            f"expected to resume with {before}, as the fit was learned; got {after}. Pass the same {', '.join(differing)}; or "
            "start anew from its parameters, ppgen.fit(..., params=fit)."
        )
