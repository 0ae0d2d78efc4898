"""Identification of the machine: another kind may round differently, so it is recorded with the results."""

from __future__ import annotations

import os
import platform
import re
import shlex
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from itertools import takewhile
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")

_FIELDS = (
    ("cpu family", "family"),
    ("model", "model"),
    ("stepping", "stepping"),
    ("CPU implementer", "implementer"),
    ("CPU architecture", "architecture"),
    ("CPU variant", "variant"),
    ("CPU part", "part"),
    ("CPU revision", "revision"),
)
"""Fields that distinguish processors with equal names, as in Linux's cpuinfo on x86 and Arm, and our names for them."""

_VECTORS = re.compile(r"sse4_2|avx.*|amx.*|fma.*|f16c|asimd.*|sve.*|i8mm|bf16")
"""Vector extensions that affect XLA's choice of instructions, and thereby rounding."""

OUR_FLAGS = ("--xla_cpu_multi_thread_eigen=false",)
"""XLA flags that evaluation itself sets."""

HARMLESS = re.compile(
    r"JAX_(COMPILATION_CACHE|PERSISTENT_CACHE|ENABLE_COMPILATION_CACHE|TRACEBACK|INCLUDE_FULL_TRACEBACKS|LOG|DUMP|RAISE_PERSISTENT)"
    r"|XLA_PYTHON_CLIENT_"
)
"""Prefixes of environment variables that control storage locations and logging, without effect on results."""

PINNED = frozenset(
    (
        "JAX_ENABLE_X64",
        "JAX_DEFAULT_PRNG_IMPL",
        "JAX_THREEFRY_PARTITIONABLE",
        "JAX_NUMPY_DTYPE_PROMOTION",
        "JAX_DEFAULT_MATMUL_PRECISION",
        "JAX_DEBUG_NANS",
        "JAX_DEBUG_INFS",
        "JAX_DISABLE_JIT",
    )
)
"""Variables that ``optsearch.proxy_tasks.compilation.pinned_settings`` overrides."""


def processor() -> str:
    """Processor of this machine: name, family, model, stepping, and vector extensions.

    The name alone does not identify the generation: several are named "AMD EPYC".
    """
    try:
        with CPU_INFO.open(encoding="utf-8", errors="replace") as lines:
            first = list(takewhile(str.strip, lines))  # an empty line ends the first core; there may be hundreds
    except OSError:
        first = []
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first)}
    name = told.get("model name") or platform.processor() or platform.machine()
    numbers = " ".join(f"{ours} {told[theirs]}" for theirs, ours in _FIELDS if told.get(theirs))
    vectors = " ".join(sorted(filter(_VECTORS.fullmatch, (told.get("flags") or told.get("Features") or "").split())))
    return ", ".join(filter(None, (name, numbers, vectors)))


def environment() -> str:
    """Environment variables that may affect results and cannot be pinned, as ``NAME=value``; usually empty.

    Includes all variables of JAX and XLA except those that are pinned, known to be harmless, or set by evaluation
    itself. The order of variables and of flags is normalised.
    """
    found: list[str] = []
    for name, value in sorted(os.environ.items()):
        if not name.startswith(("JAX_", "XLA_", "NVIDIA_TF32_")) or name in PINNED or HARMLESS.match(name):
            continue
        if name == "XLA_FLAGS":
            value = " ".join(sorted(set(value.split()) - set(OUR_FLAGS)))
        if value and (name, value) != ("JAX_PLATFORMS", "cpu"):
            found.append(f"{name}={shlex.quote(value)}")
    return " ".join(found)


@cache  # every training run asks, and metadata are parsed anew each time
def version(package: str) -> str:
    """Version of an installed package when this process first asked for it."""
    return metadata.version(package)


def numerics() -> dict[str, str]:
    """All that affects the last digits of a run besides this package: processor, environment, package versions."""
    about = {"processor": processor(), "environment": environment()}
    return about | {package: version(package) for package in ("jax", "jaxlib", "numpy", "optax")}


def made_on(device: str = "") -> str:
    """The `numerics` of this process in one line, for cache keys.

    Args:
        device: kind of the accelerator that computes, from `computing_device`; empty for the CPU.
    """
    return "; ".join(f"{name} {value}" for name, value in (numerics() | {"accelerator": device}).items() if value)


def accelerator() -> str:
    """Kind of JAX's default device, such as ``NVIDIA H100``; initialises JAX."""
    import jax

    return str(jax.devices()[0].device_kind)


def computing_device() -> str:
    """Kind of the accelerator on which this process computes; empty for the CPU; initialises JAX."""
    kind = accelerator()
    return "" if kind == "cpu" else kind


@contextmanager
def with_variables(variables: Mapping[str, str]) -> Generator[None]:
    """Sets environment variables for the duration of a block, and restores their former values."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
