"""Pictures of rows that are pictures: samples, reconstructions, traversals."""

import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppgen.report.plots.canvas import COLOURS, new


def tile(rows: np.ndarray, shape: tuple[int, ...], columns: int = 8, gap: int = 1) -> np.ndarray:
    """Pictures side by side: [n, height * width] to one array, with a gap of NaN between them."""
    height, width = shape
    lines = -(-len(rows) // columns)
    sheet = np.full((lines * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for i, row in enumerate(rows):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        sheet[y : y + height, x : x + width] = np.reshape(row, shape)
    return sheet


def samples(
    panels: Mapping[str, np.ndarray] | np.ndarray,
    shape: tuple[int, ...],
    *,
    nats: Mapping[str, tuple[float, float]] | None = None,
    title: str = "",
) -> Figure:
    """A square of pictures for each name, [n, pixels] in [0, 1]; and a bar of held-out nats (value, error) for each.

    Example:
        >>> import numpy as np
        >>> from ppgen.report import plots
        >>> len(plots.samples({"a model": np.eye(16), "data": np.eye(16)}, (4, 4)).axes)
        2
    """
    panels = panels if isinstance(panels, Mapping) else {"": panels}
    count = len(panels) + (nats is not None)
    columns = min(4, count)
    figure, axes = new(columns, -(-count // columns), 2.75, 2.95, title)
    for axis, (name, rows) in zip(axes, panels.items(), strict=False):
        _ink(axis, tile(rows, shape, columns=max(1, math.isqrt(len(rows)))))
        axis.set_title(name, fontsize=10.5)
    for axis in axes[len(panels) :]:
        axis.axis("off")
    if nats is not None:
        _bars(axes[-1], nats)
    return figure


def reconstructions(rows: np.ndarray, means: np.ndarray, shape: tuple[int, ...], *, title: str = "") -> Figure:
    """Rows above, what the model makes of their latent variables below, [n, pixels] each.

    Example:
        >>> import numpy as np
        >>> from ppgen.report import plots
        >>> figure = plots.reconstructions(np.eye(16)[:5], np.full((5, 16), 0.5), (4, 4))
    """
    if len(rows) != len(means):
        raise ValueError(f"reconstructions: expected as many of them as rows; got {len(means)} of {len(rows)}.")
    columns = min(16, len(rows))
    lines = []
    for start in range(0, len(rows), columns):
        for part in (rows, means):
            line = np.full((columns, *np.shape(part)[1:]), np.nan)
            line[: len(part[start : start + columns])] = part[start : start + columns]
            lines.append(line)
    figure, (axis,) = new(1, 1, 0.6 * columns + 0.6, 0.62 * len(lines) + 0.4, title)
    _ink(axis, tile(np.concatenate(lines), shape, columns))
    return figure


def traversal(means: np.ndarray, shape: tuple[int, ...], *, span: Sequence[float] = (), title: str = "") -> Figure:
    """Lines of pictures, [lines, places, pixels], as `ppgen.evaluation.traverse` gives them.

    Example:
        >>> import numpy as np
        >>> from ppgen.report import plots
        >>> figure = plots.traversal(np.zeros((2, 5, 16)), (4, 4), span=(-2, -1, 0, 1, 2))
    """
    lines, places = means.shape[:2]
    figure, (axis,) = new(1, 1, 0.6 * places + 0.9, 0.6 * lines + 0.6, title)
    _ink(axis, tile(means.reshape(lines * places, -1), shape, places))
    axis.axis("on")
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, labelsize=8)
    height, width = shape
    axis.set_yticks([line * (height + 1) + (height - 1) / 2 for line in range(lines)], [str(i) for i in range(lines)])
    places_at = [place * (width + 1) + (width - 1) / 2 for place in range(len(span))]
    axis.set_xticks(places_at, [f"{step:+g}" for step in span])
    axis.set_ylabel("latent dimension", fontsize=9)
    return figure


# curves ----------------------------------------------------------------------------------------------------------------


def _ink(axis: Axes, sheet: np.ndarray) -> None:
    """Ink on paper: 1 is black, and NaN white."""
    colours = matplotlib.colormaps["gray_r"].with_extremes(bad="#ffffff")
    axis.imshow(sheet, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    axis.axis("off")


def _bars(axis: Axes, nats: Mapping[str, tuple[float, float]]) -> None:
    """Horizontal bars, the first name at the top, each with its number."""
    axis.axis("on")
    position = np.arange(len(nats))[::-1]
    values, errors = np.array(list(nats.values())).T
    axis.barh(position, values, xerr=errors, color=COLOURS[0], height=0.62, error_kw={"linewidth": 1})
    for y, (name, value) in zip(position, zip(nats, values, strict=True), strict=True):
        axis.text(0, y + 0.47, f"{name}  {value:.1f}", fontsize=7.5, ha="right", va="center")
    axis.set_title("held-out nats per image", fontsize=10.5)
    axis.set_yticks([])
    axis.set_ylim(-0.6, len(nats) - 0.2)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "left"]].set_visible(False)
