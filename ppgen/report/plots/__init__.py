"""Pictures with matplotlib: each function returns a Figure, to show, to change, or to write with `save`."""

from ppgen.report.plots.canvas import save
from ppgen.report.plots.curves import learning_curves, training_curves
from ppgen.report.plots.pictures import reconstructions, samples, tile, traversal
from ppgen.report.plots.trust import calibration, check, comparison, khat

__all__ = [
    "calibration", "check", "comparison", "khat", "learning_curves", "reconstructions", "samples", "save", "tile",
    "training_curves", "traversal",
]  # fmt: skip
