"""Distributions to start a flow from; they have no parameters."""

import math
from dataclasses import dataclass
from typing import Any

from ppgen import arguments, ops
from ppgen.distributions.learnable import Learnable, Noise, Parameters, check_event


@dataclass(frozen=True, init=False)
class StandardNormal(Learnable):
    """Independent standard normals: `StandardNormal(20)`, or `StandardNormal(3, 32, 32)` for images."""

    event_shape: tuple[int, ...]

    def __init__(self, *event_shape: int) -> None:
        sizes = arguments.sizes(type(self).__name__, "event_shape", event_shape, empty=True)
        arguments.assign(self, event_shape=sizes)

    def log_prob(self, params: Parameters, x: ops.Array, context: Any = None) -> ops.Array:
        check_event(self, x)
        return ops.sum(-0.5 * ops.square(x) - 0.5 * math.log(2 * math.pi), _events(self))

    def draw(self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: Any = None) -> ops.Array:
        return noise.normal((*shape, *self.event_shape))

    def __repr__(self) -> str:
        return f"StandardNormal({', '.join(map(str, self.event_shape))})"


@dataclass(frozen=True, init=False)
class StandardUniform(Learnable):
    """Independent uniforms on (0, 1); the log density outside is minus infinity."""

    event_shape: tuple[int, ...]
    support = "unit_interval"

    def __init__(self, *event_shape: int) -> None:
        sizes = arguments.sizes(type(self).__name__, "event_shape", event_shape, empty=True)
        arguments.assign(self, event_shape=sizes)

    def log_prob(self, params: Parameters, x: ops.Array, context: Any = None) -> ops.Array:
        check_event(self, x)
        return ops.sum(ops.where((x >= 0) & (x <= 1), x * 0, x * 0 - math.inf), _events(self))

    def draw(self, params: Parameters, noise: Noise, shape: tuple[int, ...], context: Any = None) -> ops.Array:
        u = noise.uniform((*shape, *self.event_shape))
        return ops.clip(u, float(ops.finfo(u).tiny))  # not 0, where a logit is infinite

    def __repr__(self) -> str:
        return f"StandardUniform({', '.join(map(str, self.event_shape))})"


def _events(learnable: Learnable) -> tuple[int, ...]:
    return tuple(range(-len(learnable.event_shape), 0))
