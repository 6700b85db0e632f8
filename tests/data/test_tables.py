import numpy as np
import pytest

from ppgen.data import DataFileError, uci
from ppgen.data.tables import UCI_SHA256

SHAPES = {
    "energy": (768, 9),
    "kin8nm": (8192, 9),
    "naval-propulsion-plant": (11934, 16),  # two of its 18 columns never change
    "power-plant": (9568, 5),
    "protein-tertiary-structure": (45730, 10),
    "wine-quality-red": (1599, 12),
}


@pytest.mark.parametrize("name", UCI_SHA256)
def test_every_table_is_cut_and_standardised_by_its_training_rows(name, real):
    real(f"uci/{name}.txt")
    data = uci(name)
    parts = [split["x"] for split in (data.train, data.valid, data.test)]
    rows, columns = SHAPES[name]
    assert sum(map(len, parts)) == rows
    assert len(parts[1]) == len(parts[2]) == round(rows / 10)
    assert all(part.shape[1:] == data.shape == (columns,) and part.dtype == np.float32 for part in parts)
    np.testing.assert_allclose(parts[0].astype(float).mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(parts[0].astype(float).std(0), 1, atol=1e-4)


def test_splits_hold_each_row_once_and_follow_the_seed(real):
    table = np.loadtxt(real("uci/kin8nm.txt"))
    data = uci("kin8nm", seed=3)
    x = np.concatenate([data.train["x"], data.valid["x"], data.test["x"]]).astype(float)
    # Standardised once more, by all rows, the two agree.
    x = (x - x.mean(0)) / x.std(0) * table.std(0) + table.mean(0)
    order = np.argsort(x[:, 0])
    np.testing.assert_allclose(x[order], table[np.argsort(table[:, 0])], atol=1e-4)
    assert np.array_equal(data.test["x"], uci("kin8nm", seed=3).test["x"])
    assert not np.array_equal(data.test["x"], uci("kin8nm", seed=4).test["x"])


def test_the_last_column_is_the_one_to_predict(real):
    table = np.loadtxt(real("uci/wine-quality-red.txt"))
    data = uci("wine-quality-red")
    assert len(np.unique(table[:, -1])) == len(np.unique(data.train["x"][:, -1])) == 6  # grades


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match="expected a table, one of .*'boston'"):
        uci("boston")


def test_uci_says_where_its_file_belongs(tmp_path, monkeypatch):
    monkeypatch.setenv("PPGEN_DATA", str(tmp_path))
    with pytest.raises(DataFileError, match=str(tmp_path / "uci/energy.txt")):
        uci("energy")
