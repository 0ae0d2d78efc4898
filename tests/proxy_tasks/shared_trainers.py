"""Trainers shared by all tests of a session, because their compilation dominates the time of these tests."""

from __future__ import annotations

from functools import cache

from optsearch.proxy_tasks.registry import TASKS
from optsearch.proxy_tasks.trainer import Method, Trainer


@cache
def shared_trainer(name: str, method: Method) -> Trainer:
    """The trainer of a task, made when it is first asked for."""
    return Trainer(TASKS[name], method=method)
