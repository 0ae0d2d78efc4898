"""Trainers that all tests of a session share: compiling them is what these tests cost."""

from __future__ import annotations

from functools import cache

import pytest

from proxy_tasks.registry import TASKS
from proxy_tasks.trainer import Method, Trainer


@cache
def shared_trainer(name: str, method: Method) -> Trainer:
    return Trainer(TASKS[name], method=method)


@pytest.fixture(scope="session")
def interpreter() -> Trainer:
    return shared_trainer("ae", "interpret")


@pytest.fixture(scope="session")
def compiler() -> Trainer:
    return shared_trainer("ae", "compile")
