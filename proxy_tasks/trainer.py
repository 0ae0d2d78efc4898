"""Trains a task with a program or an optax optimizer, and says how it went.

A run is a pure function of (program, task version, seed, rate, hurdle): the same call gives the same bits on the same
kind of machine. A program runs in one of two ways that agree up to rounding:

- *interpret*: as data of a training loop that was compiled once for the task (`engine`);
- *compile*: its own training loop is compiled, which pays when a run takes far longer than compiling.

`auto` estimates what the interpreter would lose over a run, ``steps * statements * (overhead + parameters * pass)``,
and compiles when that is more than the time to compile. It looks at sizes only, so the choice never varies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from dsl import execute
from dsl.dataflow import prune
from dsl.program import Program
from proxy_tasks import engine, loop
from proxy_tasks.compilation import prepare_process
from proxy_tasks.encoding import Code, encode, statements
from proxy_tasks.hurdle import NO_HURDLE, Hurdle
from proxy_tasks.loop import Batches, Report, batch_at
from proxy_tasks.outcome import TrainingResult
from proxy_tasks.task import Task

if TYPE_CHECKING:
    import optax

Method = Literal["auto", "interpret", "compile"]
Schedule = Callable[[Any], Any]
"""Learning rate at a step, as optax wants it: takes the step's number, traced."""

MakeOptimizer = Callable[[Schedule], "optax.GradientTransformation"]

STATEMENT_S = 0.6e-6
"""What the interpreter spends on a statement however small the model, in seconds."""

ELEMENT_S = 0.2e-9
"""What it loses on each parameter and statement by not fusing statements, in seconds."""

COMPILE_S = 1.5
"""Time to compile a program's own training loop, in seconds."""

KEPT_SEEDS, KEPT_LOOPS = 8, 16
"""Number of seeds and of compiled loops that a trainer keeps."""


