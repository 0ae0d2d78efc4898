"""Where and with what a run is made; recorded with every session, since other machines round differently."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version

from dsl.fingerprint import FINGERPRINT_VERSION
from search.evolution import SEARCH_VERSION
from search.machine import processor

PACKAGES = ("optsearch", "jax", "jaxlib", "numpy", "optax", "ray")

NUMERICS = ("processor", "jax", "jaxlib", "numpy")
"""What decides the last digits of a training run, beside this package."""


def about_machine() -> dict[str, str]:
    """Kind of machine, Python, and versions of the packages that results can depend on."""
    about = {"system": platform.platform(), "processor": processor(), "python": platform.python_version()}
    return about | {package: version(package) for package in PACKAGES}


def made_with() -> str:
    """What training runs must share to be used in each other's place, beside task, program and seed.

    The version of the search stands for how the trainer computes; optax trains the baselines.
    """
    about = about_machine()
    versions = {"fingerprint": FINGERPRINT_VERSION, "search": SEARCH_VERSION}
    return "; ".join(
        f"{key} {value}" for key, value in (versions | {k: about[k] for k in (*NUMERICS, "optax")}).items()
    )


def machine_changes(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two sessions in a way that results can show: the processor and the numerical packages."""
    return [f"{key} was {was.get(key, 'unknown')} and is {now[key]}" for key in NUMERICS if was.get(key) != now[key]]


def available_cores() -> int:
    """Cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1
