"""A dedicated compiled training loop per optimizer, for baselines and for long runs of a program.

It has one lane. The loop is that of `loop`, so hurdles and outcomes are the same as with the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from optsearch.dsl import execute
from optsearch.dsl.program import Program
from optsearch.proxy_tasks.execution.batches import Batches, gradients
from optsearch.proxy_tasks.execution.loop import LoopParts
from optsearch.proxy_tasks.task import Task

if TYPE_CHECKING:
    import jax
    import optax

Schedule = Callable[[Any], Any]
"""An optax schedule: maps the traced step number to the learning rate."""

MakeOptimizer = Callable[[Schedule], "optax.GradientTransformation"]

Evaluated = Callable[[Any, Any], Any]
"""Maps weights and state to the weights that are evaluated, such as an average over the run."""


def the_weights(weights: Any, state: Any) -> Any:
    """The weights themselves, which most optimizers are evaluated at."""
    del state
    return weights


class UpdateRule(NamedTuple):
    """An optimizer in the form that the loop expects.

    Attributes:
        init: maps the weights to the initial state.
        step: maps weights, gradient, state and step number to new weights and state.
        evaluated: maps weights and state to the weights that are checked at checkpoints and evaluated at the end.
    """

    init: Callable[[Any], Any]
    step: Callable[[Any, Any, Any, Any], tuple[Any, Any]]
    evaluated: Evaluated = the_weights


def program_rule(program: Program, rates: jax.Array) -> UpdateRule:
    """A program as an update rule, by the reference semantics; ``rates`` [steps] are the values of its ``lr``."""
    import jax
    import jax.numpy as jnp

    def init(weights: Any) -> Any:
        return execute.first_state(program, weights)

    def step(weights: Any, gradient: Any, state: Any, number: Any) -> tuple[Any, Any]:
        update, state = execute.step(program, weights, gradient, state, rates[number])
        return jax.tree.map(jnp.subtract, weights, update), state

    return UpdateRule(init, step)


def optax_rule(make_optimizer: MakeOptimizer, rates: jax.Array, evaluated: Evaluated = the_weights) -> UpdateRule:
    """An optax optimizer as an update rule; ``rates`` [steps and further values] holds its learning rates."""
    import optax

    optimizer = make_optimizer(lambda number: rates[number])

    def step(weights: Any, gradient: Any, state: Any, number: Any) -> tuple[Any, Any]:
        updates, state = optimizer.update(gradient, state, weights)
        return optax.apply_updates(weights, updates), state

    return UpdateRule(optimizer.init, step, evaluated)


def parts(task: Task, rule: UpdateRule, batches: Batches) -> LoopParts:
    """An optimizer as parts of the loop, for one lane.

    Args:
        task: the task.
        rule: the optimizer.
        batches: data and batch order, for one lane.
    """
    import jax

    def one_lane(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[None], tree)

    def step(number: jax.Array, carry: Any) -> tuple[Any, jax.Array]:
        weights, state = carry
        losses, gradient = gradients(task, one_lane(weights), batches, number)
        return rule.step(weights, jax.tree.map(lambda leaf: leaf[0], gradient), state, number), losses

    weights = jax.tree.map(lambda leaf: leaf[0], batches.weights)
    return LoopParts(step, (weights, rule.init(weights)), lambda carry: one_lane(rule.evaluated(*carry)))
