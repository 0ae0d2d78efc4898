"""Processes of a benchmark that end with it, also when a signal ends it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process


def processes(count: int) -> ProcessPoolExecutor:
    """A pool of fresh processes.

    Without the watch, processes whose parent was killed finish the call that they have begun, and then wait for ever.

    Args:
        count: number of processes.
    """
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=end_with_parent)


def end_with_parent() -> None:
    """Ends this process as soon as its parent has ended."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
