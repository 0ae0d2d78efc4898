"""How JAX is set up for training tiny models: settings that decide results are pinned, compiled loops are cached, and a
process keeps to one core.

A worker that starts later finds the loop compiled. One core is faster than several: the operations of a tiny model are
so short that handing them to a pool of threads costs more than it gains, and other cores are for other workers.
"""

from __future__ import annotations

import ctypes
import os
import sys
import zlib
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType

from optsearch.dsl.errors import UserError

CHECKED = 20
"""Entries of the cache that a process checks, which takes less than a tenth of a second: half an entry is among the
newest ones when the next process starts."""

_ZLIB, _ZSTD = 0x78, b"\x28\xb5\x2f\xfd"
"""What entries begin with."""


class DeviceError(UserError, RuntimeError):
    """JAX cannot compute in this environment."""


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


def import_jax() -> ModuleType:
    """JAX, which reads its settings from the environment when it is first imported.

    Raises:
        DeviceError: a variable has a value that JAX does not take.
    """
    try:
        import jax
    except (ValueError, RuntimeError) as error:
        raise DeviceError(_no_jax(error)) from error
    return jax


def _no_jax(error: Exception) -> str:
    chosen = " ".join(f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("JAX_"))
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"JAX cannot start: {reason}: correct or unset its environment variables (here {chosen or 'none'})"


@contextmanager
def pinned_settings() -> Generator[None]:
    """Sets all of JAX's settings that decide what a training run computes, whatever the environment or the caller has
    set; afterwards those are back.

    What cannot be pinned in a running process, such as ``XLA_FLAGS``, is recorded instead: ``machine.environment``.
    """
    import jax

    with ExitStack() as stack:
        for setting in (
            jax.enable_x64(False),
            jax.default_prng_impl("threefry2x32"),
            jax.threefry_partitionable(True),
            jax.numpy_dtype_promotion("standard"),
            jax.default_matmul_precision(None),
            jax.debug_nans(False),
            jax.debug_infs(False),
            jax.disable_jit(False),
        ):
            stack.enter_context(setting)
        yield


def prepare_process() -> None:
    """Switches the persistent cache on and keeps to one core, unless the process has chosen otherwise.

    Only what takes half a second or more to compile is kept. The number of cores is the environment variable
    ``PJRT_NPROC``, which JAX reads when it first uses the CPU; later it has no effect.

    Raises:
        DeviceError: JAX has no device to compute on.
    """
    os.environ.setdefault("PJRT_NPROC", "1")
    jax = import_jax()
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        drop_damaged(cache_folder())
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    try:
        jax.devices()
    except RuntimeError as error:
        raise DeviceError(_no_jax(error)) from error


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
