"""Importance weights of particles that go by way of tempered posteriors, in either direction."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ppgen import ops
from ppgen.inference.smc.moves import MOVES, Population, population
from ppgen.inference.target import RowTarget

STEEP = 4.0  # of the sigmoid: temperatures rise slowly near the prior and near the posterior


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Path:
    r"""The temperatures of a run, one entry a move; each move leaves :math:`p(z) p(x | z)^t` as it is.

    Attributes:
        before: by how much the temperature rises before the move.
        temperature: that of the move.
        after: by how much it rises after the move.
    """

    before: Any
    temperature: Any
    after: Any

    @classmethod
    def up(cls, temperatures: int) -> "Path":
        """From the prior to the posterior, by a sigmoid schedule (Grosse et al., 2015)."""
        curve = 1 / (1 + np.exp(-STEEP * np.linspace(-1, 1, temperatures + 1)))
        t = ((curve - curve[0]) / (curve[-1] - curve[0])).astype(np.float32)
        return cls(np.diff(t), t[1:], np.zeros(temperatures, np.float32))

    @property
    def down(self) -> "Path":
        """The same way back: what came before a move comes after it, with the other sign."""
        return Path(-self.after[::-1], self.temperature[::-1], -self.before[::-1])


def anneal(
    target: RowTarget, u: ops.Array, path: Path, scale: Any, steps: Any, adapt: Any, key: Any
) -> tuple[Any, Any, Any]:
    r"""Annealed importance sampling with Hamiltonian moves (Neal, 2001), row by row.

    .. math:: \log w = \sum_t (\beta_{t+1} - \beta_t) \log p(x | z_t), \qquad E[w] = p(x)

    The mean is over exact draws from the prior and moves that are chosen without a look at them. So step sizes that adapt to
    the particles belong to a first run, whose own weights are not used; a second one takes them as they are. From draws of
    the posterior, on the way down, :math:`E[w] = 1 / p(x)`.

    Args:
        target: the posterior of each row.
        u: where particles start, [n, rows, width].
        path: temperatures.
        scale: of each number of u, at the prior [width].
        steps: step size of each move and row, [moves, rows]; where they adapt, the first one counts.
        adapt: whether they do.
        key: randomness.

    Returns:
        Log weights [n, rows], the steps that were taken [moves, rows], and the acceptance rates [moves, rows].
    """
    move, backend = MOVES["hmc"], target.p.backend

    def stage(carry: Any, now: Any) -> Any:
        here, log_weight, adapted = carry
        turn, at, given = now
        step = ops.where(adapt, adapted, given)
        log_weight = log_weight + _rise(at.before, here)
        here, rate, adapted = move(target, here, at.temperature, scale, step, backend.fold_in(key, turn))
        return (here, log_weight + _rise(at.after, here), adapted), (step, rate)

    here = population(target, u)
    start = (here, ops.zeros(tuple(u.shape[:2]), u), steps[0])
    (_, log_weight, _), (taken, rates) = ops.scan(stage, start, (ops.arange(len(steps), steps), path, steps))
    return log_weight, taken, rates


def _rise(by: ops.Array, here: Population) -> ops.Array:
    """What a rise of the temperature gives particles; nothing of nothing, where the likelihood is 0."""
    return ops.where(by == 0, 0 * by, by * here.log_likelihood)
