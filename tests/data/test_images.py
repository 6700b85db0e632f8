import shutil

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ppgen.data import DataFileError, digits, mnist, usps

MNIST = [f"mnist/{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def rows(dataset):
    return sorted(map(bytes, np.concatenate([dataset.train["x"], dataset.test["x"]])))


class TestDigits:
    def test_splits(self):
        data = digits()
        assert data.train["x"].shape == (1437, 64)
        assert data.test["x"].shape == (360, 64)
        assert data.shape == (8, 8)
        assert data.valid is None
        for split in (data.train, data.test):
            assert split["x"].dtype == np.float32
            assert split["y"].dtype == np.int32
            assert len(split["x"]) == len(split["y"])

    def test_each_row_of_the_original_is_in_one_split_with_its_label(self):
        data = digits(binarize=False)
        images, labels = load_digits(return_X_y=True)
        original = sorted((bytes(x), y) for x, y in zip((images / 16).astype(np.float32), labels, strict=True))
        kept = [(bytes(x), y) for part in (data.train, data.test) for x, y in zip(part["x"], part["y"], strict=True)]
        assert sorted(kept) == original

    def test_grey_levels_fill_the_unit_interval(self):
        x = digits(binarize=False).train["x"]
        assert set(np.unique(x)) == {level / 16 for level in range(17)}

    def test_bits_are_one_from_level_eight(self):
        grey, bits = digits(binarize=False).train["x"], digits().train["x"]
        assert set(np.unique(bits)) == {0, 1}
        assert bits[grey == 8 / 16].all()
        assert not bits[grey == 7 / 16].any()

    def test_the_seed_settles_the_split(self):
        assert np.array_equal(digits(seed=3).test["x"], digits(seed=3).test["x"])
        assert not np.array_equal(digits(seed=3).test["x"], digits(seed=4).test["x"])
        assert rows(digits(seed=3)) == rows(digits(seed=4))


class TestMnist:
    @pytest.fixture(autouse=True)
    def files(self, real):
        return [real(path) for path in MNIST]

    def test_splits(self):
        data = mnist()
        assert data.train["x"].shape == (60000, 784)
        assert data.test["x"].shape == (10000, 784)
        assert data.shape == (28, 28)
        assert data.train["x"].dtype == np.float32
        assert data.train["y"].dtype == np.int32
        assert data.train["y"][:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
        assert data.test["y"][:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
        # The known mean and deviation of MNIST's training pixels.
        assert data.train["x"].mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
        assert data.train["x"].std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)

    def test_no_test_row_is_a_train_row(self):
        data = mnist()
        assert not set(map(bytes, data.train["x"])) & set(map(bytes, data.test["x"]))

    def test_threshold_is_at_half(self):
        grey, bits = mnist().test["x"], mnist("threshold").test["x"]
        assert bits.dtype == np.float32
        assert np.array_equal(bits, grey > 0.5)

    def test_stochastic_bits_have_the_grey_level_as_their_mean(self):
        grey, bits = mnist().test["x"], mnist("stochastic").test["x"]
        assert bits.dtype == np.float32
        assert set(np.unique(bits)) == {0, 1}
        assert not bits[grey == 0].any()
        assert bits[grey == 1].all()
        between = (grey > 0) & (grey < 1)
        for low in (0, 0.25, 0.5, 0.75):
            bin_ = between & (grey > low) & (grey <= low + 0.25)
            error = np.sqrt((grey[bin_] * (1 - grey[bin_])).sum()) / bin_.sum()
            assert abs(bits[bin_].mean(dtype=np.float64) - grey[bin_].mean(dtype=np.float64)) < 4 * error

    def test_the_seed_settles_the_bits(self):
        first, again, other = mnist("stochastic", 1), mnist("stochastic", 1), mnist("stochastic", 2)
        assert np.array_equal(first.test["x"], again.test["x"])
        assert not np.array_equal(first.test["x"], other.test["x"])

    def test_one_changed_byte_is_refused(self, files, tmp_path, monkeypatch):
        (tmp_path / "mnist").mkdir()
        for file in files:
            shutil.copy(file, tmp_path / "mnist")
        labels = tmp_path / MNIST[-1]
        labels.chmod(0o644)
        damaged = bytearray(labels.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        labels.write_bytes(damaged)
        monkeypatch.setenv("PPGEN_DATA", str(tmp_path))
        with pytest.raises(DataFileError, match="t10k-labels-idx1-ubyte.gz"):
            mnist()


@pytest.mark.parametrize("wrong", [True, "static"])
def test_mnist_refuses_an_unknown_binarisation(wrong):
    with pytest.raises(ValueError, match=f"expected binarize to be False, 'threshold' or 'stochastic'; got {wrong!r}"):
        mnist(wrong)


def test_usps(real):
    real("usps/usps.npz")
    data = usps()
    assert data.train["x"].shape == (7291, 256)
    assert data.test["x"].shape == (2007, 256)
    assert data.shape == (16, 16)
    assert data.train["x"].dtype == np.float32
    assert data.train["y"].dtype == np.int32
    assert (data.train["x"].min(), data.train["x"].max()) == (0, 1)
    # The published counts of each digit.
    assert np.bincount(data.train["y"]).tolist() == [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644]
    assert np.bincount(data.test["y"]).tolist() == [359, 264, 198, 166, 200, 160, 170, 147, 166, 177]


def test_usps_says_where_its_file_belongs(tmp_path, monkeypatch):
    monkeypatch.setenv("PPGEN_DATA", str(tmp_path))
    with pytest.raises(DataFileError, match=str(tmp_path / "usps/usps.npz")):
        usps()
