import dataclasses

import numpy as np
import pytest

from ppgen.data import Dataset


def dataset(**changes):
    x, y = np.zeros((12, 6), np.float32), np.zeros(12, np.int32)
    fields = {"name": "toy", "train": {"x": x, "y": y}, "test": {"x": x[:3], "y": y[:3]}, "shape": (2, 3)}
    return Dataset(**(fields | changes))


def test_repr_names_the_rows_of_each_split_and_the_shape_of_each_array():
    assert repr(dataset()).splitlines() == [
        "Dataset 'toy', one x has shape (2, 3)",
        "  train  12 rows  x float32 [6], y int32 []",
        "  test    3 rows  x float32 [6], y int32 []",
    ]


def test_repr_puts_valid_between_train_and_test():
    valid = {"x": np.zeros((5, 6), np.float32)}
    assert repr(dataset(valid=valid)).splitlines()[2] == "  valid   5 rows  x float32 [6]"


def test_a_dataset_cannot_be_rebound():
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset().train = {}
