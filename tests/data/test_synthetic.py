import numpy as np
import pytest

from ppgen.data import checkerboard, gaussian_grid, moons, rings

ALL = [moons, rings, gaussian_grid, checkerboard]


@pytest.mark.parametrize("draw", ALL)
def test_points_follow_from_the_seed(draw):
    points = draw(500, seed=1)
    assert points.shape == (500, 2)
    assert points.dtype == np.float32
    assert np.array_equal(points, draw(500, seed=1))
    assert not np.array_equal(points, draw(500, seed=2))


@pytest.mark.parametrize("draw", ALL)
def test_no_rows_are_refused(draw):
    with pytest.raises(ValueError, match="expected n to be 1 or more; got 0; pass a larger n"):
        draw(0)


@pytest.mark.parametrize(
    ("draw", "option"),
    [(moons, "noise"), (rings, "noise"), (rings, "rings"), (gaussian_grid, "side"), (gaussian_grid, "scale")],
)
@pytest.mark.parametrize("wrong", [-1, float("nan")])
def test_an_option_out_of_range_is_refused(draw, option, wrong):
    with pytest.raises(ValueError, match=f"expected {option} to be . or more; got {wrong}"):
        draw(10, **{option: wrong})


def test_moons_without_noise_lie_on_two_half_circles():
    x, y = moons(2000, noise=0).T
    upper = np.isclose(np.hypot(x, y), 1, atol=1e-5) & (y >= 0)
    lower = np.isclose(np.hypot(x - 1, y - 0.5), 1, atol=1e-5) & (y <= 0.5)
    assert (upper | lower).all()
    assert 0.45 < upper.mean() < 0.55


def test_rings_share_the_rows_evenly():
    radius = np.hypot(*rings(4000, rings=3, noise=0).T)
    assert np.allclose(radius, np.rint(radius), atol=1e-5)
    share = np.bincount(np.rint(radius).astype(int), minlength=4) / 4000
    assert share == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.04)


@pytest.mark.parametrize(("draw", "option"), [(moons, "noise"), (rings, "noise"), (gaussian_grid, "scale")])
def test_noise_has_the_deviation_asked_for(draw, option):
    # The same seed draws the same places, so the difference is the noise alone.
    noise = draw(20000, **{option: 0.3}) - draw(20000, **{option: 0})
    assert noise.mean(0) == pytest.approx([0, 0], abs=0.01)
    assert noise.std(0) == pytest.approx([0.3, 0.3], rel=0.03)
    assert np.corrcoef(noise.T)[0, 1] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("side", [1, 2, 5])
def test_the_grid_is_centred_and_complete(side):
    points = gaussian_grid(3000, side=side, scale=0)
    ticks = np.arange(side) - (side - 1) / 2
    assert {tuple(point) for point in points} == {(a, b) for a in ticks for b in ticks}


def test_the_checkerboard_is_uniform_on_its_dark_squares():
    points = checkerboard(8000)
    squares = np.floor(points).astype(int)
    assert not (squares.sum(1) % 2).any()
    corners, counts = np.unique(squares, axis=0, return_counts=True)
    assert len(corners) == 8
    assert (corners.min(), corners.max()) == (-2, 1)
    assert counts == pytest.approx(np.full(8, 1000), abs=120)
    inside = points - squares
    assert inside.mean(0) == pytest.approx([0.5, 0.5], abs=0.02)
    assert inside.std(0) == pytest.approx([12**-0.5, 12**-0.5], abs=0.01)
