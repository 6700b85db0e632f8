"""Binary data, the usual ground for discrete densities, kept as packed bits."""

import io
from pathlib import Path

import numpy as np

from ppgen.data.dataset import Dataset, Split
from ppgen.data.fetch import File, fetch

BINARIZED_MNIST_HOME = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"

# SHA-256 of the rows of each split as packed bits.
BINARIZED_MNIST_SHA256 = {
    "train": "727146c35424b019f3e350e1e69faa05644a0abaf787e3f4e1a9632220a13906",
    "valid": "a256ac44ae26be720fad8616a05ed6ecfd1619930d9a208379bb2a4405df5b6d",
    "test": "9fcd8da6f0fdf09b2ba30fe63a0bb784042a0de82563172530229b983e294ff2",
}
MUSHROOMS_SHA256 = "593033f9a6af5b04bd36358841085b9900e540910ed7165dd04f7ae01cde4fd9"


def binarized_mnist() -> Dataset:
    """Load MNIST with the fixed bits of Salakhutdinov and Murray (2008), as used for NADE and MADE.

    Likelihoods on these bits compare with published tables for *static* binarisation only. The rows are in
    another order than MNIST's, and have no labels.

    Returns:
        50000 train, 10000 valid and 10000 test rows, `x` float32 [n, 784] of zeros and ones.

    Raises:
        DataFileError: a file is missing or damaged.

    Example:
        >>> from ppgen.data import binarized_mnist
        >>> binarized_mnist()  # doctest: +SKIP
        Dataset 'binarized_mnist', one x has shape (28, 28)
          train  50000 rows  x float32 [784]
          valid  10000 rows  x float32 [784]
          test   10000 rows  x float32 [784]
    """
    splits = {name: _unpack(_binarized_mnist(name), columns=784) for name in BINARIZED_MNIST_SHA256}
    return Dataset(name="binarized_mnist", **splits, shape=(28, 28))


def mushrooms() -> Dataset:
    """Load the UCI mushrooms as 112 binary columns, a small set with strong dependencies.

    The file has no public home that can be relied on, so it is read from below `PPGEN_DATA` only.

    Returns:
        2000 train, 500 valid and 5624 test rows, `x` float32 [n, 112] of zeros and ones.

    Raises:
        DataFileError: the file is missing or damaged.

    Example:
        >>> from ppgen.data import mushrooms
        >>> mushrooms()  # doctest: +SKIP
        Dataset 'mushrooms', one x has shape (112,)
          train  2000 rows  x float32 [112]
          valid   500 rows  x float32 [112]
          test   5624 rows  x float32 [112]
    """
    arrays = np.load(io.BytesIO(fetch(MUSHROOMS_SHA256, File("binary/mushrooms.npz"))))
    columns = arrays["columns"].item()
    splits = {name: _unpack(arrays[f"{name}_data"].tobytes(), columns) for name in ("train", "valid", "test")}
    return Dataset(name="mushrooms", **splits, shape=(columns,))


def _binarized_mnist(split: str) -> bytes:
    text = f"binarized_mnist_{split}.amat"
    return fetch(
        BINARIZED_MNIST_SHA256[split],
        File("binarized_mnist/binarized_mnist.npz", lambda path: np.load(path)[split].tobytes()),
        File(f"binarized_mnist/{text}", _pack_text, f"{BINARIZED_MNIST_HOME}{text}"),
    )


def _pack_text(path: Path) -> bytes:
    # One character a bit, so the table is parsed by dropping its white space.
    characters = path.read_bytes().translate(None, b" \r\n")
    bits = np.frombuffer(characters, np.uint8).reshape(-1, 784) - ord("0")
    return np.packbits(bits, axis=1).tobytes()


def _unpack(packed: bytes, columns: int) -> Split:
    rows = np.frombuffer(packed, np.uint8).reshape(-1, -(-columns // 8))
    return {"x": np.unpackbits(rows, axis=1, count=columns).astype(np.float32)}
