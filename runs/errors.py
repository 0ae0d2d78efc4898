"""What can be wrong with a run on disk, in plain sentences."""

from __future__ import annotations


class RunError(RuntimeError):
    """A run folder cannot be used as asked; the message names it, the reason and what to do."""


class StorageError(RunError):
    """The disk is full, or it cannot be read or written: nothing that was recorded is lost."""


class DamagedRunError(RunError):
    """A run file is not as it was written: a record does not match its checksum, or SQLite cannot read it."""
