"""Which site and which rows made a loss or gradient stop being finite."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppgen.problem.arrays import listed
from ppgen.problem.batch import Batch, rows_of
from ppgen.problem.checks.failures import LARGE
from ppgen.training.trainer import State, Trainer

_ROWS = 1000  # the most rows that are looked at one by one
_OUTSIDE = "outside its support"


def diagnose(trainer: Trainer, state: State, batch: Mapping[str, Any], rows: np.ndarray | None) -> tuple[str, str]:
    """The sites, and the rows of the data, whose log density is not finite at `state`; and what to do.

    Args:
        trainer: the trainer that stopped.
        state: the last good state.
        batch: the batch of the step that failed.
        rows: the batch's row numbers in the data, where they are known.
    """
    with trainer.backend.unchecked():  # the libraries' checks would end the search
        found = (
            _densities(trainer, state, Batch.of_data(batch), rows)
            or _gradients(trainer, state, batch, rows)
            or "the losses at the last good parameters are finite, so the update itself overflowed"
        )
    if _OUTSIDE in found:
        return found, "Correct these rows or what the program computes of them, or use a likelihood with this support."
    reached = {name: float(np.abs(trainer.backend.numpy(values)).max()) for name, values in batch.items()}
    large = {name: most for name, most in reached.items() if most > LARGE}
    if large:
        values = ", ".join(f"{name!r} reaches {value:.3g}" for name, value in large.items())
        return found, f"Normalise the data first ({values}), x / x.std() say; or lower the learning rate, bound scales."
    return found, "Lower the learning rate, clip gradients (Adam(clip=1.0)), or bound scales away from 0."


def _densities(trainer: Trainer, state: State, batch: Batch, rows: np.ndarray | None) -> str | None:
    backend = trainer.backend
    joints = trainer.joints(state.parameters, backend.fold_in(backend.fold_in(state.key, state.step), 0))
    values = batch
    if "guide" in joints:
        z = joints["guide"].draw(batch)
        for name, value in z.values.items():
            if not np.isfinite(backend.numpy(value)).all():
                return f"the guide draws values of site {name!r} that are not finite"
        values = batch | z.values
    for role in ("model", "guide"):
        if role not in joints or (role == "model" and joints[role].program.latent(values)):
            continue
        for name, term in joints[role].trace(values).items():
            if term.log_prob is None:
                continue
            bad = ~np.isfinite(backend.numpy(term.log_prob))
            if bad.any():
                where = np.flatnonzero(bad.any(0)) if bad.ndim == 2 else np.array([], int)
                program = joints[role].program
                if name in program.transformed and np.isneginf(backend.numpy(term.log_prob)[bad]).all():
                    support = program.sites[name].support
                    return f"site {name!r} of the {role} observes values {_OUTSIDE}, {support},{_in_rows(where, rows)}"
                edge = _on_edge(program.sites[name].support, batch.get(name), where, backend)
                return f"the log density of site {name!r} of the {role} is not finite{_in_rows(where, rows)}{edge}"
    return None


def _gradients(trainer: Trainer, state: State, batch: Mapping[str, Any], rows: np.ndarray | None) -> str | None:
    def bad(batch: Mapping[str, Any]) -> list[str]:
        gradients = trainer.gradients(state, batch)
        return [name for name, gradient in gradients.items() if not trainer.backend.all_finite({name: gradient})]

    names = bad(batch)
    if not names:
        return None
    count, where = rows_of(batch), ""
    if count <= _ROWS and not trainer.problem.full_batch:
        alone = ({name: value[i : i + 1] for name, value in batch.items()} for i in range(count))
        where = _in_rows(np.flatnonzero([bool(bad(row)) for row in alone]), rows)
    these = " and of ".join(map(repr, names[:5]))
    return f"every log density is finite, but the gradient of the parameter {these} is not{where}"


def _on_edge(support: Any, values: Any, where: np.ndarray, backend: Any) -> str:
    """What to do about observed rows that have values at an end of their site's support."""
    ends = [end for end in (support.low, support.high) if end is not None]
    if values is None or support.kind != "real" or not np.isin(backend.numpy(values)[where], ends).any():
        return ""
    return (
        f", which have values on the edge of its support, {support}: move them inside, or use a likelihood that is finite "
        "there"
    )


def _in_rows(where: np.ndarray, rows: np.ndarray | None) -> str:
    return f" in {listed(where if rows is None else rows[where])}" if where.size else ""
