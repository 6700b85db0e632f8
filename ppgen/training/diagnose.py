"""Which site and which rows made a loss or gradient stop being finite."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ppgen.backends.program import Ask
from ppgen.joint import Batch
from ppgen.training.trainer import State, Trainer


def diagnose(trainer: Trainer, state: State, batch: Mapping[str, Any], rows: np.ndarray | None) -> str:
    """A sentence that names the sites, and the rows of the data, whose log density is not finite at `state`.

    Args:
        trainer: the trainer that stopped.
        state: the last good state.
        batch: the batch of the step that failed.
        rows: the batch's row numbers in the data, where they are known.
    """
    backend = trainer.backend
    joints = trainer.joints(state.parameters, backend.fold_in(state.key, state.step))
    batch = Batch(batch)
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
        outcome = joints[role]._run(values, replace(Ask(draw=False), by_site=True), values.particles)
        for name, log_density in {**outcome.local, **outcome.shared}.items():
            numbers = backend.numpy(log_density)
            bad = ~np.isfinite(numbers)
            if bad.any():
                where = np.flatnonzero(bad.any(0)) if numbers.ndim == 2 else np.array([], int)
                where = rows[where] if rows is not None and where.size else where
                listed = f" in rows {', '.join(map(str, where[:5]))}{', ...' if len(where) > 5 else ''}" if where.size else ""
                return f"the log density of site {name!r} of the {role} is not finite{listed}"
    return "the losses at the last good parameters are finite, so the update itself overflowed"
