"""Data to learn from: real sets as a `Dataset`, and synthetic points on the plane as an array.

Real files are looked for below the folder that the environment variable `PPGEN_DATA` names, then downloaded
from their public home. Each is checked by SHA-256 before a row of it is used.
"""

from ppgen.data.bits import binarized_mnist, mushrooms
from ppgen.data.dataset import Dataset
from ppgen.data.fetch import DataFileError
from ppgen.data.images import digits, mnist, usps
from ppgen.data.synthetic import checkerboard, gaussian_grid, moons, rings
from ppgen.data.tables import uci

__all__ = [
    "DataFileError",
    "Dataset",
    "binarized_mnist",
    "checkerboard",
    "digits",
    "gaussian_grid",
    "mnist",
    "moons",
    "mushrooms",
    "rings",
    "uci",
    "usps",
]
