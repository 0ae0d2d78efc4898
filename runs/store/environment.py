"""Where and with what a run is made; recorded with every session, since other machines round differently."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version

from optsearch.dsl.fingerprint import FINGERPRINT_VERSION
from optsearch.proxy_tasks.machine import made_on, numerics
from optsearch.search.evolution import SEARCH_VERSION

PACKAGES = ("optsearch", "ray")
"""Packages that are recorded beside the numerical ones."""


def about_machine() -> dict[str, str]:
    """Kind of machine, variables of the environment that decide results, Python, and versions of the packages that they
    can depend on.
    """
    about = {"system": platform.platform(), "python": platform.python_version()}
    return about | numerics() | {package: version(package) for package in PACKAGES}


def made_with(machine: str | None = None) -> str:
    """What training runs must share to be used in each other's place, beside task, program and seed.

    The version of the search stands for how the trainer computes.

    Args:
        machine: of the process that makes them, as ``Trained.machine`` says it; None for this process.
    """
    return f"fingerprint {FINGERPRINT_VERSION}; search {SEARCH_VERSION}; {made_on() if machine is None else machine}"


def machine_changes(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two sessions in a way that results can show: processor, environment, numerical packages.

    A session that was recorded before the environment was is taken to have had none of its variables.
    """
    both = [(key, was.get(key, "" if key == "environment" else "unknown"), now[key]) for key in numerics()]
    return [f"{key} was {old or 'unset'} and is {new or 'unset'}" for key, old, new in both if old != new]


def available_cores() -> int:
    """Cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1
