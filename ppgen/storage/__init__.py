"""Run directories: arrays by name and a manifest, written all or nothing."""

from ppgen.storage.folder import CheckpointError, read, write

__all__ = ["CheckpointError", "read", "write"]
