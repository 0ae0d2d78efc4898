"""How JAX is set up for training tiny models: a cache of compiled loops, one core a process, no memory hoarded.

A worker that starts later finds the loop compiled. One core is faster than several: the operations of a tiny model are
so short that handing them to a pool of threads costs more than it gains, and other cores are for other workers.
"""

from __future__ import annotations

import ctypes
import os
import sys
import zlib
from contextlib import suppress
from pathlib import Path

CHECKED = 20
"""Entries of the cache that a process checks, which takes less than a tenth of a second: half an entry is among the
newest ones when the next process starts."""

_ZLIB, _ZSTD = 0x78, b"\x28\xb5\x2f\xfd"
"""What entries begin with."""


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
        drop_damaged(cache_folder())
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def drop_damaged(folder: Path) -> None:
    """Deletes entries of a cache that cannot be read, of the ``CHECKED`` newest.

    A process that is killed or a full disk leaves half an entry. JAX warns, compiles again, and keeps what is there, in
    this process and in all that follow. Entries are zlib streams, which end with a checksum; those of zstd, which JAX
    uses where it is installed, are deleted only when they are empty.
    """
    found: list[tuple[int, Path]] = []
    for entry in folder.glob("*-cache"):
        with suppress(OSError):  # another process has deleted it
            found.append((entry.stat().st_mtime_ns, entry))
    for _, entry in sorted(found, reverse=True)[:CHECKED]:
        with suppress(OSError):  # the same, or it is not ours to read or delete
            if not _readable(entry.read_bytes()):
                entry.unlink(missing_ok=True)


def _readable(data: bytes) -> bool:
    if not data or data[0] != _ZLIB:
        return data.startswith(_ZSTD)
    stream = zlib.decompressobj()
    try:
        stream.decompress(data)
    except zlib.error:
        return False
    return stream.eof


def give_memory_back() -> None:
    """Gives freed memory back to the system: compiling the interpreter takes 300 MB that malloc would keep for good.

    Only glibc has a call for it; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
