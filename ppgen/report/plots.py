"""Pictures: grids of samples, curves of training."""

import math
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0b6e8a", "#d1495b", "#edae49", "#5c946e", "#7768ae", "#8d6a4f", "#3d3d3d")


def tile(rows: np.ndarray, shape: tuple[int, ...], columns: int = 8, gap: int = 1) -> np.ndarray:
    """Pictures side by side: [n, height * width] to one array, with a gap of NaN between them."""
    height, width = shape
    lines = -(-len(rows) // columns)
    sheet = np.full((lines * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for i, row in enumerate(rows):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        sheet[y : y + height, x : x + width] = np.reshape(row, shape)
    return sheet


def sample_grids(
    panels: Mapping[str, np.ndarray],
    shape: tuple[int, ...],
    nats: Mapping[str, tuple[float, float]],
    path: Path,
    title: str,
) -> Path:
    """A grid of pictures per algorithm, [n, pixels] in [0, 1], and a bar of held-out nats (value, error) for each."""
    columns = 4
    lines = -(-(len(panels) + 1) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(2.75 * columns, 2.95 * lines + 0.4), squeeze=False)
    ink = matplotlib.colormaps["gray_r"].with_extremes(bad="#ffffff")
    for axis in axes.flat[len(panels) : -1]:
        axis.axis("off")
    for axis, (name, rows) in zip(axes.flat, panels.items(), strict=False):
        axis.imshow(tile(rows, shape, columns=math.isqrt(len(rows))), cmap=ink, vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(name, fontsize=10.5)
        axis.axis("off")
    _bars(axes.flat[-1], nats)
    figure.suptitle(title, fontsize=12, x=0.012, ha="left")
    return _write(figure, path)


def _bars(axis: Axes, nats: Mapping[str, tuple[float, float]]) -> None:
    """Horizontal bars, the first name at the top, each with its number."""
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


def training_curves(
    held_out: Mapping[str, tuple[np.ndarray, np.ndarray]],
    game: Mapping[str, tuple[np.ndarray, np.ndarray]],
    path: Path,
    title: str,
) -> Path:
    """Held-out nats by epoch for each algorithm, and the losses of an adversarial game beside them."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.8, 3.9), width_ratios=(1.9, 1))
    for colour, (name, (epoch, nats)) in zip(COLOURS, held_out.items(), strict=False):
        left.plot(epoch, nats, color=colour, label=name, linewidth=1.6)
    left.set(xlabel="epoch", ylabel="held-out nats per image (higher is better)")
    best = max((float(np.max(nats)) for _, nats in held_out.values()), default=0.0)
    left.set_ylim(best - 14, best + 1)  # the first epochs are far below
    for colour, (name, (epoch, loss)) in zip(COLOURS, game.items(), strict=False):
        right.plot(epoch, loss, color=colour, label=name, linewidth=1.2)
    right.set(xlabel="epoch", ylabel="GAN losses (nats)")
    for axis in (left, right):
        if axis.lines:
            axis.legend(frameon=False, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    figure.suptitle(title, fontsize=12, x=0.012, ha="left")
    return _write(figure, path)


def _write(figure: Figure, path: Path) -> Path:
    figure.tight_layout(rect=(0, 0, 1, 0.985), h_pad=1.2)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
