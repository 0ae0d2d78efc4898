"""The training loop: checkpoints, early stopping, and the losses at the end.

Interpreter, compiled programs and optax optimizers all train in this loop; they differ only in `step`. Everything runs
inside one jitted function: a loop over the spans between checkpoints around a loop over steps. The inner loop ends at
the first loss that is not finite; weights, and the hurdle, are looked at when a checkpoint is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from proxy_tasks.outcome import Outcome, TrainingResult
from proxy_tasks.task import Task

if TYPE_CHECKING:
    import jax

RUNNING, NON_FINITE, HURDLE = 0, 1, 2

Step = Callable[[Any, Any], tuple[Any, Any]]
"""Takes the step's number and the carry; gives the new carry and the batch's loss before the update."""


class Batches(NamedTuple):
    """What a run of a task reads; it depends only on the seed.

    Attributes:
        weights: initial parameters.
        order: examples of each batch, int32 [steps, batch_size].
        train: the training split.
        validation: the validation split.
        test: the test split.
    """

    weights: Any
    order: Any
    train: Any
    validation: Any
    test: Any


class Report(NamedTuple):
    """What the loop gives back, as arrays.

    Attributes:
        status: int32: RUNNING when the end was reached, else why it stopped.
        steps: int32, steps run.
        train_losses: float32 [checkpoints], mean training loss of each span.
        passed: int32, number of checkpoints passed.
        loss: float32, validation loss.
        test_loss: float32.
        accuracy: float32, on the test split.
    """

    status: Any
    steps: Any
    train_losses: Any
    passed: Any
    loss: Any
    test_loss: Any
    accuracy: Any


def prepare(task: Task, seed: jax.Array) -> tuple[Any, Any]:
    """Initial weights and batch order of a seed: the only randomness of a run."""
    import jax

    weights, order = jax.random.split(jax.random.key(seed))
    return task.init(weights), task.order(order)


def batch_at(batches: Batches, step: jax.Array) -> tuple[jax.Array, ...]:
    """The batch of a step."""
    from jax import lax

    examples = lax.dynamic_index_in_dim(batches.order, step, keepdims=False)
    return tuple(array.at[examples].get(mode="promise_in_bounds") for array in batches.train)


def train(
    task: Task, step: Step, carry: Any, weights: Callable[[Any], Any], batches: Batches, limits: jax.Array
) -> Report:
    """Runs a task from start to end, or until it must stop.

    Args:
        task: the task.
        step: one optimizer step.
        carry: what steps hand on, before the first.
        weights: takes a carry, gives the parameters as the task's model wants them.
        batches: data and order of the batches.
        limits: float32 [checkpoints], largest running training loss allowed at each.

    Returns:
        The report.
    """
    import jax
    import jax.numpy as jnp
    from jax import lax

    checkpoints = jnp.asarray(task.checkpoints, jnp.int32)

    def span(state: tuple[Any, ...]) -> tuple[Any, ...]:
        passed, status, start, carry, losses = state
        end = checkpoints[passed]

        def proceed(state: tuple[Any, ...]) -> Any:
            number, _, last, _ = state
            return (number < end) & jnp.isfinite(last)

        def advance(state: tuple[Any, ...]) -> tuple[Any, ...]:
            number, total, _, carry = state
            carry, loss = step(number, carry)
            return number + 1, total + loss, loss, carry

        zero = jnp.float32(0.0)
        number, total, _, carry = lax.while_loop(proceed, advance, (start, zero, zero, carry))
        mean = total / (number - start).astype(jnp.float32)
        finite = jnp.isfinite(mean)
        for leaf in jax.tree.leaves(weights(carry)):
            finite &= jnp.isfinite(leaf).all()
        status = jnp.where(finite, jnp.where(mean <= limits[passed], RUNNING, HURDLE), NON_FINITE).astype(jnp.int32)
        losses = losses.at[passed].set(mean)
        return jnp.where(status == RUNNING, passed + 1, passed), status, number, carry, losses

    def going(state: tuple[Any, ...]) -> Any:
        passed, status, *_ = state
        return (passed < len(task.checkpoints)) & (status == RUNNING)

    start = (jnp.int32(0), jnp.int32(RUNNING), jnp.int32(0), carry, jnp.zeros(len(task.checkpoints), jnp.float32))
    passed, status, steps, carry, losses = lax.while_loop(going, span, start)
    params = weights(carry)
    return Report(
        status,
        steps,
        losses,
        passed,
        task.loss(params, batches.validation),
        task.loss(params, batches.test),
        task.accuracy(params, batches.test),
    )


def result(task: Task, report: Report) -> TrainingResult:
    """The report as a value of plain numbers."""
    import jax

    status, steps, losses, passed, loss, test_loss, accuracy = jax.device_get(report)
    outcome = (Outcome.OK, Outcome.NON_FINITE, Outcome.HURDLE)[int(status)]
    if outcome is Outcome.OK and not (np.isfinite(loss) and np.isfinite(test_loss)):
        outcome = Outcome.NON_FINITE
    ended = outcome is Outcome.OK
    return TrainingResult(
        outcome=outcome,
        loss=float(loss) if ended else None,
        test_loss=float(test_loss) if ended else None,
        accuracy=float(accuracy) if ended and task.objective.has_accuracy else None,
        steps=int(steps),
        train_losses=tuple(float(value) for value in losses[: int(passed)]),
    )
