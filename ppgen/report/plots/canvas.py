"""What all pictures share: sizes, colours, plain axes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0b6e8a", "#d1495b", "#edae49", "#5c946e", "#7768ae", "#8d6a4f", "#3d3d3d")


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure; the ending of the path says in which format."""
    figure.savefig(path, dpi=130)
    return Path(path)


# pictures of rows ------------------------------------------------------------------------------------------------------


def new(columns: int, lines: int, width: float, height: float, title: str) -> tuple[Figure, list[Axes]]:
    """A figure that no window holds, and its axes, line by line."""
    figure = Figure(figsize=(width * columns, height * lines + 0.4 * bool(title)), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    if title:
        figure.suptitle(title, fontsize=12, x=0.012, ha="left")
    return figure, list(axes.flat)


def plain(axis: Axes, legend: bool = False) -> None:
    """Few lines around an axis, and names of what it shows."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
    axis.tick_params(labelsize=8)
    if legend:
        axis.legend(frameon=False, fontsize=8.5)


def colours(lines: Mapping[str, Any]) -> list[str]:
    """A colour for each line; they come again where there are many."""
    return [COLOURS[i % len(COLOURS)] for i in range(len(lines))]
