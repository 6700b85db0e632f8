import numpy as np
import pooch
import pytest

from ppgen.data import DataFileError, binarized_mnist, mnist, mushrooms

PACKED = "binarized_mnist/binarized_mnist.npz"


def write_amat(path, rows):
    """Rows of bits as the public home keeps them: digits with a space between, a row a line."""
    text = np.full((len(rows), 2 * rows.shape[1]), ord(" "), np.uint8)
    text[:, ::2] = rows.astype(np.uint8) + ord("0")
    text[:, -1] = ord("\n")
    path.write_bytes(text.tobytes())


def test_binarized_mnist_splits(real):
    real(PACKED)
    data = binarized_mnist()
    sizes = {"train": 50000, "valid": 10000, "test": 10000}
    for name, size in sizes.items():
        split = getattr(data, name)
        assert list(split) == ["x"]
        assert split["x"].shape == (size, 784)
        assert split["x"].dtype == np.float32
        assert set(np.unique(split["x"])) == {0, 1}
    assert data.shape == (28, 28)
    seen = [set(map(bytes, getattr(data, name)["x"])) for name in sizes]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_binarized_mnist_is_mnist_with_its_pixels_in_place(real):
    real(PACKED)
    real("mnist/t10k-images-idx3-ubyte.gz")
    real("mnist/train-images-idx3-ubyte.gz")
    # The rows are in another order, so only the mean picture can agree; a transposed one would not.
    static, grey = binarized_mnist().train["x"].mean(0), mnist().train["x"].mean(0)
    assert np.abs(static - grey).max() < 0.02
    assert np.abs(static - grey.reshape(28, 28).T.ravel()).max() > 0.1


def test_binarized_mnist_reads_the_text_of_its_public_home(real, tmp_path, monkeypatch):
    real(PACKED)
    packed = binarized_mnist()
    monkeypatch.setenv("PPGEN_DATA", str(tmp_path / "empty"))
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)

    def retrieve(url, known_hash, fname, path):
        split = url.rsplit("_", 1)[-1].removesuffix(".amat")
        path.mkdir(parents=True, exist_ok=True)
        write_amat(path / fname, getattr(packed, split)["x"])
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    unpacked = binarized_mnist()
    for split in ("train", "valid", "test"):
        assert np.array_equal(getattr(packed, split)["x"], getattr(unpacked, split)["x"])


def test_binarized_mnist_refuses_a_changed_bit(real, tmp_path, monkeypatch):
    arrays = dict(np.load(real(PACKED)))
    arrays["valid"][123, 45] ^= 1
    (tmp_path / "binarized_mnist").mkdir()
    np.savez(tmp_path / PACKED, **arrays)
    monkeypatch.setenv("PPGEN_DATA", str(tmp_path))
    with pytest.raises(DataFileError, match="got [0-9a-f]{64}"):
        binarized_mnist()


def test_mushrooms(real):
    real("binary/mushrooms.npz")
    data = mushrooms()
    for name, size in {"train": 2000, "valid": 500, "test": 5624}.items():
        split = getattr(data, name)
        assert list(split) == ["x"]
        assert split["x"].shape == (size, 112)
        assert split["x"].dtype == np.float32
        assert set(np.unique(split["x"])) == {0, 1}
    assert data.shape == (112,)
    # Each mushroom states one value for each of 21 or 22 attributes, so the number of ones is bounded.
    assert data.train["x"].sum(1).max() <= 22


def test_mushrooms_says_where_its_file_belongs(tmp_path, monkeypatch):
    monkeypatch.setenv("PPGEN_DATA", str(tmp_path))
    with pytest.raises(DataFileError, match=str(tmp_path / "binary/mushrooms.npz")):
        mushrooms()
