"""Pictures: pixels lie where they should, and files are not blank."""

import numpy as np
import pytest
from matplotlib import image
from matplotlib import pyplot as plt

from ppgen.report.plots import sample_grids, tile, training_curves

NAN = np.nan


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


def dark(path):
    """The share of pixels that are not white."""
    return float((image.imread(path)[..., :3].min(-1) < 0.9).mean())


def grids(path, ink=1.0, panels=2):
    rows = np.full((9, 20), ink)
    names = [f"way {i}" for i in range(panels)]
    nats = dict.fromkeys(names, (-20.0, 0.5))
    return sample_grids({"data": rows, **dict.fromkeys(names, rows)}, (4, 5), nats, path, "a title")


@pytest.mark.parametrize("panels", [1, 2, 3, 6])
def test_sample_grids_show_the_pixels(panels, tmp_path):
    """Full ink is black over the panels, no ink leaves titles and bars."""
    full, empty = grids(tmp_path / "full.png", 1.0, panels), grids(tmp_path / "empty.png", 0.0, panels)
    assert dark(full) > dark(empty) + 0.1
    assert dark(empty) > 0.005
    assert not plt.get_fignums(), "a figure was left open"


def test_training_curves_show_every_line(tmp_path):
    epoch = np.arange(1, 6)
    held_out = {f"way {i}": (epoch, -20 + i - 5 / epoch) for i in range(3)}
    game = {"model": (epoch, 1 / epoch), "critic": (epoch, 1 - 0.5 / epoch)}
    all_lines = training_curves(held_out, game, tmp_path / "all.png", "a title")
    without = training_curves({"way 0": held_out["way 0"]}, {"model": game["model"]}, tmp_path / "few.png", "a title")
    assert dark(all_lines) > dark(without) > 0.01
    assert not plt.get_fignums(), "a figure was left open"


def test_training_curves_of_one_way_alone(tmp_path):
    """No game, or nothing but a game: no warning about an empty legend."""
    line = {"way": (np.array([1.0, 2.0]), np.array([-30.0, -20.0]))}
    for number, lines in enumerate([(line, {}), ({}, line)]):
        path = training_curves(*lines, tmp_path / f"{number}.png", "a title")
        assert dark(path) > 0.005
