"""The tables that every contract test runs over: a distribution or a transform is tested by being listed here."""

from collections.abc import Callable

from ppgen.distributions.autoregressive import MADE, Recurrent, conditionals
from ppgen.distributions.bases import StandardNormal, StandardUniform
from ppgen.distributions.empirical import Empirical
from ppgen.distributions.flows import Affine, AutoregressiveTransform, Flow, Inverse, Shift, Transform
from ppgen.distributions.learnable import Learnable

DISTRIBUTIONS: dict[str, Callable[[], Learnable]] = {
    # autoregressive
    "made": lambda: MADE(5, hidden=(16,)),
    "made_deep": lambda: MADE(5, hidden=(12, 12), order=(3, 1, 4, 0, 2), residual=True, direct=True, seed=1),
    "made_conditional": lambda: MADE(4, hidden=(16,), context=3),
    "made_categorical": lambda: MADE(3, hidden=(12,), conditional=conditionals.Categorical(3)),
    "made_gaussian": lambda: MADE(4, hidden=(12,), conditional=conditionals.Gaussian(), context=2),
    "recurrent_gru": lambda: Recurrent(4, hidden=8),
    "recurrent_lstm": lambda: Recurrent(3, hidden=6, cell="lstm", conditional=conditionals.Categorical(3), context=2),
    # flows
    "flow_autoregressive": lambda: Flow(
        StandardNormal(4), (AutoregressiveTransform(4, hidden=(16, 16), context=3), Inverse(AutoregressiveTransform(4)))
    ),
    # the rows at hand
    "empirical": lambda: Empirical([[0, 1], [1, 1], [0, 1]], support="boolean"),
    # bases
    "standard_normal": lambda: StandardNormal(3),
    "standard_uniform": lambda: StandardUniform(2),
}
"""Learnable distributions by name, each small enough to run through every test."""

TRANSFORMS: dict[str, tuple[Callable[[], Transform], tuple[int, ...]]] = {
    "autoregressive_affine": (lambda: AutoregressiveTransform(4, Affine(), hidden=(16,), context=2), (4,)),
    "autoregressive_shift": (lambda: AutoregressiveTransform(3, Shift(), hidden=(8,), order=(2, 0, 1)), (3,)),
    "inverse_autoregressive": (lambda: Inverse(AutoregressiveTransform(3, hidden=(8,))), (3,)),
}
"""Transforms by name, each with the event shape that it acts on."""
