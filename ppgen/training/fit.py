"""`ppgen.fit`: learn a model (and a guide) from data by an algorithm."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppgen import arguments
from ppgen.errors import DataError, ProgramError
from ppgen.inference.algorithm import Algorithm
from ppgen.inference.procedure import Procedure
from ppgen.problem.reading import entries_of, is_frame
from ppgen.training import keeping, passes
from ppgen.training.checkpoints import Checkpoints
from ppgen.training.loop import Loop
from ppgen.training.procedures import proceed
from ppgen.training.result import Fit
from ppgen.training.trainer import chosen


def fit(
    model: Callable[..., Any],
    guide: Callable[..., Any] | None = None,
    *,
    data: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    constants: Mapping[str, Any] | None = None,
    algorithm: Algorithm | None = None,
    backend: str = "numpyro",
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    valid: Mapping[str, Any] | None = None,
    optimizer: Any = None,
    seed: int = 0,
    callbacks: Iterable[Callable[[Fit], Any]] = (),
    rows: str | None = None,
    size: int | None = None,
    params: Mapping[str, np.ndarray] | Fit | None = None,
    train: tuple[str, ...] | None = None,
    resume: Fit | bool | None = None,
    progress: bool | None = None,
    run_dir: str | Path | None = None,
    checkpoint_every: int | None = None,
    on_nonfinite: str = "raise",
    missing: str | None = None,
) -> Fit:
    """Learn a model (and a guide) from data.

    Args:
        model: p(x, z), a function with `sample` statements; or a native Pyro or NumPyro program.
        guide: q(z | x), where the algorithm needs one; or one that is made of the model, such as
            `ppgen.guides.FullRank()`. Without one, continuous latent sites get `ppgen.guides.MeanField()`.
        data: arrays by site or argument name, their first axis counting rows; a frame of pandas or polars, whose columns are
            such arrays; or an iterable of such batches, a torch `DataLoader` of dicts too.
        data: arrays by site or argument name, their first axis counting rows; or an iterable of such batches.
        constants: arguments of the programs that are no rows of data (sizes, flags, hyperparameters), by name;
            `ppgen.schedule` for one that follows the step.
        algorithm: `ppgen.ELBO()` by default.
        backend: "numpyro" (JAX, compiled) or "pyro" (PyTorch).
        epochs: passes over the data. Give this or `steps`; neither for an algorithm that knows how many it takes
            (`ppgen.NUTS(draws=1000)`).
        steps: updates.
        batch_size: rows a step; all rows by default. The last batch of an epoch may have fewer.
        valid: held-out arrays; their losses are recorded after each epoch.
        optimizer: `ppgen.Adam(1e-3)` by default; a native one; or a dict of them by role.
        seed: seed of initial values, order of rows and all noise.
        callbacks: called with the `Fit` so far after each epoch (on streams at each line of the history); one that answers
            anything true (True, `np.True_`, 1) ends the run, None or False goes on.
        rows: name of the plate of rows in a native program, where it is in doubt.
        size: number of rows N behind a stream; weighs global sites.
        params: values to start from, by full name, as in `Fit.params`; or a `Fit`, whose parameters are taken where
            these programs have them too.
        train: roles that learn; the others are held fixed. All by default.
        resume: a fit (perhaps from `ppgen.load`) to go on from, up to `epochs` or `steps` in all; or True, to go on from the
            last checkpoint in `run_dir`, if it has one. Data, seed and settings have to be those of before; a stream is
            read from its beginning, and the batches that the run has had are passed by.
        progress: show a bar; by default where stderr is a terminal.
        run_dir: a directory for checkpoints of this run: the last 3, and `best`, that with the least validation loss. It
            is new or empty, or has a run to resume.
        checkpoint_every: steps between checkpoints; by default one a minute, and one at the end.
        on_nonfinite: "raise" where a loss or gradient stops being finite; or "rollback": go back to the state before, pass
            that batch by with a `RunWarning`, and raise only after 10 such batches in a row.
        missing: "nan" where NaN stands for a missing number: its term is dropped (docs/missing.md). By default
            NaN is an error.

    Returns:
        A `Fit`: parameters, history, and what can be asked of them. Ctrl-C or SIGTERM ends the run after the step that it is
        in, and the fit so far is returned, with a `RunWarning`; a second one interrupts at once. What a stream or a callback
        raises has the fit so far as its `fit`.

    Raises:
        ProgramError: programs that do not fit each other, found before the first step.
        DataError: data that do not fit the programs.
        IllegalPairing: an algorithm that cannot learn these programs; the message lists those that can.
        NonFiniteError: a loss or gradient stopped being finite; its `fit` holds the parameters before that step.
        CheckpointError: a directory that cannot be written without a loss, or that another process writes to; or a run to
            resume that began otherwise.

    Example:
        >>> import numpy as np, ppgen
        >>> model, guide = ppgen.models.ppca(features=3, latents=1)
        >>> x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
        >>> fit = ppgen.fit(model, guide, data={"x": x}, algorithm=ppgen.ELBO(), epochs=2, batch_size=32)
        >>> fit.history["loss/model"].shape
        (2,)
    """
    algorithm = chosen(algorithm)
    makes_steps = isinstance(algorithm, Procedure)
    if (epochs is None) == (steps is None) and not (makes_steps and epochs is None):
        raise ProgramError(f"expected epochs or steps, one of them; got epochs={epochs}, steps={steps}.")
    counts = {"epochs": epochs, "steps": steps, "batch_size": batch_size, "checkpoint_every": checkpoint_every}
    for name, count in counts.items():
        if count is not None and (not isinstance(count, int | np.integer) or count < 1):
            raise ProgramError(f"expected {name} to be a positive integer; got {count!r}.")
    if is_frame(data):
        data = entries_of(data)
    if isinstance(algorithm, Procedure):
        return proceed(
            model, guide, data, algorithm, backend=backend, steps=steps if epochs is None else epochs, seed=seed, rows=rows,
            constants=constants, missing=missing, params=params, progress=progress, batch_size=batch_size, valid=valid,
            optimizer=optimizer, callbacks=tuple(callbacks), size=size, train=train, resume=resume or None,
            run_dir=run_dir, checkpoint_every=checkpoint_every, on_nonfinite=None if on_nonfinite == "raise" else on_nonfinite,
        )  # fmt: skip
    seed = arguments.seed("ppgen.fit", seed)
    if on_nonfinite not in ("raise", "rollback"):
        raise ProgramError(f"expected on_nonfinite to be 'raise' or 'rollback'; got {on_nonfinite!r}.")
    if not isinstance(resume, Fit | bool | None):
        raise ProgramError(
            f"expected resume to be a Fit or True; got {resume!r}. Load a fit by ppgen.load, or name its run_dir."
        )
    if run_dir is None and (resume is True or checkpoint_every is not None):
        raise ProgramError(
            f"expected run_dir with resume=True or checkpoint_every; got resume={resume!r}, "
            f"checkpoint_every={checkpoint_every}. Name the directory of the run, run_dir=."
        )
    if not isinstance(data, Mapping) and batch_size is not None:
        raise DataError("expected batch_size only with arrays; a stream brings its own batches. Leave it out.")
    with contextlib.ExitStack() as opened:
        checkpoints = None
        if run_dir is not None:
            checkpoints = opened.enter_context(Checkpoints.opened(run_dir, checkpoint_every, resume is True))
        saved = keeping.kept(resume) if isinstance(resume, Fit) else checkpoints and checkpoints.found
        run = Loop(
            model, guide, algorithm, optimizer, backend, size, rows, train, seed, tuple(callbacks), progress, params, saved,
            checkpoints, on_nonfinite, constants=constants, missing=missing,
        )  # fmt: skip
        if isinstance(data, Mapping):
            return passes.arrays(run, data, valid, epochs, steps, batch_size)
        return passes.stream(run, data, valid, epochs, steps)