class Trainer:
    """Trains one task.

    Args:
        task: the task.
        method: how programs are run. ``interpret`` still compiles a program that exceeds the interpreter's limits.

    Attributes:
        compilations: number of training loops compiled so far.
    """

    def __init__(self, task: Task, *, method: Method = "auto"):
        if method not in ("auto", "interpret", "compile"):
            raise ValueError(f"unknown method '{method}': use auto, interpret or compile")
        prepare_process()
        self.task = task
        self.method: Method = method
        self.compilations = 0
        self._schedule = task.schedule()
        data = (task.data.train, task.data.validation, task.data.test)
        self._data = tuple(tuple(jnp.asarray(array) for array in split) for split in data)
        self._prepare = jax.jit(lambda seed: loop.prepare(task, seed))
        self._interpreter = jax.jit(self._interpret)
        self._seeds: OrderedDict[int, Batches] = OrderedDict()
        self._loops: OrderedDict[Any, Callable[..., Report]] = OrderedDict()

    def run(self, program: Program, seed: int, *, rate: float = 1.0, hurdle: Hurdle | None = None) -> TrainingResult:
        """Trains with a program.

        Args:
            program: a verified program; dead statements are removed first, so they neither cost nor change anything.
            seed: decides initial weights and batches, in [0, 2**32).
            rate: factor on the schedule that the program gets as ``lr``.
            hurdle: when to stop early; None for never.

        Returns:
            How it ended, and the losses.

        Raises:
            ValueError: the hurdle does not fit the task's checkpoints.
        """
        program = prune(program)
        limits = (hurdle or NO_HURDLE).at(self.task.checkpoints)
        rates = np.float32(rate) * self._schedule
        code = None if self.method_for(program) == "compile" else encode(program)
        if code is not None:
            report = self._interpreter(_arrays(code), self._batches(seed), rates, limits)
        else:
            report = self._compiled(program)(self._batches(seed), rates, limits)
        return loop.result(self.task, report)

    def run_optax(
        self,
        make_optimizer: MakeOptimizer,
        seed: int,
        *,
        rate: float = 1.0,
        hurdle: Hurdle | None = None,
        values: Sequence[float] = (),
    ) -> TrainingResult:
        """Trains with an optax optimizer.

        Args:
            make_optimizer: takes the learning-rate schedule, gives the optimizer. Its training loop is compiled when
                it is first seen, not again for another seed or rate, so pass the same function again.
            seed: as in `run`: the same weights and batches.
            rate: factor on the task's schedule.
            hurdle: when to stop early; None for never.
            values: further numbers that the optimizer may depend on with no new compilation; it finds them behind the
                schedule's last step, as ``schedule(steps)``, ``schedule(steps + 1)``, ...

        Returns:
            How it ended, and the losses.

        Raises:
            ValueError: the hurdle does not fit the task's checkpoints.
        """
        limits = (hurdle or NO_HURDLE).at(self.task.checkpoints)
        rates = np.concatenate([np.float32(rate) * self._schedule, np.asarray(values, np.float32)])
        report = self._kept(make_optimizer, lambda: self._optax_loop(make_optimizer))(
            self._batches(seed), rates, limits
        )
        return loop.result(self.task, report)

    def method_for(self, program: Program) -> Literal["interpret", "compile"]:
        """How `run` would run a pruned program, its size against the interpreter's limits apart."""
        if self.method != "auto":
            return self.method
        lost = self.task.steps * statements(program) * (STATEMENT_S + self.task.parameters * ELEMENT_S)
        return "compile" if lost > COMPILE_S else "interpret"

    def _batches(self, seed: int) -> Batches:
        if not 0 <= seed < 2**32:
            raise ValueError(f"a seed lies between 0 and {2**32 - 1}, got {seed}")
        if seed not in self._seeds:
            weights, order = self._prepare(np.uint32(seed))
            self._seeds[seed] = Batches(weights, order, *self._data)
            if len(self._seeds) > KEPT_SEEDS:
                self._seeds.popitem(last=False)
        self._seeds.move_to_end(seed)
        return self._seeds[seed]

    def _kept(self, key: Any, make: Callable[[], Callable[..., Report]]) -> Callable[..., Report]:
        if key not in self._loops:
            self._loops[key] = jax.jit(make())
            if len(self._loops) > KEPT_LOOPS:
                self._loops.popitem(last=False)
        self._loops.move_to_end(key)
        return self._loops[key]

    def _interpret(self, code: dict[str, Any], batches: Batches, rates: jax.Array, limits: jax.Array) -> Report:
        self.compilations += 1  # JAX calls this only to trace it
        return engine.run(self.task, Code(**code), batches, rates, limits)

    def _compiled(self, program: Program) -> Callable[..., Report]:
        return self._kept(str(program), lambda: self._program_loop(program))

    def _program_loop(self, program: Program) -> Callable[..., Report]:
        def run(batches: Batches, rates: jax.Array, limits: jax.Array) -> Report:
            self.compilations += 1

            def step(number: jax.Array, carry: Any) -> tuple[Any, jax.Array]:
                weights, state = carry
                loss, gradient = jax.value_and_grad(self.task.loss)(weights, batch_at(batches, number))
                update, state = execute.step(program, weights, gradient, state, rates[number])
                return (jax.tree.map(jnp.subtract, weights, update), state), loss

            state = tuple(jax.tree.map(jnp.zeros_like, batches.weights) for _ in program.state)
            return loop.train(self.task, step, (batches.weights, state), _first, batches, limits)

        return run

    def _optax_loop(self, make_optimizer: MakeOptimizer) -> Callable[..., Report]:
        import optax

        def run(batches: Batches, rates: jax.Array, limits: jax.Array) -> Report:
            self.compilations += 1
            optimizer = make_optimizer(lambda number: rates[number])

            def step(number: jax.Array, carry: Any) -> tuple[Any, jax.Array]:
                weights, state = carry
                loss, gradient = jax.value_and_grad(self.task.loss)(weights, batch_at(batches, number))
                updates, state = optimizer.update(gradient, state, weights)
                return (optax.apply_updates(weights, updates), state), loss

            carry = (batches.weights, optimizer.init(batches.weights))
            return loop.train(self.task, step, carry, _first, batches, limits)

        return run


def _first(carry: Any) -> Any:
    return carry[0]


def _arrays(code: Code) -> dict[str, Any]:
    return {
        "step": code.step,
        "step_length": np.int32(code.step_length),
        "schedule": code.schedule,
        "schedule_length": np.int32(code.schedule_length),
        "constants": code.constants,
        "update": np.int32(code.update),
    }
