"""The training loop: checkpoints, early stopping, and final losses.

The interpreter, compiled programs and optax optimizers share this loop and differ only in their `LoopParts`. It is a
loop over spans between checkpoints around a loop over steps. The whole run is one jitted function, `train`; runs of
costly tasks are several calls of `advance`, so that their state can be stored in between (`segments`). A run ends at
the first non-finite loss; weights and the hurdle are checked at checkpoints.

Several runs (*lanes*) can share the loop, with gradients batched over them. Lanes are independent, and the loop ends
when all lanes have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from optsearch.proxy_tasks.execution.batches import Batches, each_lane
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.task import Task

if TYPE_CHECKING:
    import jax

RUNNING, NON_FINITE, HURDLE = 0, 1, 2

Step = Callable[[Any, Any], tuple[Any, Any]]
"""Maps the step number and the carry to the new carry and each lane's loss [lanes] before the update."""


class LoopParts(NamedTuple):
    """What distinguishes the loops of optimizers.

    Attributes:
        step: one optimizer step.
        carry: initial carry of the steps, any tree of arrays.
        weights: maps a carry to the parameters in the structure of the model, with leaves [lanes, ...].
    """

    step: Step
    carry: Any
    weights: Callable[[Any], Any]


class LoopState(NamedTuple):
    """State of the loop at a checkpoint, from which it can be resumed.

    Attributes:
        place: int32, number of checkpoints reached.
        status: int32 [lanes]: RUNNING, or the reason why the lane stopped.
        number: int32, number of the next step.
        steps: int32 [lanes], number of steps run.
        passed: int32 [lanes], number of checkpoints passed.
        carry: the carry of the steps.
        train_losses: float32 [lanes, checkpoints], as in `LoopResult`; 0 at checkpoints that are not reached yet.
        last_loss: float32 [lanes], likewise.
        validation_losses: float32 [lanes, checkpoints], likewise; None if not recorded.
    """

    place: Any
    status: Any
    number: Any
    steps: Any
    passed: Any
    carry: Any
    train_losses: Any
    last_loss: Any
    validation_losses: Any


class LoopResult(NamedTuple):
    """Results of the loop, as arrays.

    Attributes:
        status: int32 [lanes]: RUNNING if the run completed, else the reason why it stopped.
        steps: int32 [lanes], number of steps run.
        train_losses: float32 [lanes, checkpoints], mean training loss of each span.
        passed: int32 [lanes], number of checkpoints passed.
        last_loss: float32 [lanes], mean of the finite training losses of the last span; NaN if there are none.
        loss: float32 [lanes], validation loss; undefined for a lane that did not complete.
        test_loss: float32 [lanes], test loss; likewise.
        accuracy: float32 [lanes], accuracy on the test split; likewise.
        validation_losses: float32 [lanes, checkpoints], validation loss at each checkpoint; None if not recorded, so
            that the compiled loop is then the one without recording.
    """

    status: Any
    steps: Any
    train_losses: Any
    passed: Any
    last_loss: Any
    loss: Any
    test_loss: Any
    accuracy: Any
    validation_losses: Any = None


def begin(task: Task, parts: LoopParts, limits: jax.Array, *, validates: jax.Array | None = None) -> LoopState:
    """The state before the first step; see `train` for the arguments."""
    import jax.numpy as jnp

    return _begin(task, parts, jnp.zeros(limits.shape[0], jnp.float32), validates)


def _begin(task: Task, parts: LoopParts, nothing: jax.Array, validates: jax.Array | None) -> LoopState:
    """As `begin`; ``nothing`` are zeros of float32 [lanes]."""
    import jax.numpy as jnp

    lanes = nothing.shape[0]
    whole = jnp.zeros(lanes, jnp.int32)
    losses = jnp.zeros((lanes, len(task.checkpoints)), jnp.float32)
    kept = None if validates is None else losses
    return LoopState(jnp.int32(0), whole + RUNNING, jnp.int32(0), whole, whole, parts.carry, losses, nothing, kept)


