"""`ppgen.fit`: learn a model (and a guide) from data by an algorithm."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ppgen import arguments
from ppgen.errors import DataError, ProgramError
from ppgen.inference.algorithm import Algorithm
from ppgen.inference.procedure import Procedure
from ppgen.problem.reading import entries_of, is_frame
from ppgen.training.loop import Loop
from ppgen.training.procedures import proceed
from ppgen.training.result import Fit
from ppgen.training.trainer import chosen


def fit(
    model: Callable[..., Any],
    guide: Callable[..., Any] | None = None,
    *,
    data: Mapping[str, Any] | Iterable[Mapping[str, Any]],
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
    resume: Fit | None = None,
    progress: bool | None = None,
) -> Fit:
    """Learn a model (and a guide) from data.

    Args:
        model: p(x, z), a function with `sample` statements; or a native Pyro or NumPyro program.
        guide: q(z | x), where the algorithm needs one; or one that is made of the model, such as
            `ppgen.guides.FullRank()`. Without one, continuous latent sites get `ppgen.guides.MeanField()`.
        data: arrays by site or argument name, their first axis counting rows; a frame of pandas or polars, whose columns are
            such arrays; or an iterable of such batches, a torch `DataLoader` of dicts too.
        algorithm: `ppgen.ELBO()` by default.
        backend: "numpyro" (JAX, compiled) or "pyro" (PyTorch).
        epochs: passes over the data. Give this or `steps`; neither for an algorithm that knows how many it takes
            (`ppgen.NUTS(draws=1000)`).
        steps: updates.
        batch_size: rows a step; all rows by default. The last batch of an epoch may have fewer.
        valid: held-out arrays; their losses are recorded after each epoch.
        optimizer: `ppgen.Adam(1e-3)` by default; a native one; or a dict of them by role.
        seed: seed of initial values, order of rows and all noise.
        callbacks: called with the `Fit` so far after each epoch; one that returns True ends the run.
        rows: name of the plate of rows in a native program, where it is in doubt.
        size: number of rows N behind a stream; weighs global sites.
        params: values to start from, by full name, as in `Fit.params`; or a `Fit`, whose parameters are taken where
            these programs have them too.
        train: roles that learn; the others are held fixed. All by default.
        resume: a fit (perhaps from `ppgen.load`) to go on from, up to `epochs` or `steps` in all.
        progress: show a bar; by default where stderr is a terminal.

    Returns:
        A `Fit`: parameters, history, and what can be asked of them.

    Raises:
        ProgramError: programs that do not fit each other, found before the first step.
        DataError: data that do not fit the programs.
        IllegalPairing: an algorithm that cannot learn these programs; the message lists those that can.
        NonFiniteError: a loss or gradient stopped being finite; its `fit` holds the parameters before that step.

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
    for name, count in (("epochs", epochs), ("steps", steps), ("batch_size", batch_size)):
        if count is not None and (not isinstance(count, int | np.integer) or count < 1):
            raise ProgramError(f"expected {name} to be a positive integer; got {count!r}.")
    if is_frame(data):
        data = entries_of(data)
    if isinstance(algorithm, Procedure):
        return proceed(
            model, guide, data, algorithm, backend=backend, steps=steps if epochs is None else epochs, seed=seed, rows=rows,
            params=params, progress=progress, batch_size=batch_size, valid=valid, optimizer=optimizer,
            callbacks=tuple(callbacks), size=size, train=train, resume=resume,
        )  # fmt: skip
    seed = arguments.seed("ppgen.fit", seed)
    loop = Loop(
        model, guide, algorithm, optimizer, backend, size, rows, train, seed, tuple(callbacks), progress, params, resume,
    )  # fmt: skip
    if isinstance(data, Mapping):
        return loop.arrays(data, valid, epochs, steps, batch_size)
    if batch_size is not None:
        raise DataError("expected batch_size only with arrays; a stream brings its own batches. Leave it out.")
    return loop.stream(data, valid, epochs, steps)
