"""Find a data file on this machine or at its public home, and prove that it is the right one.

A file is proved by the SHA-256 of its *decoded* content. The same content is kept in several forms (another
level of compression, text or packed bits), and only what the rows are made of has to agree.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pooch


class DataFileError(OSError):
    """A data file is missing, or it is not the file that it should be."""


@dataclass(frozen=True)
class File:
    """One form in which some content is kept.

    Attributes:
        path: where the file lies below the folder that `PPGEN_DATA` names.
        decode: gives the content of the file at a path.
        url: the public home of the file; `None` where it has none.
    """

    path: str
    decode: Callable[[Path], bytes] = Path.read_bytes
    url: str | None = None


def fetch(sha256: str, *forms: File) -> bytes:
    """Read the content that `forms` share: from below `PPGEN_DATA`, or else from a cache filled by download.

    Args:
        sha256: the SHA-256 of the decoded content.
        *forms: the files that decode to this content; the first one at hand is read.

    Returns:
        The decoded content.

    Raises:
        DataFileError: no form is at hand or can be downloaded, or the one found has other content.

    Example:
        >>> from ppgen.data.fetch import File, fetch
        >>> fetch("0" * 64, File("toy/nowhere.bin"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ppgen.data.fetch.DataFileError: expected the data file ...toy/nowhere.bin; got ...
    """
    folder = _folder()
    for form in forms:
        if folder and (folder / form.path).is_file():
            return _checked(folder / form.path, form, sha256)

    failures = []
    for form in forms:
        if form.url is None:
            continue
        try:
            path = _download(form.url, Path(form.path))
        except OSError as error:  # what requests raises without a network is an OSError too
            failures.append(f"{form.url} could not be downloaded ({type(error).__name__})")
            continue
        try:
            return _checked(path, form, sha256)
        except DataFileError:
            path.unlink()  # so that the next call downloads it afresh
            raise
    raise DataFileError(_missing(forms, sha256, failures))


def _folder() -> Path | None:
    named = os.environ.get("PPGEN_DATA")
    return Path(named).expanduser() if named else None


def _download(url: str, path: Path) -> Path:
    # No known_hash: pooch could only check the file as it was packed, `_checked` checks what is in it.
    return Path(pooch.retrieve(url, None, fname=path.name, path=pooch.os_cache("ppgen") / path.parent))


def _checked(path: Path, form: File, sha256: str) -> bytes:
    try:
        content = form.decode(path)
    except Exception as error:  # a damaged file can fail in any way its format allows
        raise DataFileError(
            f"expected {path} to hold content with SHA-256 {sha256}; "
            f"got a file that cannot be decoded ({type(error).__name__}: {error}); replace it by the original"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise DataFileError(
            f"expected {path} to hold content with SHA-256 {sha256}; got {digest}; replace it by the original"
        )
    return content


def _missing(forms: tuple[File, ...], sha256: str, failures: list[str]) -> str:
    folder = _folder()
    paths = " or ".join(str(folder / form.path if folder else form.path) for form in forms)
    found = [f"no such file in PPGEN_DATA={folder}" if folder else "no PPGEN_DATA to look in", *failures]
    advice = "put it there" if folder else "put it below a folder of yours and set PPGEN_DATA=<that folder>"
    return (
        f"expected the data file {paths}; got {', and '.join(found)}; "
        f"{advice} (the SHA-256 of its decoded content is {sha256})"
    )