def advance(
    task: Task,
    parts: LoopParts,
    state: LoopState | None,
    batches: Batches,
    limits: jax.Array,
    until: jax.Array | int,
    *,
    validates: jax.Array | None = None,
) -> LoopState:
    """Runs to a checkpoint, or until all lanes have stopped.

    Args:
        task: the task.
        parts: the optimizer.
        state: state at an earlier checkpoint; None for that before the first step.
        batches: data and batch order.
        limits: as in `train`.
        until: number of checkpoints to reach, in all.
        validates: as in `train`.

    Returns:
        The state there.
    """
    import jax
    import jax.numpy as jnp
    from jax import lax

    step, _, weights = parts
    lanes = limits.shape[0]
    checkpoints = jnp.asarray(task.checkpoints, jnp.int32)
    nothing = jnp.zeros(lanes, jnp.float32)

    def recorded(validates: jax.Array, params: Any) -> jax.Array:
        return lax.cond(
            validates, partial(_validation, task, batches), lambda _: jnp.full(lanes, jnp.nan, jnp.float32), params
        )

    def span(state: LoopState) -> LoopState:
        place, status, number, steps, passed, carry, losses, last, validations = state
        end = checkpoints[place]
        running = status == RUNNING

        def proceed(state: tuple[Any, ...]) -> Any:
            number, _, _, alive, _ = state
            return (number < end) & alive.any()

        def one(state: tuple[Any, ...]) -> tuple[Any, ...]:
            number, total, count, alive, carry = state
            carry, loss = step(number, carry)
            alive = alive & jnp.isfinite(loss)
            return number + 1, total + jnp.where(alive, loss, 0.0), count + alive, alive, carry

        first = (number, nothing, jnp.zeros(lanes, jnp.int32), running, carry)
        number, total, count, alive, carry = lax.while_loop(proceed, one, first)
        mean = total / count.astype(jnp.float32)
        finite = alive & jnp.isfinite(mean)
        for leaf in jax.tree.leaves(weights(carry)):
            finite &= jnp.isfinite(leaf).reshape(lanes, -1).all(axis=1)
        stands = jnp.where(finite, jnp.where(mean <= limits[:, place], RUNNING, HURDLE), NON_FINITE).astype(jnp.int32)
        ran = count + ~alive  # the step with the non-finite loss counts as run
        return LoopState(
            place + 1,
            jnp.where(running, stands, status),
            number,
            jnp.where(running, steps + ran, steps),
            passed + (running & (stands == RUNNING)),
            carry,
            losses.at[:, place].set(mean),
            jnp.where(running, mean, last),
            None if validates is None else validations.at[:, place].set(recorded(validates, weights(carry))),
        )

    def going(state: LoopState) -> Any:
        return (state.place < until) & (state.status == RUNNING).any()

    return lax.while_loop(going, span, _begin(task, parts, nothing, validates) if state is None else state)


def finish(task: Task, parts: LoopParts, state: LoopState, batches: Batches) -> LoopResult:
    """The results of a run that has ended; see `advance` for the arguments."""
    import jax.numpy as jnp
    from jax import lax

    lanes = state.status.shape[0]

    def measure(params: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        return (
            _validation(task, batches, params),
            each_lane(lambda params: task.loss(params, batches.test), params),
            each_lane(lambda params: task.accuracy(params, batches.test), params),
        )

    # Evaluating two whole splits costs as much as many steps, so it is skipped if every lane was stopped.
    ended = (state.status == RUNNING).any()
    weights = parts.weights(state.carry)
    measures = lax.cond(ended, measure, lambda _: (jnp.full(lanes, jnp.nan, jnp.float32),) * 3, weights)
    return LoopResult(
        state.status,
        state.steps,
        state.train_losses,
        state.passed,
        state.last_loss,
        *measures,
        validation_losses=state.validation_losses,
    )


def train(
    task: Task, parts: LoopParts, batches: Batches, limits: jax.Array, *, validates: jax.Array | None = None
) -> LoopResult:
    """Runs a task to its last step, or until all lanes have stopped.

    Args:
        task: the task.
        parts: the optimizer.
        batches: data and batch order.
        limits: float32 [lanes, checkpoints], maximum running training loss at each checkpoint.
        validates: whether to record the validation loss at each checkpoint, which changes no other result. None
            compiles the loop without it.

    Returns:
        The results of all lanes.
    """
    state = advance(task, parts, None, batches, limits, len(task.checkpoints), validates=validates)
    return finish(task, parts, state, batches)


def _validation(task: Task, batches: Batches, params: Any) -> jax.Array:
    """Validation losses [lanes] of parameters with leaves [lanes, ...]."""
    return each_lane(lambda params: task.loss(params, batches.validation), params)


def results(task: Task, report: LoopResult, *, recorded: bool) -> list[TrainingResult]:
    """Converts the arrays to one result of plain numbers per lane; ``recorded`` if validation losses were recorded."""
    report = report if recorded else report._replace(validation_losses=None)
    arrays = [None if array is None else np.asarray(array) for array in report]
    lanes = range(len(report.status))
    return [_result(task, LoopResult(*(None if array is None else array[lane] for array in arrays))) for lane in lanes]


def _result(task: Task, report: LoopResult) -> TrainingResult:
    outcome = (Outcome.OK, Outcome.NON_FINITE, Outcome.HURDLE)[int(report.status)]
    if outcome is Outcome.OK and not (np.isfinite(report.loss) and np.isfinite(report.test_loss)):
        outcome = Outcome.NON_FINITE
    ended, passed = outcome is Outcome.OK, int(report.passed)
    validations = () if report.validation_losses is None else report.validation_losses[:passed]
    return TrainingResult(
        outcome=outcome,
        loss=float(report.loss) if ended else None,
        test_loss=float(report.test_loss) if ended else None,
        accuracy=float(report.accuracy) if ended and task.objective.has_accuracy else None,
        steps=int(report.steps),
        train_losses=tuple(float(value) for value in report.train_losses[:passed]),
        loss_so_far=float(report.last_loss) if np.isfinite(report.last_loss) else None,
        validation_losses=tuple(float(value) if np.isfinite(value) else None for value in validations),
    )
