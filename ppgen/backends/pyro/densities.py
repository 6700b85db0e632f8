"""A learnable distribution with its parameters and context, as a Pyro distribution."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch.distributions import constraints

from ppgen import ops
from ppgen.backends.shapes import expanded


class Densities:
    """Makes native distributions of learnable ones."""

    def density(self, learnable: Any, params: Mapping[str, Any], context: Any = None) -> TorchDistribution:
        """A `pyro.distributions.TorchDistribution`; see `ppgen.distributions.learnable`."""
        return Density(self, learnable, params, context, () if context is None else context.shape[:-1])


class Density(TorchDistribution):
    """Density and draws are the learnable's own; batches and expansion are Pyro's."""

    arg_constraints: ClassVar[dict] = {}

    def __init__(self, backend: Any, learnable: Any, params: Any, context: Any, batch_shape: Any) -> None:
        self.backend, self.learnable, self.params, self.context = backend, learnable, params, context
        self._drawn: tuple[Any, Any, Any] = (None, None, None)  # the latest draw, `_versions`, its log density
        super().__init__(torch.Size(batch_shape), torch.Size(learnable.event_shape), validate_args=False)

    @property
    def support(self) -> Any:
        kinds = {
            "real": constraints.real,
            "positive": constraints.positive,
            "unit_interval": constraints.unit_interval,
            "boolean": constraints.boolean,
        }
        kind = self.learnable.support
        if isinstance(kind, tuple):
            base = constraints.interval(*kind)
        else:
            base = constraints.integer_interval(0, kind - 1) if isinstance(kind, int) else kinds[kind]
        return constraints.independent(base, len(self.event_shape))

    @property
    def has_rsample(self) -> bool:
        return self.learnable.reparameterised

    @property
    def mean(self) -> torch.Tensor:
        with ops.activate(self.backend):
            mean = self.learnable.mean(self.params, self.context)
        return mean.expand(self.batch_shape + self.event_shape)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Density":
        batch_shape = expanded(self.batch_shape, batch_shape)
        return Density(self.backend, self.learnable, self.params, self.context, batch_shape)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        drawn, versions, log_prob = self._drawn
        if value is not drawn or versions is None or self._versions(value) != versions:
            with ops.activate(self.backend):
                log_prob = self.learnable.log_prob(self.params, value, self.context)
        if log_prob.shape[log_prob.ndim - len(self.batch_shape) :] == self.batch_shape:
            return log_prob  # as it mostly is: torch takes as long to join two shapes as for a layer of a small network
        return log_prob.expand(torch.broadcast_shapes(log_prob.shape, self.batch_shape))

    def sample(self, sample_shape: Any = ()) -> torch.Tensor:
        with torch.no_grad(), ops.activate(self.backend):
            return self.learnable.draw(self.params, self._noise(), self._shape(sample_shape), self.context)

    def rsample(self, sample_shape: Any = ()) -> torch.Tensor:
        if not self.has_rsample:
            raise NotImplementedError(f"draws of {self.learnable!r} carry no gradient; expected sample().")
        arguments = self.params, self._noise(), self._shape(sample_shape), self.context
        with ops.activate(self.backend):
            if not self.learnable.has_density:
                return self.learnable.draw(*arguments)
            value, log_prob = self.learnable.draw_with_log_prob(*arguments)
        self._drawn = value, self._versions(value), log_prob
        return value

    def _versions(self, value: torch.Tensor) -> list[int] | None:
        """How often each tensor that a log density depends on was changed in place; None where torch does not say."""
        tensors = [value, *self.params.values(), *([] if self.context is None else [self.context])]
        try:
            return [x._version for x in tensors]
        except RuntimeError:  # of inference mode
            return None

    def _shape(self, sample_shape: Any) -> tuple[int, ...]:
        return (*sample_shape, *self.batch_shape)

    def _noise(self) -> "Noise":
        floats = [*self.params.values(), *([] if self.context is None else [self.context])]
        return Noise(floats[0].dtype if floats else torch.get_default_dtype())

    def __repr__(self) -> str:
        return f"{self.learnable!r} with batch shape {tuple(self.batch_shape)}"


class Noise:
    """Random numbers from torch's generator, which a run of a program has seeded."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def uniform(self, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.rand(shape, dtype=self.dtype)

    def normal(self, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(shape, dtype=self.dtype)
