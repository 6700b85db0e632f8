"""A flow over all global sites together."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ppgen import distributions
from ppgen.distributions import IAF, Learnable, flows
from ppgen.guides.gaussian import Together
from ppgen.guides.mean_field import START
from ppgen.language import module


@dataclass(frozen=True)
class Flow(Together):
    """A flow over all global sites, mapped onto their supports (Rezende & Mohamed, 2015); it starts narrow, around 0.

    Local sites (in the plate of rows) are Gaussians, as in `MeanField`.

    Args:
        make: from a number of dimensions to the flow; `ppgen.distributions.IAF` by default, whose draws are one pass.
    """

    make: Callable[[int], Learnable] = IAF

    def shared(self, width: int) -> Any:
        narrow = distributions.Flow(self.make(width), (flows.AffineConstant(0.0, math.exp(START)),))
        return module("guide.flow", narrow)()
