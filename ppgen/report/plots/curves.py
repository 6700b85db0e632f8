"""Curves of training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ppgen.report.plots.canvas import colours, new, plain


def learning_curves(fits: Mapping[str, Any] | Any, *, title: str = "") -> Figure:
    """Losses of each role by epoch (or step), and of validation rows dashed, of a fit or of several by name.

    Roles that share one loss share a picture.

    Args:
        fits: a `ppgen.Fit`, its `history`, or either by name.
        title: above the picture.

    Example:
        >>> import numpy as np
        >>> from ppgen.report import plots
        >>> history = {"epoch": np.arange(3), "loss/model": np.array([3.0, 2.0, 1.5])}
        >>> plots.learning_curves({"ELBO": history}).axes[0].get_xlabel()
        'epoch'
    """
    histories = {name: getattr(fit, "history", fit) for name, fit in _by_name(fits).items()}
    roles = _roles(histories)
    if not roles:
        raise ValueError("learning_curves: expected histories with losses; a sampler has none. See fit.diagnose().")
    figure, axes = new(len(roles), 1, 4.6, 3.4, title)
    for axis, (role, *others) in zip(axes, roles, strict=True):
        for colour, (name, history) in zip(colours(histories), histories.items(), strict=True):
            along = "epoch" if "epoch" in history else "step"
            for key, style, what in (("loss", "-", ""), ("valid", "--", "held out")):
                if (values := history.get(f"{key}/{role}")) is not None:
                    label = ", ".join(filter(None, (name, what))) or "training"
                    axis.plot(history[along], values, style, color=colour, label=label, linewidth=1.5)
            axis.set(xlabel=along, ylabel="loss (nats per row)")
        axis.set_title(" and ".join([role, *others]), fontsize=10.5)
        plain(axis, legend=True)
    return figure


def training_curves(
    held_out: Mapping[str, tuple[np.ndarray, np.ndarray]],
    game: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    title: str = "",
) -> Figure:
    """Held-out nats by epoch for each algorithm, and the losses of an adversarial game beside them."""
    figure = Figure(figsize=(10.8, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.9, 1))
    for axis, lines, width in ((left, held_out, 1.6), (right, game, 1.2)):
        for colour, (name, (epoch, values)) in zip(colours(lines), lines.items(), strict=True):
            axis.plot(epoch, values, color=colour, label=name, linewidth=width)
        plain(axis, legend=bool(axis.lines))
    left.set(xlabel="epoch", ylabel="held-out nats per image (higher is better)")
    best = max((float(np.max(nats)) for _, nats in held_out.values()), default=0.0)
    left.set_ylim(best - 14, best + 1)  # the first epochs are far below
    right.set(xlabel="epoch", ylabel="GAN losses (nats)")
    figure.suptitle(title, fontsize=12, x=0.012, ha="left")
    return figure


# numbers to trust ------------------------------------------------------------------------------------------------------


def _by_name(fits: Any) -> dict[str, Any]:
    """Fits or histories by name; one alone has none."""
    several = isinstance(fits, Mapping) and all(hasattr(f, "history") or isinstance(f, Mapping) for f in fits.values())
    return dict(fits) if several else {"": fits}


def _roles(histories: Mapping[str, Any]) -> list[list[str]]:
    """The roles that have losses, together where these are the same throughout."""
    groups: list[list[str]] = []
    for role in dict.fromkeys(key.split("/")[1] for h in histories.values() for key in h if key.startswith("loss/")):
        for group in groups:
            pairs = [(h.get(f"loss/{group[0]}"), h.get(f"loss/{role}")) for h in histories.values()]
            if all(a is not None and b is not None and np.array_equal(a, b) for a, b in pairs):
                group.append(role)
                break
        else:
            groups.append([role])
    return groups
