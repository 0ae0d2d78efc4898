"""The contract of all tasks: proxies unchanged, larger rungs with few steps; slow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from installed_data import skip_without_package

from optsearch.proxy_tasks.contract import LAWS, Law, Subject
from optsearch.proxy_tasks.datasets.dataset import Dataset
from optsearch.proxy_tasks.objectives import Reconstruction
from optsearch.proxy_tasks.registry import TASKS, get_task
from optsearch.proxy_tasks.task import RUNGS, Task

PROXIES = [name for name, task in TASKS.items() if task.rung == RUNGS[0]]
SLOW = ("mlm", "lm", "vit", "finetune", "contrastive")
QUICK = [name for name in PROXIES if name not in SLOW and TASKS[name].packaged is None]
"""Compiling is what these tests cost: Transformers and the tasks that start from another one's data are slow tests. So
are targets, whose proxies run for thousands of steps; `test_targets` checks their data."""

LONG = [name for name in TASKS if name not in QUICK]
SHORT, FINE = 60, 500
"""Steps in which larger rungs have to learn something; with fewer, fine-tuning only disturbs what it started from."""

every_law = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name.replace(" ", "-"))


@cache
def subject(name: str) -> Subject:
    """Compiles one program; `test_agreement` says that interpreting gives the same."""
    task = TASKS[name]
    skip_without_package(task)
    steps = task.steps if name in PROXIES and task.packaged is None else SHORT if task.start is None else FINE
    return Subject(replace(task, steps=steps), "compile")


@pytest.mark.parametrize("name", QUICK)
@every_law
def test_every_proxy_keeps_the_law(name: str, law: Law) -> None:
    assert law.check(subject(name)) is None, law.sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
@every_law
def test_every_larger_task_keeps_the_law(name: str, law: Law) -> None:
    assert law.check(subject(name)) is None, law.sentence


def leaking() -> Dataset:
    data = get_task("ae").data
    return replace(data, validation=data.train, source=(data.source[0], data.source[0], data.source[2]))


def unequal() -> Dataset:
    data = get_task("ae").data
    return replace(data, train=(data.train[0], data.train[0][:-1]))


def poisoned() -> Dataset:
    data = get_task("ae").data
    return replace(data, test=(data.test[0] * np.float32(np.nan),))


class Doubled(Reconstruction):
    """Its value is not what its gradient is of."""

    def loss(self, model, params, batch):  # type: ignore[no-untyped-def]
        import jax

        loss = super().loss(model, params, batch)
        return 2.0 * loss - jax.lax.stop_gradient(loss)


@pytest.mark.parametrize(
    ("law", "change", "says"),
    [
        ("no leak", {"dataset": leaking}, "train and validation share"),
        ("splits", {"dataset": unequal}, "train: the arrays have different lengths, 5087, 5088"),
        ("splits", {"dataset": poisoned}, "test: an array has a value that is not finite"),
        ("gradient", {"objective": Doubled()}, "along a random direction, the slope is"),
    ],
)
def test_a_task_that_breaks_a_law_is_told_so(law: str, change: dict[str, Callable[[], Dataset]], says: str) -> None:
    broken: Task = replace(get_task("ae"), **change)  # type: ignore[arg-type]
    (check,) = (one.check for one in LAWS if one.name == law)
    assert says in (check(Subject(broken, "compile")) or "")
