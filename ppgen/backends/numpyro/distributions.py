"""The distributions of the catalogue as NumPyro spells them, and those that it lacks."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as nd
from jax import random
from jax.scipy.special import gammaln
from numpyro.distributions.util import validate_sample

from ppgen.backends.catalogue import MADE_OF_OTHERS, are_numbers

SPELLING = {
    "Independent": {"base_distribution": "base_dist"},
    "LKJCholesky": {"dim": "dimension"},
    "MixtureSameFamily": {"mixture_distribution": "mixing_distribution"},
    "Wishart": {"df": "concentration", "covariance_matrix": "scale_matrix", "precision_matrix": "rate_matrix"},
}
"""Arguments that go by another name."""


def make(name: str, **arguments: Any) -> nd.Distribution:
    """A distribution of the catalogue."""
    arguments = {
        n: jnp.asarray(x) if isinstance(x, list | tuple) and are_numbers(x) else x for n, x in arguments.items()
    }
    if name in MADE_OF_OTHERS:
        return MADE_OF_OTHERS[name](make, **arguments)
    spelling = SPELLING.get(name, {})
    found = OWN.get(name) or getattr(nd, name)
    return found(**{spelling.get(argument, argument): value for argument, value in arguments.items()})


class BernoulliLogits(nd.BernoulliLogits):
    """Bernoulli by log-odds l: log p(x) = x l - softplus(l), with the right gradient (x - 1/2) at l = 0."""

    def log_prob(self, value: Any) -> Any:
        """Log probability of `value` (0 or 1)."""
        return value * self.logits - jax.nn.softplus(self.logits)


def Bernoulli(probs: Any = None, logits: Any = None, **rest: Any) -> nd.Distribution:
    """NumPyro's Bernoulli by `probs`, ppgen's by `logits`."""
    return nd.Bernoulli(probs, **rest) if logits is None else BernoulliLogits(logits, **rest)


class Multinomial(nd.Distribution):
    """Counts that sum to a total, which may be another one in each row, and known to the compiled program only."""

    arg_constraints: ClassVar[dict] = {
        "probs": nd.constraints.simplex,
        "total_count": nd.constraints.nonnegative_integer,
    }
    pytree_data_fields = ("probs", "total_count")

    def __init__(self, total_count: Any, probs: Any = None, logits: Any = None, **rest: Any) -> None:
        probs = jax.nn.softmax(logits, -1) if probs is None else jnp.asarray(probs)
        batch_shape = np.broadcast_shapes(probs.shape[:-1], jnp.shape(total_count))
        self.probs = jnp.broadcast_to(probs, (*batch_shape, probs.shape[-1]))
        self.total_count = jnp.broadcast_to(jnp.asarray(total_count), batch_shape)
        super().__init__(batch_shape, probs.shape[-1:], **rest)

    @property
    def support(self) -> Any:
        return nd.constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count[..., None]

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        shape = (*sample_shape, *self.batch_shape, *self.event_shape)
        count = jnp.broadcast_to(self.total_count.astype(self.probs.dtype), shape[:-1])
        return random.multinomial(key, count, jnp.broadcast_to(self.probs, shape)).astype(int)

    @validate_sample
    def log_prob(self, value: Any) -> Any:
        each = jax.scipy.special.xlogy(value, self.probs) - gammaln(value + 1.0)
        return gammaln(self.total_count + 1.0) + jnp.sum(each, -1)


class DirichletMultinomial(nd.Distribution):
    """A `Multinomial` with probabilities from a Dirichlet."""

    arg_constraints: ClassVar[dict] = {
        "concentration": nd.constraints.independent(nd.constraints.positive, 1),
        "total_count": nd.constraints.nonnegative_integer,
    }
    pytree_data_fields = ("concentration", "total_count")

    def __init__(self, concentration: Any, total_count: Any = 1, **rest: Any) -> None:
        concentration = jnp.asarray(concentration)
        batch_shape = np.broadcast_shapes(concentration.shape[:-1], jnp.shape(total_count))
        self.concentration = jnp.broadcast_to(concentration, (*batch_shape, concentration.shape[-1]))
        self.total_count = jnp.broadcast_to(jnp.asarray(total_count), batch_shape)
        super().__init__(batch_shape, concentration.shape[-1:], **rest)

    @property
    def support(self) -> Any:
        return nd.constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Any:
        share = self.concentration / jnp.sum(self.concentration, -1, keepdims=True)
        return share * self.total_count[..., None]

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        of_probs, of_counts = random.split(key)
        probs = nd.Dirichlet(self.concentration).sample(of_probs, sample_shape)
        return Multinomial(self.total_count, probs).sample(of_counts)

    @validate_sample
    def log_prob(self, value: Any) -> Any:
        def log_rising(a: Any, n: Any) -> Any:  # of a (a + 1) ... (a + n - 1) / n!
            return gammaln(a + n) - gammaln(a) - gammaln(n + 1.0)

        together = log_rising(jnp.sum(self.concentration, -1), self.total_count)
        return jnp.sum(log_rising(self.concentration, value), -1) - together


class RelaxedOneHotCategorical(nd.Distribution):
    r"""The Concrete distribution (Maddison et al., 2017), with the temperature t and K classes.

    .. math:: p(x) = (K - 1)! \, t^{K - 1} \prod_k \frac{e^{l_k} x_k^{-t - 1}}{\sum_j e^{l_j} x_j^{-t}}
    """

    arg_constraints: ClassVar[dict] = {
        "temperature": nd.constraints.positive,
        "logits": nd.constraints.real_vector,
    }
    reparametrized_params: ClassVar[list] = ["temperature", "logits"]
    pytree_data_fields = ("temperature", "logits")

    def __init__(self, temperature: Any, probs: Any = None, logits: Any = None, **rest: Any) -> None:
        logits = jnp.log(jnp.asarray(probs)) if logits is None else jnp.asarray(logits)
        batch_shape = np.broadcast_shapes(logits.shape[:-1], jnp.shape(temperature))
        self.logits = jnp.broadcast_to(logits, (*batch_shape, logits.shape[-1]))
        self.temperature = jnp.broadcast_to(jnp.asarray(temperature), batch_shape)
        super().__init__(batch_shape, logits.shape[-1:], **rest)

    @property
    def support(self) -> Any:
        return nd.constraints.simplex

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        noise = random.gumbel(key, (*sample_shape, *self.batch_shape, *self.event_shape), self.logits.dtype)
        x = jax.nn.softmax((self.logits + noise) / self.temperature[..., None], -1)
        return jnp.clip(x, jnp.finfo(x.dtype).tiny)  # inside the simplex: its logarithm is finite

    @validate_sample
    def log_prob(self, value: Any) -> Any:
        t, k, log_x = self.temperature, self.logits.shape[-1], jnp.log(value)
        score = jax.nn.log_softmax(self.logits - t[..., None] * log_x, -1)
        return gammaln(k * 1.0) + (k - 1) * jnp.log(t) + jnp.sum(score - log_x, -1)


OWN = {
    "Bernoulli": Bernoulli,
    "DirichletMultinomial": DirichletMultinomial,
    "Multinomial": Multinomial,
    "RelaxedOneHotCategorical": RelaxedOneHotCategorical,
}
"""Those that NumPyro lacks, or has otherwise."""
