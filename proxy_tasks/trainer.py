"""Trains a task with a program or an optax optimizer, and returns the result.

A run is a pure function of (program, task version, seed, rate, hurdle). Equal calls give bitwise equal results on one
kind of machine, regardless of JAX's settings, because those that affect results are pinned. A program runs in one of
two ways that agree up to rounding:

- *interpret*: as data of a training loop that is compiled once per task, and once more for programs that call functions
  of matrices (`engine`);
- *compile*: in its own compiled training loop, which is faster if a run takes far longer than compiling.

`auto` estimates the interpreter's overhead over a run, ``steps * instructions * (overhead + parameters * pass)``, and
compiles if it exceeds the compile time. The estimate depends only on sizes, so the choice is deterministic.

Runs of costly tasks can be interrupted: their state is stored at checkpoints, from which the same run resumes
(`segments`). Other runs are single calls.

A trainer with several *lanes* interprets several runs in one computation, with gradients batched over them. Lanes are
independent. Their number may change the last digits of a result, so it is recorded with a campaign.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from optsearch.dsl.dataflow import prune
from optsearch.dsl.program import Program
from optsearch.proxy_tasks.compilation import give_memory_back, pinned_settings, prepare_process
from optsearch.proxy_tasks.execution import compiled_loop, engine, loop
from optsearch.proxy_tasks.execution.batches import Batches, prepare_lanes
from optsearch.proxy_tasks.execution.compiled_loop import Evaluated, MakeOptimizer, UpdateRule, the_weights
from optsearch.proxy_tasks.execution.encoding import CODE_WIDTH, COLUMNS, Code, encode
from optsearch.proxy_tasks.execution.loop import LoopParts, LoopResult
from optsearch.proxy_tasks.execution.script import Scripts, scripts
from optsearch.proxy_tasks.execution.segments import Segments
from optsearch.proxy_tasks.hurdle import NO_HURDLE, Hurdle
from optsearch.proxy_tasks.outcome import TrainingResult
from optsearch.proxy_tasks.run import TrainingRun
from optsearch.proxy_tasks.task import Task

Method = Literal["auto", "interpret", "compile"]
STATEMENT_S = 0.3e-6
"""Interpreter overhead per instruction, independent of the model's size, in seconds."""

ELEMENT_S = 0.15e-9
"""Interpreter overhead per parameter and instruction, for passing over memory, in seconds."""

COMPILE_S = 1.3
"""Time to compile a program's own training loop, in seconds."""

RESUMABLE_COMPUTE = 5e12
"""Multiply-adds of a run from which on its state is stored at checkpoints: some four minutes of a core, and 17 times
the most expensive task whose data ship. The loop of such a run is compiled to other functions, so that a lower value
might change the last digits of stored results."""

KEPT_SEEDS, KEPT_LOOPS = 8, 16
"""Number of seeds and of compiled loops that a trainer caches."""


