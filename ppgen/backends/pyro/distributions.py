"""The distributions of the catalogue as Pyro spells them, and those that it lacks."""

import math
from typing import Any, ClassVar

import numpy as np
import pyro.distributions as pd
import torch
from torch.distributions import constraints

from ppgen.backends.catalogue import MADE_OF_OTHERS, STRUCTURE, are_numbers


def make(name: str, **arguments: Any) -> pd.TorchDistribution:
    """A distribution of the catalogue."""
    arguments = {n: value if n in STRUCTURE else tensor(value, whole=n == "v") for n, value in arguments.items()}
    if name in MADE_OF_OTHERS:
        return MADE_OF_OTHERS[name](make, **arguments)
    return (OWN.get(name) or getattr(pd, name))(**arguments)


def tensor(x: Any, *, whole: bool = False) -> Any:
    """Numbers as a tensor of floats, which torch wants where JAX takes numbers; anything else as it is.

    Args:
        x: an argument of a distribution.
        whole: whether integers stay integers, as the value of a `Delta` does.
    """
    if isinstance(x, torch.Tensor | bool) or not are_numbers(x):
        return x
    array = np.asarray(x)
    return torch.as_tensor(array, dtype=None if whole and array.dtype.kind == "i" else torch.get_default_dtype())


class Multinomial(pd.TorchDistribution):
    """Counts that sum to a total, which may be another one in each row."""

    arg_constraints: ClassVar[dict] = {"probs": constraints.simplex, "total_count": constraints.nonnegative_integer}

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        probs = torch.softmax(logits, -1) if probs is None else probs
        batch_shape = torch.broadcast_shapes(probs.shape[:-1], total_count.shape)
        self.probs = probs.expand(*batch_shape, probs.shape[-1])
        self.total_count = total_count.expand(batch_shape)
        super().__init__(batch_shape, probs.shape[-1:], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> torch.Tensor:
        return self.probs * self.total_count[..., None]

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Multinomial":
        batch_shape = torch.Size(batch_shape)
        probs = self.probs.expand(*batch_shape, self.probs.shape[-1])
        return Multinomial(self.total_count.expand(batch_shape), probs, validate_args=False)

    def sample(self, sample_shape: Any = ()) -> torch.Tensor:
        """Of as many draws of a class as the largest total, each row counts its first ones."""
        shape, most = (*sample_shape, *self.batch_shape), int(self.total_count.max())
        with torch.no_grad():
            classes = pd.Categorical(self.probs.expand(*shape, -1)).sample((most,))
            counted = torch.arange(most).reshape(-1, *(1,) * len(shape)) < self.total_count
            counts = torch.zeros((*shape, self.probs.shape[-1]), dtype=self.probs.dtype)
            return counts.scatter_add(
                -1, classes.movedim(0, -1), counted.movedim(0, -1).to(counts).expand(*shape, most)
            )

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        if self._validate_args:
            self._validate_sample(value)
        each = torch.xlogy(value, self.probs) - torch.lgamma(value + 1.0)
        return torch.lgamma(self.total_count + 1.0) + each.sum(-1)


class DirichletMultinomial(pd.DirichletMultinomial):
    """Pyro's, with draws also where totals differ."""

    def expand(self, batch_shape: Any, _instance: Any = None) -> "DirichletMultinomial":
        return super().expand(batch_shape, self._get_checked_instance(DirichletMultinomial, _instance))

    def sample(self, sample_shape: Any = ()) -> torch.Tensor:
        return Multinomial(self.total_count, self._dirichlet.sample(sample_shape)).sample()


class RelaxedOneHotCategorical(pd.TorchDistribution):
    r"""The Concrete distribution (Maddison et al., 2017), with the temperature t, which may have a batch, and K classes.

    .. math:: p(x) = (K - 1)! \, t^{K - 1} \prod_k \frac{e^{l_k} x_k^{-t - 1}}{\sum_j e^{l_j} x_j^{-t}}
    """

    arg_constraints: ClassVar[dict] = {"temperature": constraints.positive, "logits": constraints.real_vector}
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        logits = torch.log(probs) if logits is None else logits
        batch_shape = torch.broadcast_shapes(logits.shape[:-1], temperature.shape)
        self.logits = logits.expand(*batch_shape, logits.shape[-1])
        self.temperature = temperature.expand(batch_shape)
        super().__init__(batch_shape, logits.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "RelaxedOneHotCategorical":
        batch_shape = torch.Size(batch_shape)
        logits = self.logits.expand(*batch_shape, self.logits.shape[-1])
        return RelaxedOneHotCategorical(self.temperature.expand(batch_shape), logits=logits, validate_args=False)

    @property
    def support(self) -> Any:
        return constraints.simplex

    def rsample(self, sample_shape: Any = ()) -> torch.Tensor:
        noise = pd.Gumbel(torch.zeros_like(self.logits), 1.0).sample(torch.Size(sample_shape))
        x = torch.softmax((self.logits + noise) / self.temperature[..., None], -1)
        return x.clamp(min=torch.finfo(x.dtype).tiny)  # inside the simplex: its logarithm is finite

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        if self._validate_args:
            self._validate_sample(value)
        t, k, log_x = self.temperature, self.logits.shape[-1], torch.log(value)
        score = torch.log_softmax(self.logits - t[..., None] * log_x, -1)
        return torch.lgamma(torch.tensor(float(k))) + (k - 1) * torch.log(t) + (score - log_x).sum(-1)


class Wishart(pd.Wishart):
    """torch's, without its search for singular draws, which takes every draw for one."""

    def rsample(self, sample_shape: Any = ()) -> torch.Tensor:
        return self._bartlett_sampling(torch.Size(sample_shape))


class VonMises(pd.VonMises):
    """torch's, on the circle: as a density on all reals it would not sum to one."""

    @property
    def support(self) -> Any:
        return constraints.interval(-math.pi, math.pi)


OWN = {
    "DirichletMultinomial": DirichletMultinomial,
    "Multinomial": Multinomial,
    "RelaxedOneHotCategorical": RelaxedOneHotCategorical,
    "VonMises": VonMises,
    "Wishart": Wishart,
}
"""Those that Pyro lacks, or has otherwise."""
