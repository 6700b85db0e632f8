"""`Fit`: what a run gives, and what can be asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ppgen import evaluation
from ppgen.errors import ProgramError
from ppgen.evaluation import Evaluation, generate
from ppgen.inference.algorithm import Algorithm
from ppgen.problem.problem import Problem
from ppgen.training import keeping
from ppgen.training.standing import Standing
from ppgen.training.trainer import State


@dataclass
class Fit:
    """A learned model and guide.

    Attributes:
        problem: the programs, with the roles that played, and the backend.
        algorithm: the algorithm that learned them.
        state: parameters (unconstrained), optimiser state, key and step.
        history: `step`, `epoch`, `seconds`, `loss/<role>` and `valid/<role>` (nats per row), one entry an epoch.
        train: the roles that learned.
        saved: for a loaded fit, its training state as it was read, for `resume`.
        draws: of a sampler: values of latent sites given the data, by site [chains, draws, ...].
        statistics: numbers of each draw, by name [chains, draws].
        evidence: log-probability of all rows together, where the algorithm estimates it.
        standing: where the run stood, for `resume`.
    """

    problem: Problem = field(repr=False)
    algorithm: Algorithm
    state: State = field(repr=False)
    history: dict[str, np.ndarray] = field(repr=False)
    train: tuple[str, ...] = field(repr=False)
    saved: dict[str, np.ndarray] | None = field(default=None, repr=False)
    draws: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    statistics: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    evidence: Evaluation | None = field(default=None, repr=False)
    standing: Standing = field(default_factory=Standing, repr=False)

    @cached_property
    def params(self) -> dict[str, np.ndarray]:
        """Parameters by full name, as their constrained values, on the host."""
        return self.problem.export(self.state.parameters)

    @property
    def backend(self) -> str:
        """Name of the backend."""
        return self.problem.backend.name

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.problem.seed

    @property
    def valid(self) -> float | None:
        """The loss on the validation data with these parameters: the model's; None where it was not taken at this step."""
        names = sorted((name for name in self.history if name.startswith("valid/")), key=lambda n: n != "valid/model")
        taken = names and len(self.history["step"]) and self.history["step"][-1] == int(self.state.step)
        return float(self.history[names[0]][-1]) if taken else None

    def evaluate(self, data: Mapping[str, Any], particles: int = 1000, seed: int = 0, **options: Any) -> Any:
        """Log-likelihood of data in nats per row, with its error and its kind; see `ppgen.evaluation.likelihood`.

        Args:
            data: arrays by name.
            particles: importance samples K per row, where they are needed.
            seed: seed of the importance samples.
            options: `batch_size`, `khat`, `quantization`, passed on.
        """
        if self.draws:
            return evaluation.predictive(
                self.problem, self.state.parameters, self.draws, data, particles=particles, seed=seed, **options
            )
        found = evaluation.likelihood(
            self.problem, self.state.parameters, data, particles=particles, seed=seed, **options
        )
        if found.particles and "guide" not in self.train and self.problem.owned.get("guide"):
            return found.noting(
                "the guide was held fixed in this run, so the bound may be far from the truth; train it too"
            )
        return found

    def posterior(
        self, data: Mapping[str, Any] | None = None, draws: int | None = None, seed: int = 0, **options: Any
    ) -> Any:
        """Draws of the latent sites in ArviZ's schema, for the ArviZ that is installed; see `ppgen.evaluation.posterior`.

        A sampler's fit has its draws, which are given the data of the run: `fit.posterior()`.

        Args:
            data: arrays by name.
            draws: draws per row, 500 by default.
            seed: seed of the draws.
            options: `chains`, passed on.
        """
        about = {"algorithm": repr(self.algorithm), "backend": self.backend}
        if self.draws:
            if draws is not None or options:
                raise ProgramError(
                    f"the fit holds the draws of {self.algorithm!r}; expected none of draws= and chains=. Leave them out."
                )
            if self.params:
                about["note"] = f"the model's parameters {list(self.params)} stayed at their values"
            return evaluation.sampled(
                self.problem, self.state.parameters, self.draws, self.statistics, data, {**about, "seed": self.seed}
            )
        if data is None:
            raise ProgramError("expected data whose latent sites to draw. Write fit.posterior(data).")
        return evaluation.posterior(
            self.problem,
            self.state.parameters,
            data,
            draws=500 if draws is None else draws,
            seed=seed,
            about=about,
            **options,
        )

    def diagnose(self) -> Any:
        """Of a sampler's fit: mean, interval, effective sample sizes and R-hat of each number, as a table (`pandas`).

        See `ppgen.evaluation.diagnose`.
        """
        if not self.draws:
            raise ProgramError(f"{self.algorithm!r} leaves no draws to look at. fit.history shows how its losses fell.")
        return evaluation.diagnose(self.posterior())

    def sample(
        self, rows: int | None = None, seed: int = 0, data: Mapping[str, Any] | None = None, emit: str = "draw"
    ) -> dict[str, np.ndarray]:
        """Generate rows from the model; see `ppgen.evaluation.generate`.

        After a sampler, the sites that all rows share are one of its draws: the posterior predictive.

        Args:
            rows: number of rows; that of `data` by default.
            seed: seed of the draws.
            data: covariates that the model takes as arguments.
            emit: observed sites as a "draw" or as their "mean".

        Returns:
            Values by site, [rows, ...] (global sites without the row axis).
        """
        shared = None
        if self.draws:
            every = evaluation.shared_draws(self.problem, self.draws)
            chosen = np.random.default_rng(seed).integers(max(map(len, every.values()), default=1))
            shared = {name: values[chosen] for name, values in every.items()}
        return generate(self.problem, self.state.parameters, rows, seed=seed, data=data, emit=emit, shared=shared)

    def reconstruct(
        self, data: Mapping[str, Any], draws: int = 1, seed: int = 0, emit: str = "mean"
    ) -> dict[str, np.ndarray]:
        """The observed sites of given rows, from draws of their latent sites; see `ppgen.evaluation.reconstruct`.

        Returns:
            Values by observed site, [draws, rows, ...].
        """
        self._has_a_guide("reconstruct")
        return evaluation.reconstruct(self.problem, self.state.parameters, data, draws, seed=seed, emit=emit)

    def impute(
        self, data: Mapping[str, Any], draws: int = 1, seed: int = 0, emit: str = "draw"
    ) -> dict[str, np.ndarray]:
        """The data with their missing numbers filled in; see `ppgen.evaluation.impute`.

        Returns:
            Values by site with missing numbers, [draws, rows, ...].
        """
        self._has_a_guide("impute")
        return evaluation.impute(self.problem, self.state.parameters, data, draws, seed=seed, emit=emit)

    def _has_a_guide(self, what: str) -> None:
        if self.draws:
            raise ProgramError(
                f"{what} draws the latent sites of any rows; {self.algorithm!r} has draws given those of the run. See "
                "fit.posterior()['posterior_predictive']."
            )

    def save(self, path: str | Path) -> Path:
        """Write the fit to a directory, all or nothing; `ppgen.load` reads it on either backend.

        Args:
            path: the directory, replaced if it holds an earlier fit and nothing else.
        """
        return keeping.save(self, Path(path))

    def __repr__(self) -> str:
        losses = {
            name: float(values[-1]) for name, values in self.history.items() if name.startswith("loss/") and len(values)
        }
        shown = [f"{name} {value:.3f}" for name, value in losses.items()]
        shown += [f"draws of {', '.join(self.draws)}"] if self.draws else []
        return f"Fit({', '.join([repr(self.algorithm), f'backend={self.backend!r}', f'step={int(self.state.step)}', *shown])})"
