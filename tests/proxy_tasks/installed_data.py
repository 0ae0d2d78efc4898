"""Tests of tasks whose data come from an optional package: skipped where it is not installed."""

from __future__ import annotations

import pytest

from optsearch.proxy_tasks.task import Task


def skip_without_package(task: Task) -> None:
    """Skips the test if the task's package is not installed in the pinned version."""
    if task.packaged and (fault := task.packaged.package.fault()):
        pytest.skip(fault)
