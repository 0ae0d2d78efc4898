"""Machine and software of a run, recorded with every session because rounding differs between machines."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

from optsearch.dsl.fingerprint import FINGERPRINT_VERSION
from optsearch.proxy_tasks.machine import made_on, numerics, version
from optsearch.search.evolution import SEARCH_VERSION

PACKAGES = ("optsearch", "ray")
"""Packages that are recorded in addition to the numerical ones."""


def about_machine() -> dict[str, str]:
    """Machine type, environment variables and packages that affect results, and the Python version."""
    about = {"system": platform.platform(), "python": platform.python_version()}
    return about | numerics() | {package: version(package) for package in PACKAGES}


def made_with(machine: str | None = None) -> str:
    """Cache key of the environment: training runs with equal keys, tasks, programs and seeds are interchangeable.

    The version of the search identifies the trainer's computation.

    Args:
        machine: machine of the training process, from ``Trained.machine``; None for this process.
    """
    return f"fingerprint {FINGERPRINT_VERSION}; search {SEARCH_VERSION}; {made_on() if machine is None else machine}"


def machine_changes(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Differences between two sessions that can affect results: processor, environment, numerical packages.

    Sessions recorded before the environment was recorded are treated as if no variables were set.
    """
    both = [(key, was.get(key, "" if key == "environment" else "unknown"), now[key]) for key in numerics()]
    return [f"{key} was {old or 'unset'} and is {new or 'unset'}" for key, old, new in both if old != new]


def available_cores() -> int:
    """Number of cores available to this process, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Memory of this machine, in bytes; None if the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
