r"""How networks start: one rule for all of them.

The weights and the bias of a unit that n numbers enter are uniform in [-1 / sqrt(n), 1 / sqrt(n)] (LeCun et al., 1998, with
a smaller bound; it is what torch does).

- n counts what enters: the context too, and behind a mask what the mask lets through, unit by unit. With a bound by the
  size of the matrix, units that see little would hardly move, and those that see all would be the only ones to tell.
- Biases are drawn. With biases of 0 the kinks of all rectifiers of one number lie at 0, and a network of a scalar (of which
  flows in few dimensions are made) is two straight lines until it has learned otherwise.
- Outputs are small: of standard deviation 0.6 at most, where inputs are of size 1, and less behind a rectifier. They are
  parameters of distributions, log scales among them, so a program starts close to what it says without its networks. A
  bound that keeps variances through all layers fits as well where rows are many, and more noise where they are few
  (`python -m benchmarks.starts`).

Networks that add to the identity, those of flows, have outputs that start at 0.
"""

import numpy as np

from ppgen.nn.spec import Spec


def bound(entering: int | np.ndarray) -> float | tuple[float, ...]:
    """The bound of units that so many numbers enter, one number for all of them or one for each; 0 where none enters."""
    bounds = np.where(np.equal(entering, 0), 0.0, 1 / np.sqrt(np.maximum(entering, 1)))
    return tuple(bounds.tolist()) if bounds.ndim else float(bounds)


def linear(name: str, inputs: int, outputs: int, entering: int | np.ndarray | None = None) -> dict[str, Spec]:
    """The weight [inputs, outputs] and the bias [outputs] of a linear layer.

    Args:
        name: the parameters are `name.weight` and `name.bias`.
        inputs: rows of the weight.
        outputs: columns of the weight.
        entering: how many numbers enter each unit, where that is not `inputs`.
    """
    limit = bound(inputs if entering is None else entering)
    return {f"{name}.weight": Spec((inputs, outputs), limit), f"{name}.bias": Spec((outputs,), limit)}
