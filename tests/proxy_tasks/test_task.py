"""Properties of tasks: schedules, orders, versions, ladders; `test_contract` tests their data and training."""

from __future__ import annotations

import re
from dataclasses import replace

import jax
import numpy as np
import pytest

from optsearch.proxy_tasks.registry import TASKS, get_task
from optsearch.proxy_tasks.task import RUNGS, Task, TaskError

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


@every_task
def test_schedule_warms_up_to_one_and_falls_to_zero(task: Task) -> None:
    schedule = task.schedule()
    peak = int(np.argmax(schedule))
    assert schedule.shape == (task.steps,)
    assert schedule[peak] == 1.0
    assert peak == round(task.steps * 0.05) - 1
    assert np.all(np.diff(schedule[: peak + 1]) > 0)
    assert np.all(np.diff(schedule[peak:]) <= 0)
    assert 0 < schedule[-1] < 1e-3
    constant = task.schedule(decays=False)
    assert constant[: peak + 1].tolist() == schedule[: peak + 1].tolist()
    assert set(constant[peak:]) == {1.0}


@pytest.mark.parametrize("task", [TASKS["ae"], TASKS["digits"]], ids=lambda task: task.name)
def test_every_epoch_visits_an_example_at_most_once(task: Task) -> None:
    order = np.asarray(task.order(jax.random.key(3)))
    assert order.shape == (task.steps, task.batch_size)
    examples = len(task.data.train[0])
    batches = examples // task.batch_size
    epoch = order[:batches].ravel()
    assert len(set(epoch.tolist())) == epoch.size
    assert 0 <= order.min() <= order.max() < examples


def test_version_changes_with_settings_and_data() -> None:
    task = get_task("ae")
    others = [replace(task, steps=301), replace(task, batch_size=16), replace(task, dataset=get_task("digits").dataset)]
    versions = {task.version, *(other.version for other in others)}
    assert len(versions) == 4
    assert replace(task, description="other words").version == task.version


def test_a_task_that_cannot_train_is_not_made() -> None:
    task = get_task("ae")
    assert len(set(replace(task, steps=10).checkpoints)) == 10
    for change, says in (
        ({"steps": 9}, "steps is 9; it must be a whole number of 10 or more, since a run has 10 checkpoints"),
        ({"steps": 20.0}, "steps is 20.0; it must be a whole number of 10 or more"),
        ({"batch_size": 0}, "batch_size is 0; it must be a whole number of 1 or more"),
    ):
        with pytest.raises(TaskError, match=f"task 'ae': {re.escape(says)}"):
            replace(task, **change)
    with pytest.raises(TaskError, match="task 'ae': train has 5088 examples, fewer than a batch of 6000"):
        _ = replace(task, batch_size=6000).data


def test_rungs_cost_ten_and_a_hundred_times_their_proxy() -> None:
    proxies = {task.family: task for task in TASKS.values() if task.rung == "proxy"}
    assert proxies.keys() == {task.family for task in TASKS.values()}
    for task in TASKS.values():
        times = 1 if task.rung == "proxy" else int(task.rung.removeprefix("x"))
        assert 0.9 * times <= task.compute / proxies[task.family].compute <= 1.15 * times, task.name
        assert task.steps > 1.2 * proxies[task.family].steps or times == 1, task.name
        assert task.objective.name == proxies[task.family].objective.name


def test_every_family_has_its_ladder() -> None:
    for family in {task.family for task in TASKS.values()}:
        assert [TASKS[name].rung for name in (family, f"{family}-x10", f"{family}-x100")] == list(RUNGS)


def test_only_what_was_measured_is_for_search() -> None:
    assert {name for name, task in TASKS.items() if task.use == "search"} == {"ae", "ae-x10", "lmmlp", "lm"}
    assert {name for name, task in TASKS.items() if task.use == "set"} == {"teach"}


def test_versions_are_distinct_and_those_of_recorded_runs_are_kept() -> None:
    assert len({task.version for task in TASKS.values()}) == len(TASKS)
    kept = {"ae": "1c877f4c5518ee67", "X_ae": "cb68ba30d202d470", "digits": "44842d9c5db3fc31"}
    assert {name: TASKS[name].version for name in kept} == kept


def test_names_in_any_capitals_and_the_nearest_one_otherwise() -> None:
    assert get_task("x_AE") is TASKS["X_ae"]
    with pytest.raises(TaskError, match="unknown task 'digit': did you mean 'digits'"):
        get_task("digit")
