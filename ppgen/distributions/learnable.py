"""What every learnable distribution is: shapes and a density, written once for both backends."""

import math
from typing import Any, Protocol

import numpy as np

from ppgen import backends, nn, ops
from ppgen.backends.sites import Initialiser
from ppgen.nn.spec import Parameters

Support = str | int | tuple[float, float]
"""The values of a distribution, see `Learnable`."""


class Noise(Protocol):
    """Where a draw takes its randomness from."""

    def uniform(self, shape: tuple[int, ...]) -> ops.Array:
        """Numbers uniform in [0, 1)."""

    def normal(self, shape: tuple[int, ...]) -> ops.Array:
        """Standard normal numbers."""


class Learnable:
    """A distribution with parameters to learn: `p(x | context)`.

    It holds shapes, not arrays, like a network of `ppgen.nn`. Inside a program `module(name, learnable)` registers its
    parameters and gives a function of the context; what that returns is a distribution of the backend, for any site:

        prior = module("prior", flows.NSF(20))
        z = sample("z", prior())

    A subclass sets `event_shape` and `support`, and writes `specs`, `log_prob` and `draw`. It is immutable, and its
    `repr` tells all of it: a frozen dataclass is a good start.

    Attributes:
        event_shape: shape of one draw.
        support: "real", "positive", "unit_interval", "boolean", an interval (low, high), or an integer n for the
            integers 0 to n - 1.
        context: size of the context's last axis; 0 where there is none.
        reparameterised: whether draws carry a gradient to the parameters and the context.
        has_density: False where `log_prob` cannot be computed, and only draws can be had.
        estimates: True where `log_prob` is an unbiased estimate of a log density or a bound, from random numbers in the
            context. Its exponential is no density, so algorithms that weigh particles by densities refuse it.
        hides: True where the distribution sums out variables of its own (components, states), and writes `complete` for EM.
        counting: True where `log_prob` is that of a probability of single real values, as of rows at hand, not a density.
    """

    event_shape: tuple[int, ...]
    support: Support = "real"
    context: int = 0
    reparameterised: bool = True
    has_density: bool = True
    estimates: bool = False
    hides: bool = False
    counting: bool = False

    def specs(self) -> dict[str, nn.Spec]:
        """The parameters by path."""
        return {}

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        """Log density in nats: [...] for `x` [..., *event_shape] and `context` [..., context], leading axes broadcast."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob.")

    def complete(
        self, before: Parameters, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> ops.Array:
        """E log p(x, h) in nats, [...], for what the distribution hides, h ~ p(h | x) under the parameters `before`.

        The E step of EM for a distribution that `hides` something; its largest value is where EM goes next.
        """
        return self.log_prob(params, x, context)

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        """Draws [*shape, *event_shape]; the leading axes of `context` broadcast to `shape`."""
        raise NotImplementedError(f"{type(self).__name__} has no draw.")

    def draw_with_log_prob(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> tuple[ops.Array, ops.Array]:
        """Draws and their log density, for less than the cost of both where one pass gives the two."""
        x = self.draw(params, noise, shape, context)
        return x, self.log_prob(params, x, context)

    def mean(self, params: Parameters, context: ops.Array | None = None) -> ops.Array:
        """The mean [..., *event_shape], where it has a closed form."""
        raise NotImplementedError(f"the mean of {type(self).__name__} has no closed form.")

    def apply(self, params: Parameters, context: ops.Array | None = None) -> Any:
        """The distribution of the backend for given parameters and context."""
        if context is not None:
            context = self._fitting(_as_context(context, params))
        elif self.context:
            raise self._without_context()
        backend = self._backend(params, context)
        if ops.active() is None:  # in a program they are as `specs` has them, and the backend's arrays
            self._check(params)
            params = {path: backend.array(value) for path, value in params.items()}
        return backend.density(self, dict(params), context)

    def _fitting(self, context: ops.Array) -> ops.Array:
        """The context, or ValueError where its last axis has another size."""
        if not self.context or tuple(context.shape[-1:]) != (self.context,):
            wanted = f"a last axis of size {self.context}" if self.context else "no context (build it with context=...)"
            raise ValueError(f"expected {wanted} for {self!r}; got a context of shape {tuple(context.shape)}.")
        return context

    def _without_context(self) -> ValueError:
        return ValueError(
            f"expected a context whose last axis has size {self.context} for {self!r}; got none. "
            "Call it with one: flow(context)."
        )

    def init(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Initial parameters, for use outside a program."""
        start = Initialiser(seed)
        return {path: spec.draw(start.generator(path)) for path, spec in self.specs().items()}

    def _check(self, params: Parameters) -> None:
        """Raise where parameters are missing, or have another shape."""
        for path, spec in self.specs().items():
            found = f"shape {tuple(params[path].shape)}" if path in params else "none of that name"
            if found != f"shape {spec.shape}":
                raise ValueError(
                    f"expected a parameter {path!r} of shape {spec.shape} for {self!r}; got {found}. "
                    "Build the distribution with the sizes that its parameters were learned with."
                )

    def _backend(self, params: Parameters, context: ops.Array | None) -> Any:
        active = ops.active()
        if active is not None:
            return active
        arrays = [*params.values(), *([] if context is None else [context])]
        return backends.get("pyro" if any(type(a).__module__.startswith("torch") for a in arrays) else "numpyro")


def interval(support: Support, hint: str = "") -> tuple[float, float]:
    """The ends of a continuous support; `hint` ends the error for another."""
    names = {"real": (-math.inf, math.inf), "positive": (0.0, math.inf), "unit_interval": (0.0, 1.0)}
    if isinstance(support, str) and support in names:
        return names[support]
    if not (isinstance(support, tuple) and len(support) == 2 and -math.inf < support[0] < support[1] < math.inf):
        raise ValueError(
            "expected support to be 'real', 'positive', 'unit_interval' or a finite interval (low, high) with low < "
            f"high; got {support!r}. {hint}".rstrip()
        )
    return support


def check_event(learnable: Learnable, x: ops.Array) -> None:
    """Raise where the last axes of `x` are not an event of the distribution."""
    rank = len(learnable.event_shape)
    if tuple(x.shape[x.ndim - rank :]) != tuple(learnable.event_shape):
        raise ValueError(
            f"expected values whose last axes are {learnable.event_shape} for {learnable!r}; got shape {tuple(x.shape)}."
        )


def _as_context(context: Any, params: Parameters) -> ops.Array:
    """A context as an array of the parameters' library: whole numbers, lists and NumPy's in their number type too."""
    like = next(iter(params.values()), None)
    if like is not None and (isinstance(context, np.ndarray) or not hasattr(context, "shape")):
        return ops.as_type_of(np.asarray(context), like)
    return ops.as_float(context, like)


def as_float(x: ops.Array, params: Parameters) -> ops.Array:
    """`x` in floating point: whole numbers in the number type of the parameters."""
    return ops.as_float(x, next(iter(params.values()), None))