class Trainer:
    """Trains one task.

    Args:
        task: the task.
        method: how programs are run. ``interpret`` still compiles a program that exceeds the interpreter's limits.
        lanes: number of training runs that the interpreter runs together.
        grouped: if True, lanes execute equal statements together. Defaults to True except on a CPU, where it does not
            pay.
        validates: if True, runs record the validation loss at each checkpoint: `TrainingResult.validation_losses`. All
            other results are the same numbers.
        resumable_from: multiply-adds (`Task.compute`) from which on the state of runs is stored at checkpoints.

    Attributes:
        compilations: number of training loops compiled so far.
        grouped: True if lanes execute equal statements together.
        recording: for a trainer that validates, False switches the recording off, without compiling again.
        resumed_from: number of steps of the last run that were not run, since a snapshot held their result; 0 if none.
    """

    @pinned_settings()
    def __init__(
        self,
        task: Task,
        *,
        method: Method = "auto",
        lanes: int = 1,
        grouped: bool | None = None,
        validates: bool = False,
        resumable_from: float = RESUMABLE_COMPUTE,
    ):
        if method not in ("auto", "interpret", "compile"):
            raise ValueError(f"unknown method '{method}': use auto, interpret or compile")
        if lanes < 1:
            raise ValueError(f"a trainer has at least 1 lane, got {lanes}")
        prepare_process()
        self.task = task
        self.method: Method = method
        self.lanes = lanes
        self.recording = validates
        self._validates = validates
        self.compilations = self.resumed_from = 0
        self._resumable = task.compute >= resumable_from
        self.grouped = grouped if grouped is not None else lanes > 1 and jax.default_backend() != "cpu"
        self._schedule = task.schedule()
        data = (task.data.train, task.data.validation, task.data.test)
        self._data = tuple(tuple(jnp.asarray(array) for array in split) for split in data)
        self._prepare = jax.jit(lambda seeds: prepare_lanes(task, seeds))
        self._interpreters = {matrices: self._interpreter(matrices) for matrices in (False, True)}
        self._seeds: OrderedDict[tuple[int, ...], Batches] = OrderedDict()
        self._loops: OrderedDict[Any, Callable[..., LoopResult]] = OrderedDict()

    def run(self, program: Program, seed: int, *, rate: float = 1.0, hurdle: Hurdle | None = None) -> TrainingResult:
        """Trains with a program; see `TrainingRun` for the arguments.

        Returns:
            Outcome and losses.

        Raises:
            ValueError: the hurdle does not match the task's checkpoints, or the seed is out of range.
        """
        (result,) = self.run_all([TrainingRun(program, seed, rate, hurdle)])
        return result

    @pinned_settings()
    def run_all(self, runs: Sequence[TrainingRun]) -> list[TrainingResult]:
        """Trains with programs, in batches of as many runs as there are lanes.

        Args:
            runs: any number of runs; results do not depend on how runs are combined.

        Returns:
            One result per run, in their order.

        Raises:
            ValueError: a hurdle does not match the task's checkpoints, or a seed is out of range.
        """
        results: list[TrainingResult | None] = [None] * len(runs)
        waiting: list[tuple[int, TrainingRun, Code]] = []
        for place, run in enumerate(runs):
            program = prune(run.program)
            code = None if self.method == "compile" else encode(program)
            if code is None or self._compiling_pays(code):
                results[place] = self._alone(self._compiled(program), run.seed, self._rates(run.rate), run.hurdle)
            else:
                waiting.append((place, run, code))
        for matrices in (False, True):  # separately, so that a result does not depend on its neighbours
            alike = [entry for entry in waiting if entry[2].matrices is matrices]
            for start in range(0, len(alike), self.lanes):
                together = alike[start : start + self.lanes]
                for (place, _, _), result in zip(together, self._together(together, matrices), strict=False):
                    results[place] = result
        return [result for result in results if result is not None]

    @pinned_settings()
    def run_optax(
        self,
        make_optimizer: MakeOptimizer,
        seed: int,
        *,
        rate: float = 1.0,
        hurdle: Hurdle | None = None,
        values: Sequence[float] = (),
        decays: bool = True,
        evaluated: Evaluated = the_weights,
    ) -> TrainingResult:
        """Trains with an optax optimizer.

        Args:
            make_optimizer: maps the learning-rate schedule to the optimizer. Its training loop is compiled once per
                function object and reused for other seeds and rates, so pass the same function again.
            seed: as in `TrainingRun`, with the same weights and batches.
            rate: factor on the task's schedule.
            hurdle: early-stopping rule. Defaults to no early stopping.
            values: further numbers that the optimizer may use without recompilation, available beyond the last step of
                the schedule as ``schedule(steps)``, ``schedule(steps + 1)``, ...
            decays: if False, the learning rate stays constant after the warm-up.
            evaluated: maps the weights and the optimizer's state to the weights that are evaluated. Defaults to the
                weights themselves. Pass the same function again, as for ``make_optimizer``.

        Returns:
            Outcome and losses.

        Raises:
            ValueError: the hurdle does not match the task's checkpoints.
        """
        training_loop = self._kept(
            (make_optimizer, evaluated), lambda rates: compiled_loop.optax_rule(make_optimizer, rates, evaluated)
        )
        schedule = self._schedule if decays else self.task.schedule(decays=False)
        further = np.asarray(values, np.float32)
        return self._alone(training_loop, seed, np.concatenate([np.float32(rate) * schedule, further]), hurdle)

    def method_for(self, program: Program) -> Literal["interpret", "compile"]:
        """The method by which `run` runs a program."""
        code = None if self.method == "compile" else encode(prune(program))
        return "compile" if code is None or self._compiling_pays(code) else "interpret"

    def _compiling_pays(self, code: Code) -> bool:
        if self.method != "auto":
            return False
        lost = self.task.steps * len(code.step) * (STATEMENT_S + self.task.parameters * ELEMENT_S)
        return lost > COMPILE_S

    def _alone(
        self, training_loop: Callable[..., LoopResult], seed: int, rates: np.ndarray, hurdle: Hurdle | None
    ) -> TrainingResult:
        """Trains with a dedicated loop, which has a single lane."""
        return self._results(training_loop, self._batches((seed,)), rates, self._limits(hurdle)[None])[0]

    def _together(self, chosen: Sequence[tuple[int, TrainingRun, Code]], matrices: bool) -> list[TrainingResult]:
        """Interprets at most as many runs as there are lanes; idle lanes run an empty program."""
        runs, codes = [run for _, run, _ in chosen], [code for _, _, code in chosen]
        idle = self.lanes - len(runs)
        seeds = tuple(run.seed for run in runs) + (runs[0].seed,) * idle
        rates = np.stack([self._rates(run.rate) for run in runs] + [self._schedule] * idle)
        stop_at_once = np.full(len(self.task.checkpoints), -np.inf, np.float32)
        limits = np.stack([self._limits(run.hurdle) for run in runs] + [stop_at_once] * idle)
        programs = scripts(codes + [_IDLE] * idle, grouped=self.grouped)
        return self._results(self._interpreters[matrices], programs, self._batches(seeds), rates, limits)

    def _results(self, training_loop: Callable[..., LoopResult], *arguments: Any) -> list[TrainingResult]:
        compilations = self.compilations
        validates = np.bool_(self.recording) if self._validates else None
        results = loop.results(self.task, training_loop(*arguments, validates), recorded=bool(validates))
        self.resumed_from = training_loop.resumed_from if isinstance(training_loop, Segments) else 0
        if self.compilations > compilations:
            give_memory_back()
        return results

    def _rates(self, rate: float) -> np.ndarray:
        return np.float32(rate) * self._schedule

    def _limits(self, hurdle: Hurdle | None) -> np.ndarray:
        return (hurdle or NO_HURDLE).at(self.task.checkpoints)

    def _batches(self, seeds: tuple[int, ...]) -> Batches:
        for seed in seeds:
            if not 0 <= seed < 2**32:
                raise ValueError(f"a seed must be between 0 and {2**32 - 1}, got {seed}")
        if seeds not in self._seeds:
            weights, order = self._prepare(np.array(seeds, np.uint32))
            self._seeds[seeds] = Batches(weights, order, *self._data)
            if len(self._seeds) > KEPT_SEEDS:
                self._seeds.popitem(last=False)
        self._seeds.move_to_end(seeds)
        return self._seeds[seeds]

    def _compiled(self, program: Program) -> Callable[..., LoopResult]:
        return self._kept(str(program), lambda rates: compiled_loop.program_rule(program, rates))

    def _kept(self, key: Any, make_rule: Callable[[jax.Array], UpdateRule]) -> Callable[..., LoopResult]:
        """The compiled loop of an optimizer, from the cache if present."""

        def run(batches: Batches, rates: jax.Array, limits: jax.Array, validates: jax.Array | None) -> LoopResult:
            self._count()
            return loop.train(self.task, parts(batches, rates), batches, limits, validates=validates)

        def parts(batches: Batches, rates: jax.Array) -> LoopParts:
            return compiled_loop.parts(self.task, make_rule(rates), batches)

        if key not in self._loops:
            self._loops[key] = Segments(self.task, parts, self._count) if self._resumable else jax.jit(run)
            if len(self._loops) > KEPT_LOOPS:
                self._loops.popitem(last=False)
        self._loops.move_to_end(key)
        return self._loops[key]

    def _interpreter(self, matrices: bool) -> Callable[..., LoopResult]:
        if self._resumable:
            return Segments(self.task, partial(engine.parts, self.task, matrices=matrices), self._count)
        return jax.jit(partial(self._interpret, matrices))

    def _interpret(
        self,
        matrices: bool,
        programs: Scripts,
        batches: Batches,
        rates: jax.Array,
        limits: jax.Array,
        validates: jax.Array | None,
    ) -> LoopResult:
        self._count()
        return engine.run(self.task, programs, batches, rates, limits, matrices=matrices, validates=validates)

    def _count(self) -> None:
        """Counts a compilation; JAX calls the function of a loop only while tracing."""
        self.compilations += 1


_IDLE = Code(np.zeros((0, CODE_WIDTH), np.int32), np.zeros((0, CODE_WIDTH), np.int32), np.zeros(COLUMNS, np.float32))
"""The program of an idle lane."""
