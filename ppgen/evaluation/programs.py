"""The likelihood of programs, without a fit."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ppgen.evaluation.likelihood import likelihood
from ppgen.evaluation.result import Evaluation
from ppgen.problem.problem import Problem


def evaluate(
    model: Callable[..., Any],
    guide: Callable[..., Any] | None = None,
    *,
    data: Mapping[str, Any],
    params: Mapping[str, np.ndarray] | None = None,
    backend: str = "numpyro",
    rows: str | None = None,
    constants: Mapping[str, Any] | None = None,
    particles: int = 1000,
    seed: int = 0,
    missing: str | None = None,
    **options: Any,
) -> Evaluation:
    """How probable data are under a program, whether it has anything to learn or not.

    Args:
        model: the model program.
        guide: the guide program; needed where latent sites cannot be summed out.
        data: arrays by name.
        params: values of parameters by full name, as in `Fit.params`; initial values by default.
        backend: "numpyro" or "pyro".
        rows: name of the plate of rows in a native program, where it is in doubt.
        constants: arguments of the programs that are no rows of data, by name.
        particles: importance samples K per row, where they are needed.
        seed: seed of the importance samples.
        missing: "nan" where NaN stands for a missing number, whose term is dropped.
        options: `batch_size`, `khat`, `quantization`; see `ppgen.evaluation.likelihood`.

    Returns:
        The log-likelihood in nats per row, with its error and its kind.

    Raises:
        ProgramError: programs that do not fit each other.
        DataError: data that do not fit the programs.
        NoLikelihoodError: latent sites that can neither be summed out nor weighed by a guide; an implicit site.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def coins(rows):
        ...     with plate("data", rows):
        ...         fair = sample("fair", dist.Bernoulli(0.5))
        ...         sample("x", dist.Binomial(10, 0.5 * fair + 0.9 * (1 - fair)))
        >>> round(ppgen.evaluate(coins, data={"x": np.array([5.0, 9.0])}).nats, 4)
        -1.8528
    """
    problem = Problem(model, guide, data=data, backend=backend, rows=rows, constants=constants, missing=missing)
    parameters = problem.parameters(params)
    return likelihood(problem, parameters, data, particles=particles, seed=seed, **options)
