"""`Fit`: what a run gives, and what can be asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ppgen import evaluation
from ppgen.errors import DataError
from ppgen.joint import Batch
from ppgen.training import checkpoint
from ppgen.training.arrays import to_host
from ppgen.training.trainer import State, Trainer


@dataclass
class Fit:
    """A learned model and guide.

    Attributes:
        trainer: the programs, algorithm and backend.
        state: parameters (unconstrained), optimiser state, key and step.
        history: `step`, `epoch`, `seconds`, `loss/<role>` and `valid/<role>` (nats per row), one entry an epoch.
        seed: the run's seed.
        example: the rows that preflight looked at; `save` keeps them so that `load` can look again.
        saved: for a loaded fit, its training state as it was read, for `resume`.
    """

    trainer: Trainer = field(repr=False)
    state: State = field(repr=False)
    history: dict[str, np.ndarray] = field(repr=False)
    seed: int
    example: dict[str, np.ndarray] = field(repr=False)
    saved: dict[str, np.ndarray] | None = field(default=None, repr=False)

    @cached_property
    def params(self) -> dict[str, np.ndarray]:
        """Parameters by full name, as their constrained values, on the host."""
        return self.trainer.backend.export(self.state.parameters, self.trainer.specs)

    @property
    def algorithm(self) -> Any:
        """The algorithm that learned it."""
        return self.trainer.algorithm

    @property
    def backend(self) -> str:
        """Name of the backend."""
        return self.trainer.backend.name

    def evaluate(self, data: Mapping[str, Any], particles: int = 1000, seed: int = 0, **options: Any) -> Any:
        """Log-likelihood of data in nats per row, with its error and its kind; see `ppgen.evaluation.evaluate`.

        Args:
            data: arrays by name.
            particles: importance samples K per row, where they are needed.
            seed: seed of the importance samples.
            options: `batch_size`, `khat`, `quantization`, passed on.
        """
        return evaluation.evaluate(self.trainer, self.state.parameters, data, particles=particles, seed=seed, **options)

    def posterior(self, data: Mapping[str, Any], draws: int = 500, seed: int = 0, **options: Any) -> Any:
        """Draws of the latent sites as an `xarray.DataTree` in ArviZ's schema; see `ppgen.evaluation.posterior`.

        Args:
            data: arrays by name.
            draws: draws per row.
            seed: seed of the draws.
            options: `chains`, passed on.
        """
        return evaluation.posterior(self.trainer, self.state.parameters, data, draws=draws, seed=seed, **options)

    def sample(
        self, rows: int | None = None, seed: int = 0, data: Mapping[str, Any] | None = None, emit: str = "draw"
    ) -> dict[str, np.ndarray]:
        """Generate rows from the model.

        Global sites (outside the plate of rows) come from the guide where it has them: the posterior predictive.

        Args:
            rows: number of rows; that of `data` by default.
            seed: seed of the draws.
            data: covariates that the model takes as arguments.
            emit: observed sites as a "draw" or as their "mean".

        Returns:
            Values by site, [rows, ...] (global sites without the row axis).
        """
        if emit not in ("draw", "mean"):
            raise ValueError(f"expected emit to be 'draw' or 'mean'; got {emit!r}.")
        if rows is not None and (not isinstance(rows, int | np.integer) or rows < 1):
            raise ValueError(f"expected rows to be a positive integer; got {rows!r}.")
        model, backend = self.trainer.plan.model, self.trainer.backend
        host = {} if data is None else to_host(data, double=backend.double())
        for name in host:
            if name in model.sites or name not in model.arguments:
                raise DataError(
                    f"sample() generates {list(model.sites)}; expected data to hold covariates only, of "
                    f"{[a for a in model.arguments if a != 'rows' and a not in model.sites]}; got {name!r}. Leave it out."
                )
        if rows is None and not host:
            raise DataError("expected rows, or data with covariates; got neither. Write fit.sample(rows=16).")
        count = len(next(iter(host.values()))) if host else int(rows)
        if rows is not None and count != rows:
            raise DataError(f"expected as many rows as the covariates have, {count}; got rows={rows}. Leave rows out.")
        if model.observes:  # a native program takes the shapes of its data from its arguments
            host = {name: np.resize(value, (count, *value.shape[1:])) for name, value in self.example.items()} | host

        observed = [site.name for site in model.observed(self.example)]
        key = backend.fold_in(backend.key(seed), 1)

        def generate(parameters: Any, batch: Any, key: Any) -> dict[str, Any]:
            batch = Batch(batch, rows=count)
            joints = self.trainer.joints(parameters, key)
            p, q = joints["model"], joints.get("guide")
            if q is not None and model.has_global(self.example) and set(q.program.required) <= {*batch, "rows"}:
                drawn = q.draw(batch).values
                shared = [s.name for s in q.program.latent() if not q.program.is_local(s) and s.name in p.program.sites]
                batch = batch | Batch({n: drawn[n] for n in shared}, rows=count, drawn=shared)
            return dict(p.dream(batch, emit=observed if emit == "mean" else ()).values)

        values = backend.without_gradients(generate)(self.state.parameters, self.trainer.device(host), key)
        return {name: backend.numpy(value)[0] for name, value in values.items() if name in model.sites}

    def save(self, path: str | Path) -> Path:
        """Write the fit to a directory, all or nothing; `ppgen.load` reads it on either backend.

        Args:
            path: the directory, replaced if it holds an earlier fit.
        """
        return checkpoint.save(self, Path(path))

    def state_for(self, trainer: Trainer) -> State:
        """This fit's state, for a trainer of the same programs to go on from."""
        return checkpoint.adopt(self, trainer)

    def __repr__(self) -> str:
        losses = {
            name: float(values[-1]) for name, values in self.history.items() if name.startswith("loss/") and len(values)
        }
        shown = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
        return f"Fit({self.algorithm!r}, backend={self.backend!r}, step={int(self.state.step)}, {shown})"
