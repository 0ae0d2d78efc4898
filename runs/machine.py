"""Where and with what a run is made; recorded with every session, since other machines round differently."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

PACKAGES = ("optsearch", "jax", "jaxlib", "numpy", "optax", "ray")


def about_machine() -> dict[str, str]:
    """Kind of machine, Python, and versions of the packages that results can depend on."""
    about = {"system": platform.platform(), "processor": _processor(), "python": platform.python_version()}
    return about | {package: version(package) for package in PACKAGES}


def available_cores() -> int:
    """Cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
