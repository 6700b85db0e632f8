"""Pictures: pixels lie where they should, and each function's Figure shows all that it was given."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import image
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import ppgen
from ppgen.evaluation import Calibration, Check, Evaluation
from ppgen.report import plots
from ppgen.report.plots import tile

NAN = np.nan
RNG = np.random.default_rng(0)


def test_tile_lays_pictures_out_in_lines():
    """Three pictures of 2 x 3 pixels in two columns, with a gap of one pixel."""
    sheet = tile(np.arange(18).reshape(3, 6), (2, 3), columns=2)
    np.testing.assert_array_equal(
        sheet,
        [
            [0, 1, 2, NAN, 6, 7, 8],
            [3, 4, 5, NAN, 9, 10, 11],
            [NAN] * 7,
            [12, 13, 14, NAN, NAN, NAN, NAN],
            [15, 16, 17, NAN, NAN, NAN, NAN],
        ],
    )


@pytest.mark.parametrize(
    ("count", "columns", "gap", "shape"),
    [
        (1, 1, 1, (4, 5)),
        (8, 8, 1, (4, 47)),
        (9, 8, 1, (9, 47)),
        (4, 2, 0, (8, 10)),
        (4, 2, 3, (11, 13)),
        (2, 5, 1, (4, 29)),
    ],
)
def test_tile_has_room_for_all(count, columns, gap, shape):
    pictures = np.random.default_rng(0).random((count, 20))
    sheet = tile(pictures, (4, 5), columns=columns, gap=gap)
    assert sheet.shape == shape
    np.testing.assert_array_equal(np.sort(sheet[~np.isnan(sheet)]), np.sort(pictures.ravel()))


def test_tile_takes_pictures_that_have_their_shape():
    pictures = np.random.default_rng(0).random((3, 4, 5))
    np.testing.assert_array_equal(tile(pictures, (4, 5)), tile(pictures.reshape(3, 20), (4, 5)))


def dark(figure, path):
    """The share of pixels that are not white, of a figure that was written and read again."""
    assert isinstance(figure, Figure) and not plt.get_fignums(), "no window holds a figure"
    return float((image.imread(plots.save(figure, path))[..., :3].min(-1) < 0.9).mean())


def ink(axis):
    """What an axis shows as a picture."""
    return np.ma.getdata(axis.images[0].get_array())


def labels(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()] if axis.get_legend() else []


@pytest.mark.parametrize("panels", [1, 2, 6])
def test_samples_show_the_pixels(panels, tmp_path):
    """Full ink is black over the panels, no ink leaves titles and bars."""
    names = ["data", *(f"way {i}" for i in range(panels))]
    nats = dict.fromkeys(names[1:], (-20.0, 0.5))
    full, empty = (
        dark(plots.samples({n: np.full((9, 20), level) for n in names}, (4, 5), nats=nats, title="a title"), path)
        for level, path in ((1.0, tmp_path / "full.png"), (0.0, tmp_path / "empty.png"))
    )
    assert full > empty + 0.1 and empty > 0.005
    (axis,) = plots.samples(np.eye(20)[:9], (4, 5)).axes
    np.testing.assert_array_equal(ink(axis), tile(np.eye(20)[:9], (4, 5), 3))


def test_reconstructions_lie_below_their_rows():
    rows, means = RNG.random((2, 20, 6))
    sheet = ink(plots.reconstructions(rows, means, (2, 3)).axes[0])
    np.testing.assert_array_equal(sheet[:2, :3].ravel(), rows[0])
    np.testing.assert_array_equal(sheet[3:5, 4:7].ravel(), means[1])
    np.testing.assert_array_equal(sheet[9:11, 12:15].ravel(), means[19])
    with pytest.raises(ValueError, match="as many of them as rows"):
        plots.reconstructions(rows, means[:3], (2, 3))


def test_a_traversal_has_a_line_for_each_dimension():
    means = RNG.random((3, 4, 6))
    axis = plots.traversal(means, (2, 3), span=(-1, 0, 1, 2)).axes[0]
    np.testing.assert_array_equal(ink(axis)[6:8, 4:7].ravel(), means[2, 1])
    assert [t.get_text() for t in axis.get_xticklabels()] == ["-1", "+0", "+1", "+2"]
    assert len(axis.get_yticks()) == 3


def history(**more):
    return {"epoch": np.arange(3), "loss/model": np.array([3.0, 2, 1]), "loss/guide": np.ones(3), **more}


def test_learning_curves_of_fits_and_histories(tmp_path):
    one = SimpleNamespace(history=history(**{"valid/model": np.array([3.0, 2.5, 2.5])}))
    figure = plots.learning_curves({"one": one, "two": history()}, title="a title")
    model, guide = figure.axes
    assert labels(model) == ["one", "one, held out", "two"] and labels(guide) == ["one", "two"]
    np.testing.assert_array_equal(model.lines[1].get_ydata(), [3, 2.5, 2.5])
    assert dark(figure, tmp_path / "curves.png") > 0.01
    for alone in (one, one.history):
        axes = plots.learning_curves(alone).axes
        assert [labels(axis) for axis in axes] == [["training", "held out"], ["training"]]
    shared = history() | {"loss/guide": history()["loss/model"], "loss/critic": np.zeros(3)}
    titles = [axis.get_title() for axis in plots.learning_curves({"a": shared, "b": shared}).axes]
    assert titles == ["model and guide", "critic"], "roles with one loss share a picture"
    with pytest.raises(ValueError, match="a sampler has none"):
        plots.learning_curves({"step": np.arange(2)})


def test_training_curves_show_every_line(tmp_path):
    epoch = np.arange(1, 6)
    held_out = {f"way {i}": (epoch, -20 + i - 5 / epoch) for i in range(9)}  # more than there are colours
    game = {"model": (epoch, 1 / epoch), "critic": (epoch, 1 - 0.5 / epoch)}
    figure = plots.training_curves(held_out, game, title="a title")
    assert [len(axis.lines) for axis in figure.axes] == [9, 2]
    few = plots.training_curves({"way 0": held_out["way 0"]}, {}, title="a title")
    assert dark(figure, tmp_path / "all.png") > dark(few, tmp_path / "few.png") > 0.01


def evaluation(per_row, kind="exact", **more):
    return Evaluation.of_rows(np.asarray(per_row), dimensions=1, kind=kind, estimator="by hand", **more)


def test_khats_are_shown_with_how_far_to_trust_them():
    values = np.array([0.1, -np.inf, 0.6, 0.9, np.inf, np.nan])
    (axis,) = plots.khat(evaluation(np.zeros(6), khat=values)).axes
    assert labels(axis) == ["good: 2 of 6", "ok: 1 of 6", "unreliable: 3 of 6"]
    low, high = axis.get_ylim()
    assert all((low <= y).all() and (y <= high).all() for y in (line.get_ydata() for line in axis.lines[:2]))
    with pytest.raises(ValueError, match="importance weights"):
        plots.khat(evaluation(np.zeros(2)))


def test_calibration_shows_the_band_and_the_ranks():
    """A posterior that is too narrow leaves the band at both ends; a right one does not."""
    right, narrow = RNG.integers(0, 100, (300, 1)), np.where(RNG.random((300, 1)) < 0.5, 2, 97)
    found = Calibration({"right": right, "narrow": narrow}, 99)
    axes = plots.calibration(found, title="a title").axes
    outside = [np.abs(axis.lines[0].get_ydata()).max() > found.band() for axis in axes[:2]]
    assert outside == [False, True]
    heights = [patch.get_height() for patch in axes[3].patches]
    assert sum(heights) == 300 and heights[0] > 100 and axes[0].get_title() == "right"


def test_a_comparison_shows_errors_and_bounds():
    rows = RNG.normal(size=50)
    noisy = evaluation(rows - 1 + RNG.normal(size=50), "lower bound")
    found = ppgen.compare({"a": evaluation(rows), "b": noisy})
    (axis,) = plots.comparison(found).axes
    bars = [container.lines[0].get_xdata()[0] for container in axis.containers]
    assert bars == [found["b"].difference, 0.0]
    (ends,) = axis.containers[0].lines[2][0].get_segments()
    assert ends[1][0] - ends[0][0] == pytest.approx(4 * found["b"].stderr)
    assert [text.get_text() for text in axis.texts] == ["→"]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["b (lower bound)", "a (exact)"]


def test_a_check_shows_where_the_data_lie():
    found = Check({"largest": 3.0, "mean": 0.0}, {"largest": RNG.normal(size=50), "mean": RNG.normal(size=50)}, False)
    axes = plots.check(found).axes
    assert axes[0].lines[0].get_xdata()[0] == 3 and axes[0].get_title().startswith("largest, p = ")
    assert sum(patch.get_height() for patch in axes[1].patches) == 50
