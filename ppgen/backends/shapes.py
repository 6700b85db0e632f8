"""Batch shapes of native distributions."""

from collections.abc import Iterable


def expanded(shape: tuple[int, ...], wanted: Iterable[int]) -> tuple[int, ...]:
    """The wanted batch shape, or ValueError where `shape` does not broadcast to it."""
    wanted = tuple(wanted)
    pairs = zip(reversed(shape), reversed(wanted), strict=False)
    if len(shape) > len(wanted) or any(old not in (1, new) for old, new in pairs):
        raise ValueError(
            f"expected a batch shape that {tuple(shape)} broadcasts to; got {wanted}. Keep the last axes, and put new ones "
            f"before them: expand((2, *batch_shape))."
        )
    return wanted
