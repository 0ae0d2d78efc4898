"""The contract that every task of the registry keeps."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dsl.library import LIBRARY
from dsl.syntax import parse
from proxy_tasks.outcome import Outcome
from proxy_tasks.registry import TASKS, get_task
from proxy_tasks.task import Task, TaskError
from proxy_tasks.trainer import Trainer

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
DIVERGING = parse("def train(w, g, lr):\n  update = g * -1e30\n  return update\n")


@every_task
def test_splits_share_nothing(task: Task) -> None:
    sources = [set(source.ravel().tolist()) for source in task.data.source]
    for first in range(3):
        for second in range(first):
            assert not sources[first] & sources[second]
    for source, split in zip(task.data.source, (task.data.train, task.data.validation, task.data.test), strict=True):
        assert all(len(array) == len(source) > 0 for array in split)
        assert split[0].dtype == np.float32


@every_task
def test_training_data_have_zero_mean_and_unit_variance(task: Task) -> None:
    np.testing.assert_allclose(task.data.train[0].mean(), 0.0, atol=1e-4)
    np.testing.assert_allclose(task.data.train[0].std(), 1.0, atol=1e-4)


@every_task
def test_parameters_are_counted(task: Task) -> None:
    assert task.parameters == sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0))))


@every_task
def test_gradient_agrees_with_finite_differences(task: Task) -> None:
    params = task.init(jax.random.key(1))
    batch = tuple(jnp.asarray(array[:64]) for array in task.data.train)
    gradient = jax.grad(task.loss)(params, batch)
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    noise = [jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    direction = jax.tree.unflatten(structure, noise)
    slope = sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(gradient), noise, strict=True))

    def along(distance: float) -> float:
        return float(task.loss(jax.tree.map(lambda w, d: w + distance * d, params, direction), batch))

    np.testing.assert_allclose((along(1e-3) - along(-1e-3)) / 2e-3, slope, rtol=2e-2)


@every_task
def test_schedule_warms_up_to_one_and_falls_to_zero(task: Task) -> None:
    schedule = task.schedule()
    peak = int(np.argmax(schedule))
    assert schedule.shape == (task.steps,)
    assert schedule[peak] == 1.0
    assert peak == round(task.steps * 0.05) - 1
    assert np.all(np.diff(schedule[: peak + 1]) > 0)
    assert np.all(np.diff(schedule[peak:]) < 0)
    assert 0 < schedule[-1] < 1e-3


@every_task
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


def test_the_target_costs_ten_times_its_proxy() -> None:
    assert get_task("X_ae").compute >= 10 * get_task("ae").compute
    assert get_task("ae").searchable
    assert not get_task("X_ae").searchable


def test_names_in_any_capitals_and_the_nearest_one_otherwise() -> None:
    assert get_task("x_AE") is TASKS["X_ae"]
    with pytest.raises(TaskError, match="unknown task 'digit': did you mean 'digits'"):
        get_task("digit")


def test_adamw_learns(trainer: Trainer) -> None:
    task = trainer.task
    untrained = float(task.loss(task.init(jax.random.key(0)), tuple(jnp.asarray(x) for x in task.data.validation)))
    result = trainer.run(LIBRARY["adamw"], 0)
    assert result.outcome is Outcome.OK
    assert result.steps == task.steps
    assert result.loss is not None
    assert result.loss < 0.75 * untrained
    assert len(result.train_losses) == len(task.checkpoints)
    assert (result.accuracy is not None) == task.objective.has_accuracy


def test_same_seed_same_bits_and_other_seed_other_bits(trainer: Trainer) -> None:
    first, again, other = (trainer.run(LIBRARY["lion"], seed) for seed in (7, 7, 8))
    assert first == again
    assert first.loss != other.loss


def test_a_diverging_program_ends_as_non_finite(trainer: Trainer) -> None:
    result = trainer.run(DIVERGING, 0)
    assert result.outcome is Outcome.NON_FINITE
    assert result.loss is result.test_loss is result.accuracy is None
    assert 1 <= result.steps <= trainer.task.checkpoints[0]
    assert result.train_losses == ()
