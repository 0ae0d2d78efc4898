"""The training loop: checkpoints, early stopping, and final losses.

The interpreter, compiled programs and optax optimizers share this loop and differ only in `step`. The whole run is one
jitted function: a loop over spans between checkpoints around a loop over steps. A run ends at the first non-finite
loss; weights and the hurdle are checked at checkpoints.

Several runs (*lanes*) can share the loop, with gradients batched over them. Lanes are independent, and the loop ends
when all lanes have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.task import Task

if TYPE_CHECKING:
    import jax

RUNNING, NON_FINITE, HURDLE = 0, 1, 2

Step = Callable[[Any, Any], tuple[Any, Any]]
"""Maps the step number and the carry to the new carry and each lane's loss [lanes] before the update."""


class Batches(NamedTuple):
    """Inputs of training runs of a task; determined by their seeds.

    Attributes:
        weights: initial parameters of all lanes, with leaves [lanes, ...].
        order: example indices of each batch, int32 [steps, lanes, batch_size].
        train: the training split.
        validation: the validation split.
        test: the test split.
    """

    weights: Any
    order: Any
    train: Any
    validation: Any
    test: Any


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


def prepare(task: Task, seed: jax.Array) -> tuple[Any, Any]:
    """Initial weights and batch order of a seed, the only random inputs of a run."""
    import jax

    weights, order = jax.random.split(jax.random.key(seed))
    return task.init(weights), task.order(order)


def prepare_lanes(task: Task, seeds: jax.Array) -> tuple[Any, Any]:
    """As `prepare`, for seeds [lanes]: weights with leaves [lanes, ...], and order [steps, lanes, batch_size]."""
    import jax
    import jax.numpy as jnp

    weights, order = jax.vmap(lambda seed: prepare(task, seed))(seeds)
    return weights, jnp.moveaxis(order, 0, 1)


def each_lane(function: Callable[..., Any], *trees: Any) -> Any:
    """Maps a function over lanes; arguments and result have leaves [lanes, ...].

    A single lane is not batched, because XLA generates better code without the batch axis.
    """
    import jax

    if jax.tree.leaves(trees)[0].shape[0] == 1:
        result = function(*jax.tree.map(lambda leaf: leaf[0], trees))
        return jax.tree.map(lambda leaf: leaf[None], result)
    return jax.vmap(function)(*trees)


def gradients(task: Task, weights: Any, batches: Batches, step: jax.Array) -> tuple[jax.Array, Any]:
    """Losses [lanes] of a step's batches, and gradients with leaves [lanes, ...]."""
    import jax
    from jax import lax

    def one(weights: Any, examples: jax.Array) -> tuple[jax.Array, Any]:
        batch = tuple(array.at[examples].get(mode="promise_in_bounds") for array in batches.train)
        return jax.value_and_grad(task.loss)(weights, batch)

    return each_lane(one, weights, lax.dynamic_index_in_dim(batches.order, step, keepdims=False))


def train(
    task: Task,
    step: Step,
    carry: Any,
    weights: Callable[[Any], Any],
    batches: Batches,
    limits: jax.Array,
    *,
    validates: jax.Array | None = None,
) -> LoopResult:
    """Runs a task to its last step, or until all lanes have stopped.

    Args:
        task: the task.
        step: one optimizer step.
        carry: initial carry of the steps.
        weights: maps a carry to the parameters in the structure of the model, with leaves [lanes, ...].
        batches: data and batch order.
        limits: float32 [lanes, checkpoints], maximum running training loss at each checkpoint.
        validates: whether to record the validation loss at each checkpoint, which changes no other result. None
            compiles the loop without it.

    Returns:
        The results of all lanes.
    """
    import jax
    import jax.numpy as jnp
    from jax import lax

    lanes = limits.shape[0]
    checkpoints = jnp.asarray(task.checkpoints, jnp.int32)
    nothing = jnp.zeros(lanes, jnp.float32)

    def validation(params: Any) -> jax.Array:
        return each_lane(lambda params: task.loss(params, batches.validation), params)

    def recorded(validates: jax.Array, params: Any) -> jax.Array:
        return lax.cond(validates, validation, lambda _: jnp.full(lanes, jnp.nan, jnp.float32), params)

    def span(state: tuple[Any, ...]) -> tuple[Any, ...]:
        place, status, number, steps, passed, carry, losses, last, validations = state
        end = checkpoints[place]
        running = status == RUNNING

        def proceed(state: tuple[Any, ...]) -> Any:
            number, _, _, alive, _ = state
            return (number < end) & alive.any()

        def advance(state: tuple[Any, ...]) -> tuple[Any, ...]:
            number, total, count, alive, carry = state
            carry, loss = step(number, carry)
            alive = alive & jnp.isfinite(loss)
            return number + 1, total + jnp.where(alive, loss, 0.0), count + alive, alive, carry

        begin = (number, nothing, jnp.zeros(lanes, jnp.int32), running, carry)
        number, total, count, alive, carry = lax.while_loop(proceed, advance, begin)
        mean = total / count.astype(jnp.float32)
        finite = alive & jnp.isfinite(mean)
        for leaf in jax.tree.leaves(weights(carry)):
            finite &= jnp.isfinite(leaf).reshape(lanes, -1).all(axis=1)
        stands = jnp.where(finite, jnp.where(mean <= limits[:, place], RUNNING, HURDLE), NON_FINITE).astype(jnp.int32)
        ran = count + ~alive  # the step with the non-finite loss counts as run
        return (
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

    def going(state: tuple[Any, ...]) -> Any:
        place, status, *_ = state
        return (place < len(task.checkpoints)) & (status == RUNNING).any()

    whole = jnp.zeros(lanes, jnp.int32)
    losses = jnp.zeros((lanes, len(task.checkpoints)), jnp.float32)
    kept = None if validates is None else losses
    start = (jnp.int32(0), whole + RUNNING, jnp.int32(0), whole, whole, carry, losses, nothing, kept)
    _, status, _, steps, passed, carry, losses, last, validations = lax.while_loop(going, span, start)

    def measure(params: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        return (
            validation(params),
            each_lane(lambda params: task.loss(params, batches.test), params),
            each_lane(lambda params: task.accuracy(params, batches.test), params),
        )

    # Evaluating two whole splits costs as much as many steps, so it is skipped if every lane was stopped.
    ended = (status == RUNNING).any()
    measures = lax.cond(ended, measure, lambda _: (jnp.full(lanes, jnp.nan, jnp.float32),) * 3, weights(carry))
    return LoopResult(status, steps, losses, passed, last, *measures, validation_losses=validations)


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
