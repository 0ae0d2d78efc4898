"""Configuration of JAX for training small models: pinned numerical settings, a persistent compilation cache, one core.

With the cache, workers that start later skip compilation. One core is faster than several: the operations of a small
model are so short that dispatching them to a thread pool costs more than it saves, and the other cores serve other
workers.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import zlib
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType

from optsearch.dsl.errors import UserError
from optsearch.proxy_tasks.machine import OUR_FLAGS

CHECKED = 20
"""Number of cache entries that a process checks, in less than 0.1 s. A truncated entry is among the newest when the
next process starts."""

_ZLIB, _ZSTD = 0x78, b"\x28\xb5\x2f\xfd"
"""First bytes of cache entries."""


MAPPINGS = 0.5
"""Share of the process's memory mappings above which it drops its compiled functions."""


class DeviceError(UserError, RuntimeError):
    """JAX cannot compute in this environment."""


def cache_folder() -> Path:
    """Folder of compiled loops: ``JAX_COMPILATION_CACHE_DIR``, or ``optsearch`` in the user's cache folder."""
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
    """Imports JAX, which reads its settings from the environment on first import.

    Raises:
        DeviceError: an environment variable has a value that JAX rejects.
    """
    try:
        import jax
    except (ValueError, RuntimeError) as error:
        raise DeviceError(_no_jax(error)) from error
    return jax


def use_one_cpu_thread() -> None:
    """Restricts this process to one CPU thread; must be called before the first JAX computation.

    Multiple threads or another device change the order of summation, so that results would depend on the number of
    cores or the presence of a GPU. A value of ``JAX_PLATFORMS`` set by the user is kept. Otherwise this function sets
    JAX's configuration option instead of the variable: JAX ignores the variable once imported, and workers with a share
    of a GPU would inherit it.
    """
    flags = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join([*flags, *(flag for flag in OUR_FLAGS if flag not in flags)])
    os.environ["NPROC"] = os.environ["OMP_NUM_THREADS"] = "1"
    if "JAX_PLATFORMS" not in os.environ:
        import_jax().config.update("jax_platforms", "cpu")


def _no_jax(error: Exception) -> str:
    chosen = " ".join(f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("JAX_"))
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"JAX cannot start: {reason}: correct or unset its environment variables (here {chosen or 'none'})"


@contextmanager
def pinned_settings() -> Generator[None]:
    """Context that pins all JAX settings that affect numerical results, regardless of environment and caller.

    The previous settings are restored on exit. Settings that cannot be changed in a running process, such as
    ``XLA_FLAGS``, are recorded instead: ``machine.environment``.
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
    """Enables the persistent cache and restricts JAX to one core, unless the process has configured these.

    Only compilations that take at least half a second are cached. The number of cores is the environment variable
    ``PJRT_NPROC``, which JAX reads when it first uses the CPU and ignores afterwards.

    Raises:
        DeviceError: JAX finds no device.
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
    """Deletes corrupt entries among the ``CHECKED`` newest of a cache.

    A killed process or a full disk leaves a truncated entry. JAX then warns, compiles again and keeps the entry, in
    this and all later processes. Entries are zlib streams, which end with a checksum; entries in zstd, which JAX uses
    if it is installed, are deleted only if they are empty.
    """
    found: list[tuple[int, Path]] = []
    for entry in folder.glob("*-cache"):
        with suppress(OSError):  # another process has deleted it
            found.append((entry.stat().st_mtime_ns, entry))
    for _, entry in sorted(found, reverse=True)[:CHECKED]:
        with suppress(OSError):  # the same, or the process lacks permission to read or delete it
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
    """Returns memory to the system after a compilation.

    XLA maps every kernel of a compiled function separately, about 200 mappings for a training loop. Linux allows a
    process 65,530, at which compiling ends the process. Above ``MAPPINGS`` of them, all compiled functions are dropped;
    those that are called again are compiled again.

    Freed memory goes back to the system: malloc would otherwise retain the 300 MB of compiling the interpreter. Both
    apply to Linux only, the second to glibc; elsewhere the call has no effect.
    """
    if _mappings_in_use() > MAPPINGS:
        import_jax().clear_caches()
        gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _mappings_in_use() -> float:
    """Share of the memory mappings that the system allows this process; 0 where it is unknown."""
    try:
        allowed = int(Path("/proc/sys/vm/max_map_count").read_text())
        return Path("/proc/self/maps").read_bytes().count(b"\n") / allowed
    except (OSError, ValueError):
        return 0.0
