"""The language of programs: `sample`, `param`, `plate`, `module`, `deterministic`, `factor` and `dist`.

Inside a running program these call the primitives of the active backend. A program never names a backend.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ppgen import backends, ops
from ppgen.backends.catalogue import Catalogue
from ppgen.backends.recorder import MARK, Recorder, running
from ppgen.errors import PpgenError, ProgramError

CONSTRAINTS: dict[str, Callable[[np.ndarray], Any]] = {
    "real": lambda x: True,
    "positive": lambda x: x > 0,
    "unit_interval": lambda x: (x > 0) & (x < 1),
    "simplex": lambda x: (x > 0).all() and np.allclose(x.sum(-1), 1),
    "lower_cholesky": lambda x: (np.diagonal(x, axis1=-2, axis2=-1) > 0).all() and not np.triu(x, 1).any(),
}
"""Whether finite numbers are strictly inside a constraint; a parameter that starts on an edge would stay there."""


def sample(name: str, fn: Any, *, auxiliary: bool = False) -> ops.Array:
    """A random variable `name ~ fn`.

    Whether it is observed is decided by the data the program meets, not here.

    Args:
        name: unique within the program.
        fn: a distribution, from `ppgen.dist` or native to the backend.
        auxiliary: in a guide, a variable that the model does not have: the guide draws the model's sites from it.

    Returns:
        The site's value, with shape `batch_shape + event_shape`.

    Example:
        >>> import ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows):
        ...     with plate("data", rows):
        ...         sample("x", dist.Normal(0.0, 1.0))
    """
    run = _running("sample")
    if isinstance(fn, type) or not hasattr(fn, "log_prob") or hasattr(fn, "specs"):
        raise ProgramError(
            f"site {name!r}: expected a distribution, such as ppgen.dist.Normal(0.0, 1.0); got {fn!r}. A learnable one "
            "becomes a distribution when it is called: sample('x', module('flow', flow)(context))."
        )
    try:
        return run.backend.sample(name, fn, {MARK: True, **({"is_auxiliary": True} if auxiliary else {})})
    except Exception as error:
        if not isinstance(error, PpgenError):
            error.add_note(f"(at site {name!r})")
        raise


def plate(name: str, size: int, dim: int | None = None) -> Any:
    """A context of `size` independent copies; the plate called `data` holds the rows.

    Args:
        name: the plate's name.
        size: number of copies.
        dim: batch dimension counted from the right (-1, -2, ...); the next free one by default.
    """
    return _running("plate").backend.plate(name, size, dim)


def param(
    name: str,
    init: float | Sequence | np.ndarray | Callable[[np.random.Generator], np.ndarray],
    constraint: str = "real",
) -> ops.Array:
    """A learnable array.

    Args:
        name: unique within the program; the model and the guide share a parameter by using one name.
        init: the initial value, or a function from a NumPy generator to it. The generator depends on the seed and
            the name only, so both backends start from the same numbers.
        constraint: one of "real", "positive", "unit_interval", "simplex", "lower_cholesky".
    """
    run = _running("param")
    if constraint not in CONSTRAINTS:
        raise ProgramError(f"param {name!r}: expected a constraint, one of {tuple(CONSTRAINTS)}; got {constraint!r}.")
    native = None if constraint == "real" else run.backend.constraint(constraint)

    def make(rng: np.random.Generator) -> Any:
        try:
            value = np.asarray(init(rng) if callable(init) else init, run.precision)
        except (TypeError, ValueError) as error:
            raise ProgramError(
                f"param {name!r}: expected numbers, or a function from a NumPy generator to them; got {init!r} ({error})."
            ) from error
        if not (np.isfinite(value).all() and np.all(CONSTRAINTS[constraint](value))):
            raise ProgramError(
                f"param {name!r}: expected a finite initial value strictly inside {constraint!r}; got {value}. Start it there."
            )
        return value if native is None else run.backend.unconstrain(native, run.backend.array(value))

    return run.parameter(name, make, native)


def module(name: str, net: Any) -> Any:
    """A network with its parameters registered as `name.path`.

    Args:
        name: unique within the program.
        net: a `ppgen.nn` network (both backends), a `torch.nn.Module` (Pyro), or a flax or equinox module (NumPyro).

    Returns:
        A function of the network's inputs.
    """
    run = _running("module")
    values = run.register(name, net)
    if values is None:
        return run.backend.module(run, name, net)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return net.apply(values, *args, **kwargs)
        except (TypeError, ValueError) as error:
            inputs = list(inspect.signature(net.apply).parameters)[1:]
            error.add_note(f"(at module {name!r}, {type(net).__name__}({', '.join(inputs)}))")
            raise

    return call


def deterministic(name: str, value: ops.Array) -> ops.Array:
    """Keep a computed value under a name; it has no density."""
    return _running("deterministic").backend.deterministic(name, value)


def factor(name: str, log_factor: ops.Array) -> None:
    r"""Add a term to the model's log density.

    .. math:: \log p(x, z) = \sum_i \log p(\text{site}_i) + \sum_j f_j

    The model is then a target that need not sum to one: variational bounds, NUTS, HMC and SMC take it, `MaximumLikelihood` and
    `EM` refuse it, and `evaluate` calls its number unnormalised. A guide is a distribution, and has none. See docs/factor.md.

    Args:
        name: unique within the program.
        log_factor: the term f in nats: a number for each row inside the plate of rows, one for all rows outside.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, factor, sample
        >>> def target():
        ...     z = sample("z", dist.Normal(0.0, 1.0))
        ...     factor("tilt", 2.0 * z)
        >>> fit = ppgen.fit(target, data={}, algorithm=ppgen.NUTS(draws=200, warmup=200))
        >>> 1.5 < fit.draws["z"].mean() < 2.5  # exp(2 z) N(z; 0, 1) is N(z; 2, 1), up to a factor
        np.True_
    """
    _running("factor").backend.factor(name, log_factor)


dist = Catalogue()


@contextmanager
def using(backend: str) -> Iterator[None]:
    """Use `ppgen.dist` and `ppgen.ops` of a backend outside a program.

    Example:
        >>> import ppgen
        >>> with ppgen.using("numpyro"):
        ...     log_prob = ppgen.dist.Normal(0.0, 1.0).log_prob(0.0)
        >>> round(float(log_prob), 4)
        -0.9189
    """
    with ops.activate(backends.get(backend)):
        yield


def _running(what: str) -> Recorder:
    run = running()
    if run is None:
        raise ProgramError(
            f"ppgen.{what} was called outside a running program; expected it inside a model or guide. "
            "Pass the function that calls it to ppgen.fit or ppgen.Trainer."
        )
    return run
