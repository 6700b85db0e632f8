"""Folders of arrays with a manifest, written all or nothing; and run directories of several of them."""

from ppgen.errors import CheckpointError
from ppgen.storage.folder import read, write
from ppgen.storage.runs import RunFolder, read_last

__all__ = ["CheckpointError", "RunFolder", "read", "read_last", "write"]
