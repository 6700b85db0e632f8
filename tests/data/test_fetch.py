import gzip
import hashlib
from pathlib import Path

import pooch
import pytest
import requests

from ppgen.data import DataFileError
from ppgen.data.fetch import File, fetch

CONTENT = b"some rows"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
URL = "https://example.org/toy.gz"


def gunzip(path):
    return gzip.decompress(path.read_bytes())


def pack(path, content=CONTENT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PPGEN_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A public home: what lies in this folder can be 'downloaded', all else fails as it does offline."""
    remote = tmp_path / "home"
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)

    def retrieve(url, known_hash, fname, path):
        if not (remote / fname).exists():
            raise requests.ConnectionError("no network")
        path.mkdir(parents=True, exist_ok=True)
        cached = path / fname
        if not cached.exists():  # as pooch does: what is in the cache is not downloaded again
            cached.write_bytes((remote / fname).read_bytes())
        return str(cached)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    return remote


def test_a_local_file_is_decoded_and_not_downloaded(folder, home):
    pack(folder / "toy/toy.gz")
    pack(home / "toy.gz", b"other rows")
    assert fetch(SHA256, File("toy/toy.gz", gunzip, URL)) == CONTENT


def test_the_form_at_hand_is_taken_whatever_its_place(folder):
    pack(folder / "toy/toy.gz")
    assert fetch(SHA256, File("toy/toy.bin"), File("toy/toy.gz", gunzip)) == CONTENT


def test_a_home_directory_in_the_variable_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PPGEN_DATA", "~/data")
    pack(tmp_path / "data/toy.gz")
    assert fetch(SHA256, File("toy.gz", gunzip)) == CONTENT


@pytest.mark.parametrize("variable", [None, "", "empty"])
def test_a_file_that_is_not_here_is_downloaded_into_the_cache(variable, tmp_path, home, monkeypatch):
    monkeypatch.delenv("PPGEN_DATA", raising=False)
    if variable is not None:
        monkeypatch.setenv("PPGEN_DATA", variable and str(tmp_path / variable))
    pack(home / "toy.gz")
    assert fetch(SHA256, File("toy/toy.gz", gunzip, URL)) == CONTENT
    assert (tmp_path / "cache/ppgen/toy/toy.gz").is_file()


def test_a_missing_file_names_the_path_the_home_and_the_sha256(folder, home):
    with pytest.raises(DataFileError) as error:
        fetch(SHA256, File("toy/toy.gz", gunzip, URL))
    message = str(error.value)
    assert message.startswith(f"expected the data file {folder / 'toy/toy.gz'}; got no such file in PPGEN_DATA")
    assert f"{URL} could not be downloaded (ConnectionError)" in message
    assert SHA256 in message


def test_without_the_variable_the_error_says_to_set_it(monkeypatch):
    monkeypatch.delenv("PPGEN_DATA", raising=False)
    with pytest.raises(DataFileError) as error:
        fetch(SHA256, File("toy/toy.bin"), File("toy/toy.gz"))
    message = str(error.value)
    assert message.startswith("expected the data file toy/toy.bin or toy/toy.gz; got no PPGEN_DATA to look in;")
    assert "set PPGEN_DATA=<that folder>" in message
    assert SHA256 in message


def test_other_content_is_refused(folder):
    pack(folder / "toy.gz", b"some Rows")
    with pytest.raises(DataFileError, match=f"expected .*toy.gz to hold content with SHA-256 {SHA256}; got "):
        fetch(SHA256, File("toy.gz", gunzip))


def test_a_truncated_file_is_refused(folder):
    pack(folder / "toy.gz")
    whole = (folder / "toy.gz").read_bytes()
    (folder / "toy.gz").write_bytes(whole[:-10])
    with pytest.raises(DataFileError, match="got a file that cannot be decoded") as error:
        fetch(SHA256, File("toy.gz", gunzip))
    assert isinstance(error.value.__cause__, EOFError)


def test_a_damaged_local_file_is_not_replaced_by_a_download(folder, home):
    pack(folder / "toy.gz", b"other rows")
    pack(home / "toy.gz")
    with pytest.raises(DataFileError):
        fetch(SHA256, File("toy.gz", gunzip, URL))


def test_a_damaged_download_is_dropped_and_fetched_again(folder, home, tmp_path):
    pack(home / "toy.gz", b"a log-in page")
    with pytest.raises(DataFileError):
        fetch(SHA256, File("toy.gz", gunzip, URL))
    pack(home / "toy.gz")
    assert fetch(SHA256, File("toy.gz", gunzip, URL)) == CONTENT


def test_the_default_form_is_the_file_as_it_is(folder):
    folder.mkdir()
    Path(folder, "toy.bin").write_bytes(CONTENT)
    assert fetch(SHA256, File("toy.bin")) == CONTENT
