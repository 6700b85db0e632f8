"""Pictures of handwritten digits, one flattened picture a row, with their labels."""

import gzip
import io
from pathlib import Path
from typing import Literal

import numpy as np

from ppgen.data.dataset import Dataset
from ppgen.data.fetch import File, fetch

MNIST_HOME = "https://ossci-datasets.s3.amazonaws.com/mnist/"

# SHA-256 of the unzipped files.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
USPS_SHA256 = "3b5293f01dad1d5df61dc4335a15326209094e8d2d646168b0159852cab65575"


def digits(binarize: bool = True, seed: int = 0) -> Dataset:
    """Load the 1797 pictures of 8x8 pixels that ship with scikit-learn: real data that needs no download.

    Args:
        binarize: `True` turns the grey levels 0..16 into bits, 1 for a level of 8 or more; `False` scales
            them to [0, 1].
        seed: settles which rows are for training.

    Returns:
        1437 train and 360 test rows, `x` float32 [n, 64] and `y` int32 [n].

    Example:
        >>> from ppgen.data import digits
        >>> digits()
        Dataset 'digits', one x has shape (8, 8)
          train  1437 rows  x float32 [64], y int32 []
          test    360 rows  x float32 [64], y int32 []
    """
    from sklearn.datasets import load_digits  # a second of imports that no other loader needs

    levels, labels = map(np.asarray, load_digits(return_X_y=True))
    x = (levels >= 8 if binarize else levels / 16).astype(np.float32)
    y = labels.astype(np.int32)
    order = np.random.default_rng(seed).permutation(len(x))
    train, test = order[:1437], order[1437:]
    return Dataset(name="digits", train={"x": x[train], "y": y[train]}, test={"x": x[test], "y": y[test]}, shape=(8, 8))


def mnist(binarize: Literal[False, "threshold", "stochastic"] = False, seed: int = 0) -> Dataset:
    """Load MNIST (LeCun et al., 1998), 28x28 pixels, from the original idx files.

    Args:
        binarize: `False` keeps the grey levels, scaled to [0, 1]; `"threshold"` gives 1 for a level of 128 or
            more; `"stochastic"` draws each bit once, with the grey level as its probability. Neither is the
            static binarisation of published tables: that is `binarized_mnist`.
        seed: settles the bits that `"stochastic"` draws.

    Returns:
        60000 train and 10000 test rows, `x` float32 [n, 784] and `y` int32 [n].

    Raises:
        ValueError: `binarize` is none of the three.
        DataFileError: a file is missing or damaged.

    Example:
        >>> from ppgen.data import mnist
        >>> mnist("threshold")  # doctest: +SKIP
        Dataset 'mnist', one x has shape (28, 28)
          train  60000 rows  x float32 [784], y int32 []
          test   10000 rows  x float32 [784], y int32 []
    """
    if binarize not in (False, "threshold", "stochastic"):
        raise ValueError(
            f"expected binarize to be False, 'threshold' or 'stochastic'; got {binarize!r}; choose one of the three"
        )
    rng = np.random.default_rng(seed)

    def split(prefix: str) -> dict[str, np.ndarray]:
        levels = _idx(f"{prefix}-images-idx3-ubyte").reshape(-1, 784)
        if binarize == "threshold":
            x = (levels >= 128).astype(np.float32)
        else:
            x = levels.astype(np.float32) / 255
        if binarize == "stochastic":
            x = (rng.random(x.shape, np.float32) < x).astype(np.float32)
        return {"x": x, "y": _idx(f"{prefix}-labels-idx1-ubyte").astype(np.int32)}

    return Dataset(name="mnist", train=split("train"), test=split("t10k"), shape=(28, 28))


def usps() -> Dataset:
    """Load the USPS digits (Hull, 1994): 16x16 pixels off envelopes, harder to tell apart than MNIST's.

    The file has no public home that can be relied on, so it is read from below `PPGEN_DATA` only.

    Returns:
        7291 train and 2007 test rows, `x` float32 [n, 256] in [0, 1] and `y` int32 [n].

    Raises:
        DataFileError: the file is missing or damaged.

    Example:
        >>> from ppgen.data import usps
        >>> usps()  # doctest: +SKIP
        Dataset 'usps', one x has shape (16, 16)
          train  7291 rows  x float32 [256], y int32 []
          test   2007 rows  x float32 [256], y int32 []
    """
    arrays = np.load(io.BytesIO(fetch(USPS_SHA256, File("usps/usps.npz"))))

    def split(prefix: str) -> dict[str, np.ndarray]:
        x = arrays[f"{prefix}_images"].astype(np.float32) / 255
        return {"x": x, "y": arrays[f"{prefix}_labels"].astype(np.int32)}

    return Dataset(name="usps", train=split("train"), test=split("test"), shape=(16, 16))


def _idx(name: str) -> np.ndarray:
    content = fetch(MNIST_SHA256[name], File(f"mnist/{name}.gz", _gunzip, f"{MNIST_HOME}{name}.gz"))
    # The header of an idx file: two zeros, the type of the items, how many axes, the length of each axis.
    axes = content[3]
    shape = np.frombuffer(content, ">i4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _gunzip(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())
