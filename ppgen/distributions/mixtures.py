"""Finite mixtures: of any distributions, and of Gaussians."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen import arguments, nn, ops
from ppgen.distributions.autoregressive.conditionals import choose
from ppgen.distributions.learnable import Learnable, Noise, Parameters, Support, as_float, check_event
from ppgen.distributions.log_zero import floored, infinite


@dataclass(frozen=True, repr=False)
class Mixture(Learnable):
    r"""A finite mixture.

    .. math:: p(x) = \sum_k w_k p_k(x)

    A draw picks its component; the choice carries no gradient, so draws are not reparameterised.

    Args:
        components: distributions of one event shape and one support.
        context: size of the context, of which the log weights are then a linear function, and which every component
            that has a context sees too; 0 for none.

    Example:
        >>> from ppgen.distributions import GaussianMixture, Mixture, StandardNormal
        >>> mixture = Mixture((StandardNormal(2), GaussianMixture(2, components=3)))
        >>> mixture
        Mixture(
          StandardNormal(2),
          GaussianMixture(dim=2, components=3, covariance='diagonal', context=0),
        )
        >>> sorted(mixture.specs())
        ['1.loc', '1.log_scale', '1.logits', 'logits']
    """

    components: tuple[Learnable, ...]
    context: int = 0

    reparameterised = False
    hides = True

    def __post_init__(self) -> None:
        if not isinstance(self.components, tuple) or not self.components:
            raise ValueError(f"expected a tuple of components, at least one; got {self.components!r}.")
        for component in self.components:
            arguments.kind("Mixture", "each component", component, Learnable, "StandardNormal(2)")
        for what in ("event_shape", "support"):
            found = [getattr(component, what) for component in self.components]
            if any(value != found[0] for value in found):
                raise ValueError(
                    f"expected components of one {what.replace('_', ' ')}; got {found}. Mix distributions of the same "
                    "values, or push one through a transform."
                )
        if self.counting and not all(component.counting for component in self.components):
            named = [
                f"{component!r} ({'probability' if component.counting else 'density'})" for component in self.components
            ]
            raise ValueError(
                f"expected components that all have a density, or all probabilities of single values; got {', '.join(named)}, "
                "of which no sum is either. Take a density in the place of Empirical, such as a GaussianMixture."
            )
        arguments.assign(self, context=arguments.size("Mixture", "context", self.context, least=0))
        sizes = {component.context for component in self.components} - {0}
        if sizes - {self.context}:
            raise ValueError(
                f"expected components with a context of the mixture's size, {self.context}; got {sorted(sizes)}. "
                "Build the mixture with context=..., the size that its components have."
            )

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.components[0].event_shape

    @property
    def support(self) -> Support:
        return self.components[0].support

    @property
    def counting(self) -> bool:
        return any(component.counting for component in self.components)

    @property
    def has_density(self) -> bool:
        return all(component.has_density and not component.estimates for component in self.components)

    def specs(self) -> dict[str, nn.Spec]:
        specs = nn.gather(**{str(k): component for k, component in enumerate(self.components)})
        return {**specs, **affine_specs("logits", (len(self.components),), self.context)}

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        return infinite(ops.logsumexp(floored(self._terms(params, x, context))))

    def complete(
        self, before: Parameters, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> ops.Array:
        return expected(floored(self._terms(before, x, context)), floored(self._terms(params, x, context)))

    def _terms(self, params: Parameters, x: ops.Array, context: ops.Array | None) -> ops.Array:
        """Log w_k p_k(x), [..., K]."""
        terms = [component.log_prob(own, x, seen) for component, own, seen in self._parts(params, context)]
        log_weights = self._log_weights(params, context)
        shape = np.broadcast_shapes(log_weights.shape[:-1], *(term.shape for term in terms))
        return log_weights + ops.stack([ops.broadcast_to(term, shape) for term in terms], -1)

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        logits = self._log_weights(params, context)
        chosen = choose(logits, noise.uniform(shape)).reshape(*shape, *(1,) * len(self.event_shape))
        first, *others = [part.draw(own, noise, shape, seen) for part, own, seen in self._parts(params, context)]
        for k, other in enumerate(others, 1):
            first = ops.where(chosen == k, other, first)
        return ops.stop_gradient(first)

    def mean(self, params: Parameters, context: ops.Array | None = None) -> ops.Array:
        weights = ops.exp(self._log_weights(params, context))
        try:
            means = [component.mean(own, seen) for component, own, seen in self._parts(params, context)]
        except NotImplementedError as error:
            raise NotImplementedError(f"the mean of Mixture has no closed form, as {error}") from error
        shape = (*weights.shape[:-1], *(1,) * len(self.event_shape))
        return sum(weights[..., k].reshape(shape) * mean for k, mean in enumerate(means))

    def _log_weights(self, params: Parameters, context: ops.Array | None) -> ops.Array:
        return ops.log_softmax(affine(params, "logits", (len(self.components),), context))

    def _parts(self, params: Parameters, context: ops.Array | None) -> list[tuple[Learnable, Any, Any]]:
        """Each component with its parameters and the context it sees."""
        return [
            (component, nn.part(params, str(k)), context if component.context else None)
            for k, component in enumerate(self.components)
        ]

    def __repr__(self) -> str:
        parts = [*map(repr, self.components), *([f"context={self.context}"] if self.context else [])]
        return "\n".join(["Mixture(", *(f"  {line}" for part in parts for line in f"{part},".splitlines()), ")"])


@dataclass(frozen=True)
class GaussianMixture(Learnable):
    r"""A mixture of Gaussians, all components at once.

    .. math:: p(x) = \sum_k w_k N(x; \mu_k, L_k L_k^T)

    With a context it is a mixture density network (Bishop, 1994) of one linear layer: log weights, means and factors
    are linear functions of the context; put a network before it for more.

    Args:
        dim: number of dimensions D.
        components: number of Gaussians K.
        covariance: "diagonal", or "full": L lower triangular with a positive diagonal.
        context: size of the context; 0 for none.

    Example:
        >>> import numpy as np
        >>> from ppgen.distributions import GaussianMixture
        >>> mixture = GaussianMixture(1, components=2)
        >>> params = mixture.init() | {"loc": np.array([[-1.0], [1.0]], np.float32)}
        >>> p = mixture.apply(params)
        >>> round(float(p.log_prob(np.zeros(1))), 4)
        -1.4189
    """

    dim: int
    components: int
    covariance: str = "diagonal"
    context: int = 0

    reparameterised = False
    hides = True

    def __post_init__(self) -> None:
        for name in ("dim", "components", "context"):
            size = arguments.size("GaussianMixture", name, getattr(self, name), least=int(name != "context"))
            arguments.assign(self, **{name: size})
        if self.covariance not in ("diagonal", "full"):
            raise ValueError(f"expected covariance to be 'diagonal' or 'full'; got {self.covariance!r}.")

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.dim,)

    def specs(self) -> dict[str, nn.Spec]:
        specs = {}
        for name, shape in self._shapes.items():
            specs |= affine_specs(name, shape, self.context, bound=math.sqrt(3.0) if name == "loc" else 0.0)
        return specs

    def log_prob(self, params: Parameters, x: ops.Array, context: ops.Array | None = None) -> ops.Array:
        return ops.logsumexp(self._terms(params, x, context))

    def complete(
        self, before: Parameters, params: Parameters, x: ops.Array, context: ops.Array | None = None
    ) -> ops.Array:
        return expected(self._terms(before, x, context), self._terms(params, x, context))

    def _terms(self, params: Parameters, x: ops.Array, context: ops.Array | None) -> ops.Array:
        """Log w_k N(x; mu_k, L_k L_k^T), [..., K]."""
        x = as_float(x, params)
        check_event(self, x)
        logits, loc, log_scale, factor = self._read(params, context)
        centred = x[..., None, :] - loc
        if factor is None:
            standard = centred * ops.exp(-log_scale)
        else:
            identity = ops.as_type_of(np.eye(self.dim), factor)
            inverse = ops.solve_triangular(factor, ops.broadcast_to(identity, factor.shape))
            standard = ops.einsum("...ij,...j->...i", inverse, centred)
        log_normal = ops.sum(-0.5 * ops.square(standard) - log_scale, -1) - 0.5 * self.dim * math.log(2 * math.pi)
        return ops.log_softmax(logits) + log_normal

    def draw(
        self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: ops.Array | None = None
    ) -> ops.Array:
        logits, loc, log_scale, factor = self._read(params, context)
        chosen = choose(logits, noise.uniform(shape))
        code = ops.as_type_of(chosen[..., None] == ops.arange(self.components, loc), loc)
        standard = noise.normal((*shape, self.dim))
        loc = ops.einsum("...k,...ki->...i", code, loc)
        if factor is None:
            return ops.stop_gradient(loc + ops.einsum("...k,...ki->...i", code, ops.exp(log_scale)) * standard)
        factor = ops.einsum("...k,...kij->...ij", code, factor)
        return ops.stop_gradient(loc + ops.einsum("...ij,...j->...i", factor, standard))

    def mean(self, params: Parameters, context: ops.Array | None = None) -> ops.Array:
        logits, loc, *_ = self._read(params, context)
        return ops.einsum("...k,...ki->...i", ops.softmax(logits), loc)

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        k, dim = self.components, self.dim
        shapes = {"logits": (k,), "loc": (k, dim), "log_scale": (k, dim)}
        return shapes | ({"below": (k, dim * (dim - 1) // 2)} if self.covariance == "full" and dim > 1 else {})

    def _read(self, params: Parameters, context: ops.Array | None) -> tuple[ops.Array, ...]:
        """Logits [..., K], means and log scales [..., K, D], and the factors L [..., K, D, D], None where diagonal."""
        logits, loc, log_scale, *below = (affine(params, name, shape, context) for name, shape in self._shapes.items())
        if not below:
            return logits, loc, log_scale, None
        entries = ops.concatenate([ops.exp(log_scale), *below, log_scale[..., :1] * 0])
        place = np.full((self.dim, self.dim), entries.shape[-1] - 1)  # zero above the diagonal
        place[np.diag_indices(self.dim)] = np.arange(self.dim)
        place[np.tril_indices(self.dim, -1)] = np.arange(self.dim, entries.shape[-1] - 1)
        factor = ops.take(entries, place.ravel()).reshape(*entries.shape[:-1], self.dim, self.dim)
        return logits, loc, log_scale, factor


def expected(before: ops.Array, terms: ops.Array) -> ops.Array:
    """The mean of log w_k p_k(x) [..., K] over the components that x came from, with the probabilities that `before` gives."""
    return ops.sum(ops.stop_gradient(ops.softmax(before)) * terms, -1)


def affine_specs(name: str, shape: tuple[int, ...], context: int, bound: float = 0.0) -> dict[str, nn.Spec]:
    """An array that is learned, to which a context, where there is one, adds a linear function of itself."""
    specs = {name: nn.Spec(shape, bound)}
    if context:
        specs[f"{name}.context"] = nn.Spec((context, math.prod(shape)), bound / math.sqrt(context))
    return specs


def affine(params: Parameters, name: str, shape: tuple[int, ...], context: ops.Array | None) -> ops.Array:
    """The array of `affine_specs`, [..., *shape]."""
    value = params[name]
    if context is None:
        return value
    added = context @ params[f"{name}.context"]
    return value + added.reshape(*added.shape[:-1], *shape)
