"""The catalogue of distributions that every backend has: a name, its arguments, its density."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from ppgen import ops
from ppgen.errors import ProgramError

TABLE: dict[str, tuple[str, str]] = {
    "AsymmetricLaplace": (
        "loc=0.0, scale=1.0, asymmetry=1.0",
        "exp(-|x - loc| / s) / (scale (a + 1 / a)), s = scale a below loc and scale / a above; a = asymmetry",
    ),
    "Bernoulli": ("probs=None, logits=None", "probs^x (1 - probs)^(1 - x), x in {0, 1}"),
    "Beta": ("concentration1, concentration0", "x^(concentration1 - 1) (1 - x)^(concentration0 - 1) / B, x in (0, 1)"),
    "BetaBinomial": (
        "concentration1, concentration0, total_count=1",
        "Binomial(total_count, p), p ~ Beta(concentration1, concentration0)",
    ),
    "Binomial": (
        "total_count=1, probs=None, logits=None",
        "C(total_count, x) probs^x (1 - probs)^(total_count - x), x in 0..total_count",
    ),
    "Categorical": ("probs=None, logits=None", "probs[x], x in 0..K-1; the last axis counts the K classes"),
    "Cauchy": ("loc=0.0, scale=1.0", "1 / (pi scale (1 + ((x - loc) / scale)^2))"),
    "Chi2": ("df", "Gamma(df / 2, 1 / 2)"),
    "Delta": ("v=0.0, log_density=0.0, event_dim=0", "exp(log_density) at x = v, 0 elsewhere"),
    "Dirichlet": ("concentration", "prod_i x_i^(concentration_i - 1) / B, x on the simplex"),
    "DirichletMultinomial": ("concentration, total_count=1", "Multinomial(total_count, p), p ~ Dirichlet(concentration)"),
    "Exponential": ("rate=1.0", "rate exp(-rate x), x > 0"),
    "Gamma": ("concentration, rate=1.0", "rate^c x^(c - 1) exp(-rate x) / Gamma(c), x > 0, c = concentration"),
    "GammaPoisson": ("concentration, rate=1.0", "Poisson(r), r ~ Gamma(concentration, rate)"),
    "Geometric": ("probs=None, logits=None", "probs (1 - probs)^x, x in 0, 1, ...: failures before a success"),
    "Gumbel": ("loc=0.0, scale=1.0", "exp(-(u + exp(-u))) / scale, u = (x - loc) / scale"),
    "HalfCauchy": ("scale=1.0", "2 / (pi scale (1 + (x / scale)^2)), x > 0"),
    "HalfNormal": ("scale=1.0", "2 N(x; 0, scale), x > 0"),
    "Independent": (
        "base_distribution, reinterpreted_batch_ndims",
        "the base distribution, with its last batch axes as axes of one event",
    ),
    "InverseGamma": ("concentration, rate=1.0", "that of 1 / u, u ~ Gamma(concentration, rate)"),
    "Kumaraswamy": ("concentration1, concentration0", "a b x^(a - 1) (1 - x^a)^(b - 1), x in (0, 1); a, b in order"),
    "LKJCholesky": ("dim, concentration=1.0", "Cholesky factors of correlation matrices, det(L L^T)^(concentration - 1)"),
    "Laplace": ("loc=0.0, scale=1.0", "exp(-|x - loc| / scale) / (2 scale)"),
    "LogNormal": ("loc=0.0, scale=1.0", "that of exp(u), u ~ Normal(loc, scale)"),
    "Logistic": ("loc=0.0, scale=1.0", "exp(-u) / (scale (1 + exp(-u))^2), u = (x - loc) / scale"),
    "LowRankMultivariateNormal": ("loc, cov_factor, cov_diag", "N(x; loc, cov_factor cov_factor^T + diag(cov_diag))"),
    "MixtureSameFamily": (
        "mixture_distribution, component_distribution",
        "sum_k w_k p_k(x), w of a Categorical; the components lie along the last batch axis",
    ),
    "Multinomial": (
        "total_count=1, probs=None, logits=None",
        "total_count! prod_i probs_i^x_i / x_i!; counts that sum to total_count, which may differ from row to row",
    ),
    "MultivariateNormal": (
        "loc=0.0, covariance_matrix=None, precision_matrix=None, scale_tril=None",
        "N(x; loc, covariance_matrix); scale_tril is its Cholesky factor",
    ),
    "MultivariateStudentT": ("df, loc, scale_tril", "that of loc + scale_tril u / sqrt(c / df), u ~ N(0, I), c ~ Chi2(df)"),
    "NegativeBinomial": (
        "total_count, probs=None, logits=None",
        "Gamma(x + n) / (Gamma(n) x!) probs^x (1 - probs)^n, n = total_count: successes before n failures",
    ),
    "NegativeBinomial2": ("mean, concentration", "GammaPoisson(concentration, concentration / mean)"),
    "Normal": ("loc=0.0, scale=1.0", "exp(-((x - loc) / scale)^2 / 2) / (scale sqrt(2 pi))"),
    "OrderedLogistic": (
        "predictor, cutpoints",
        "P(x <= k) = sigmoid(cutpoints_k - predictor), x in 0..K-1; K - 1 cutpoints along the last axis",
    ),
    "Pareto": ("scale, alpha", "alpha scale^alpha / x^(alpha + 1), x > scale"),
    "Poisson": ("rate", "rate^x exp(-rate) / x!, x in 0, 1, ..."),
    "RelaxedBernoulli": ("temperature, probs=None, logits=None", "that of sigmoid((logits + u) / temperature), u ~ Logistic()"),
    "RelaxedOneHotCategorical": (
        "temperature, probs=None, logits=None",
        "that of softmax((logits + u) / temperature), u_k ~ Gumbel(): on the simplex",
    ),
    "SoftLaplace": ("loc=0.0, scale=1.0", "2 / (pi scale (exp(u) + exp(-u))), u = (x - loc) / scale"),
    "StudentT": ("df, loc=0.0, scale=1.0", "that of loc + scale u / sqrt(c / df), u ~ Normal(), c ~ Chi2(df)"),
    "TransformedDistribution": (
        "base_distribution, transforms",
        "that of f(u), u from the base; transforms are the backend's own",
    ),
    "Uniform": ("low=0.0, high=1.0", "1 / (high - low), x in [low, high]"),
    "VonMises": ("loc, concentration", "exp(concentration cos(x - loc)) / (2 pi I_0(concentration)), x in [-pi, pi]"),
    "Weibull": ("scale, concentration", "(c / scale) u^(c - 1) exp(-u^c), u = x / scale > 0, c = concentration"),
    "Wishart": (
        "df, covariance_matrix=None, precision_matrix=None, scale_tril=None",
        "that of sum_i u_i u_i^T over df draws u_i ~ N(0, covariance_matrix)",
    ),
    "ZeroInflatedDistribution": (
        "base_dist, *, gate=None, gate_logits=None",
        "gate [x = 0] + (1 - gate) p(x), p the base distribution of counts",
    ),
    "ZeroInflatedNegativeBinomial": (
        "total_count, *, probs=None, logits=None, gate=None, gate_logits=None",
        "gate [x = 0] + (1 - gate) NegativeBinomial(total_count, probs)",
    ),
    "ZeroInflatedNegativeBinomial2": (
        "mean, concentration, *, gate=None, gate_logits=None",
        "gate [x = 0] + (1 - gate) NegativeBinomial2(mean, concentration)",
    ),
    "ZeroInflatedPoisson": ("rate, *, gate=None, gate_logits=None", "gate [x = 0] + (1 - gate) Poisson(rate)"),
}  # fmt: skip
"""Name: its arguments, in order, and its density p(x). Arguments that are None by default are alternatives: see `CHOICES`."""

CHOICES = (("probs", "logits"), ("gate", "gate_logits"), ("covariance_matrix", "precision_matrix", "scale_tril"))
"""Ways to say one thing: a distribution takes one of each group that it has."""

STRUCTURE = frozenset({"dim", "event_dim", "reinterpreted_batch_ndims", "validate_args"})
"""Arguments that are no numbers of the distribution: counts of axes, and switches."""


def _inflated(make: Callable[..., Any], base: str, **arguments: Any) -> Any:
    gate = {name: arguments.pop(name) for name in ("gate", "gate_logits") if name in arguments}
    return make("ZeroInflatedDistribution", base_dist=make(base, **arguments), **gate)


MADE_OF_OTHERS: dict[str, Callable[..., Any]] = {
    "NegativeBinomial2": lambda make, mean, concentration, **rest: make(
        "GammaPoisson", concentration=concentration, rate=concentration / mean, **rest
    ),
    "ZeroInflatedNegativeBinomial": lambda make, **arguments: _inflated(make, "NegativeBinomial", **arguments),
    "ZeroInflatedNegativeBinomial2": lambda make, **arguments: _inflated(make, "NegativeBinomial2", **arguments),
    "ZeroInflatedPoisson": lambda make, **arguments: _inflated(make, "Poisson", **arguments),
}
"""Distributions that are others under another name, on every backend: functions of what makes those, and the arguments."""


def are_numbers(x: Any) -> bool:
    """Whether an argument is a number or holds numbers alone; a list may hold transforms as well."""
    return (
        all(map(are_numbers, x)) if isinstance(x, list | tuple) else isinstance(x, float | int | np.number | np.ndarray)
    )


class Named:
    """A distribution by its name: called inside a program, it makes that of the active backend.

    Args:
        name: a name in `TABLE`.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = self.__qualname__ = name
        arguments, density = TABLE[name]
        self.__signature__ = _signature(arguments)
        self.__doc__ = f"{name}({arguments}): p(x) = {density}."

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        arguments, active = self.bound(*args, **kwargs), ops.active()
        if active is None:
            raise ProgramError(
                f"ppgen.dist.{self.__name__} was called outside a running program; expected it inside a model or guide that "
                "ppgen.fit runs. For a look at one by hand write: with ppgen.using('numpyro'): ..."
            )
        return active.distribution(self.__name__, **arguments)

    def bound(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments by name, without those that are None.

        Raises:
            ProgramError: arguments that the distribution does not have, too few of them, or two that say one thing.
        """
        try:
            bound = self.__signature__.bind(*args, **kwargs)
        except TypeError as error:
            raise ProgramError(f"expected ppgen.dist.{self.__name__}{self.__signature__}; got {error}.") from None
        bound.apply_defaults()
        given = {name: value for name, value in bound.arguments.items() if value is not None}
        for group in CHOICES:
            mine = [name for name in group if name in self.__signature__.parameters]
            if mine and len(found := [name for name in mine if name in given]) != 1:
                raise ProgramError(
                    f"expected ppgen.dist.{self.__name__} with one of {', '.join(mine)}; got {' and '.join(found) or 'none'}. "
                    f"They say one thing: give {mine[0]}=, or another."
                )
        return given

    def __repr__(self) -> str:
        return f"ppgen.dist.{self.__name__}{self.__signature__}"


class Catalogue:
    """`ppgen.dist`: distributions of the active backend under the names that every backend has; and the learnable ones.

    A name has one order of arguments, one density and draws alike on every backend. `help(ppgen.dist.Normal)` tells them.

    Example:
        >>> import ppgen
        >>> ppgen.dist.NegativeBinomial2
        ppgen.dist.NegativeBinomial2(mean, concentration, *, validate_args=None)
        >>> with ppgen.using("numpyro"):
        ...     log_prob = ppgen.dist.NegativeBinomial2(3.0, concentration=2.0).log_prob(0)
        >>> round(float(log_prob), 4)  # 2 log(2 / 5)
        -1.8326
    """

    SHARED = tuple(TABLE)
    named: Mapping[str, Named]
    learnable: ClassVar[dict[str, type]] = {}  # entered by ppgen.distributions

    def __init__(self) -> None:
        self.named = {name: Named(name) for name in TABLE}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if found := self.named.get(name) or self.learnable.get(name):
            return found
        raise AttributeError(
            f"ppgen.dist has no {name!r}; expected one of {', '.join(dir(self))}. "
            "A distribution of one backend only can be imported from that backend."
        )

    def __dir__(self) -> list[str]:
        return [*self.SHARED, *self.learnable]


def _signature(arguments: str) -> inspect.Signature:
    """The signature of arguments as they stand in `TABLE`, with `validate_args` beside them."""
    kind, parameters = inspect.Parameter.POSITIONAL_OR_KEYWORD, []
    for argument in [*arguments.split(", "), *(() if "*" in arguments else ("*",)), "validate_args=None"]:
        name, equals, default = argument.partition("=")
        if name == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
            continue
        value = inspect.Parameter.empty if not equals else _default(default)
        parameters.append(inspect.Parameter(name, kind, default=value))
    return inspect.Signature(parameters)


def _default(text: str) -> float | int | None:
    if text == "None":
        return None
    return float(text) if "." in text else int(text)
