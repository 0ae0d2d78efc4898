"""How JAX is set up for training tiny models: settings that decide results are pinned, compiled loops are cached, and a
process keeps to one core.

A worker that starts later finds the loop compiled. One core is faster than several: the operations of a tiny model are
so short that handing them to a pool of threads costs more than it gains, and other cores are for other workers.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path


class DeviceError(RuntimeError):
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
    import jax

    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    try:
        jax.devices()
    except RuntimeError as error:
        asked = os.environ.get("JAX_PLATFORMS")
        raise DeviceError(
            f"JAX cannot start with JAX_PLATFORMS={asked}: {str(error).splitlines()[0]}: unset the variable, or name a "
            "platform that is installed here, such as cpu"
        ) from error


def give_memory_back() -> None:
    """Gives freed memory back to the system: compiling the interpreter takes 300 MB that malloc would keep for good.

    Only glibc has a call for it; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
