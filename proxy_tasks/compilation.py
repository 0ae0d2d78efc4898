"""How JAX is set up for training tiny models: a cache of compiled loops, one core a process, no memory hoarded.

A worker that starts later finds the loop compiled. One core is faster than several: the operations of a tiny model are
so short that handing them to a pool of threads costs more than it gains, and other cores are for other workers.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Where compiled loops are kept: ``JAX_COMPILATION_CACHE_DIR``, or ``optsearch`` in the user's cache folder."""
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "optsearch" / "compiled"


def prepare_process() -> None:
    """Switches the persistent cache on and keeps to one core, unless the process has chosen otherwise.

    Only what takes half a second or more to compile is kept. The number of cores is the environment variable
    ``PJRT_NPROC``, which JAX reads when it first uses the CPU; later it has no effect.
    """
    os.environ.setdefault("PJRT_NPROC", "1")
    import jax

    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def give_memory_back() -> None:
    """Gives freed memory back to the system: compiling the interpreter takes 300 MB that malloc would keep for good.

    Only glibc has a call for it; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
