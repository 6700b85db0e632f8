"""One writer at a time: a lock on a file, which a dead process does not hold."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ppgen.errors import CheckpointError

try:
    import fcntl
except ImportError:  # a system without POSIX locks: writers of one process exclude each other there
    fcntl = None

_MINE: set[Path] = set()  # locks of POSIX belong to a process, so they do not tell its threads apart
_ONE = threading.Lock()


@contextmanager
def locked(file: Path, what: Path) -> Iterator[None]:
    """Inside, this process alone writes to `what`.

    The system gives the lock back when its process ends, however it ends; the file that is left then holds nobody up.
    Processes that were forked meanwhile do not hold it.

    Args:
        file: the file to lock; made, and removed afterwards.
        what: what it stands for, in messages.

    Raises:
        CheckpointError: another writer has the lock, or the file cannot be written.
    """
    file = file.resolve()
    with _ONE:
        if file in _MINE:
            raise _taken(what, "this process")
        descriptor = _opened(file, what)
        _MINE.add(file)
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)
        _MINE.discard(file)


def _opened(file: Path, what: Path) -> int:
    """A descriptor of the file that is there now, locked; whoever waits on one that was removed has nothing."""
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise CheckpointError(f"expected to write to {what}; got {error}. Choose another folder.") from None
        try:
            if fcntl is not None:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file.exists() and os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except OSError:
            writer = os.read(descriptor, 32).decode(errors="replace")
            os.close(descriptor)
            raise _taken(what, f"process {writer or 'unknown'}") from None
        os.close(descriptor)


def _taken(what: Path, writer: str) -> CheckpointError:
    return CheckpointError(
        f"expected to be the only writer of {what}; {writer} is writing there. Wait for it to end, or choose another folder."
    )
