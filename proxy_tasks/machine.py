"""The kind of machine that evaluates: another one may round differently, so it is recorded with the results."""

from __future__ import annotations

import os
import platform
import re
import shlex
from importlib.metadata import version
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
"""What tells processors apart that share a name, as Linux calls it on x86 and Arm, and as we do."""

_VECTORS = re.compile(r"sse4_2|avx.*|amx.*|fma.*|f16c|asimd.*|sve.*|i8mm|bf16")
"""Extensions for which XLA compiles other instructions, and so may round otherwise."""

OUR_FLAGS = ("--xla_cpu_multi_thread_eigen=false",)
"""Flags of XLA that evaluation itself sets."""

HARMLESS = re.compile(
    r"JAX_(COMPILATION_CACHE|PERSISTENT_CACHE|ENABLE_COMPILATION_CACHE|TRACEBACK|INCLUDE_FULL_TRACEBACKS|LOG|DUMP|RAISE_PERSISTENT)"
    r"|XLA_PYTHON_CLIENT_"
)
"""Beginnings of names of variables that decide where things are kept, and what is said, but no result."""

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
"""Variables that ``optsearch.proxy_tasks.compilation.pinned_settings`` makes harmless."""


def processor() -> str:
    """This machine's processor: name, family, model, stepping, and vector extensions.

    The name alone hides the generation: several of them call themselves "AMD EPYC".
    """
    try:
        text = CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    first, _, _ = text.strip().partition("\n\n")  # cores are separated by empty lines
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    name = told.get("model name") or platform.processor() or platform.machine()
    numbers = " ".join(f"{ours} {told[theirs]}" for theirs, ours in _FIELDS if told.get(theirs))
    vectors = " ".join(sorted(filter(_VECTORS.fullmatch, (told.get("flags") or told.get("Features") or "").split())))
    return ", ".join(filter(None, (name, numbers, vectors)))


def environment() -> str:
    """Variables of the environment that may decide results and cannot be pinned, as ``NAME=value``; usually empty.

    All of JAX's and XLA's count, except those that are pinned or known to be harmless, and flags that evaluation sets
    itself. Their order, and that of flags, does not matter.
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


def numerics() -> dict[str, str]:
    """What decides the last digits of a training run, beside this package: processor, environment, and packages."""
    about = {"processor": processor(), "environment": environment()}
    return about | {package: version(package) for package in ("jax", "jaxlib", "numpy", "optax")}


def made_on() -> str:
    """The same of this process in one line, for keys of what is kept."""
    return "; ".join(f"{name} {value}" for name, value in numerics().items() if value)


def accelerator() -> str:
    """Kind of the device that JAX computes on, such as ``NVIDIA H100``; starts JAX."""
    import jax

    return str(jax.devices()[0].device_kind)
