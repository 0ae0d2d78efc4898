"""Fixtures: shared trainers of the search proxy."""

from __future__ import annotations

import pytest
from shared_trainers import shared_trainer

from optsearch.proxy_tasks.trainer import Trainer


@pytest.fixture(scope="session")
def interpreter() -> Trainer:
    return shared_trainer("ae", "interpret")


@pytest.fixture(scope="session")
def compiler() -> Trainer:
    return shared_trainer("ae", "compile")
