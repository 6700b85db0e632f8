"""Sites of which some numbers are missing: their terms are dropped."""

from typing import Any

from ppgen import ops
from ppgen.errors import DataError


class Entries:
    r"""The log density of those numbers of a site that are known, where each has a density of its own.

    .. math:: \sum_{d \text{ known}} \log p(x_d)

    Args:
        name: the site, for messages.
        fn: its distribution: of single numbers, in plates or made one event by `to_event`.
        kept: which numbers are known, booleans of the site's batch and event shape.
    """

    def __init__(self, name: str, fn: Any, kept: Any) -> None:
        self.base, self.axes, self.kept = fn, len(fn.event_shape), kept
        while type(self.base).__name__ in ("Independent", "ExpandedDistribution"):
            self.base = self.base.base_dist
        if tuple(self.base.event_shape):
            raise DataError(
                f"site {name!r}: single entries of the data are missing, and {type(self.base).__name__} has one density of all "
                f"{tuple(self.base.event_shape)} together; expected a distribution of single numbers, in plates or with "
                ".to_event(n). Use one, or mask whole rows and give the guide the site."
            )

    def log_prob(self, value: Any) -> Any:
        """The known numbers' log density, summed over the event."""
        log_prob = self.base.log_prob(value)
        log_prob = ops.where(self.kept, log_prob, ops.zeros((), log_prob))
        return ops.sum(log_prob, tuple(range(-self.axes, 0))) if self.axes else log_prob
