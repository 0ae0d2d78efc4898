"""Batches of candidates in one call of the trainer, beside the same loop with programs that do nothing.

All programs differ (half of them 30 mutations away from AdamW, half random), and each has its own weights, state and
register file. The loop with empty programs isolates the cost of the batched gradients, by the same compiled code.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from candidates import elementwise

from figures.plan import Figure, Figures, Plan, in_turns

RATE = 1e-4
"""Factor on every candidate's learning rate; small, so that few candidates diverge and stop early."""

FEWEST = 16
"""Candidates of a round, at least: few candidates say little, because some stop early."""

MATRIX_PROGRAMS = ("muon", "orthogonal-adamw", "adafactor", "normalized-sgd")
"""Library programs that call functions of matrices."""


def pairs(plan: Plan) -> Iterator[tuple[str, int]]:
    """Tasks and numbers of lanes, the most informative first: each task with the first number, then the first task."""
    first, *others = plan.lanes
    yield from ((task, first) for task in plan.tasks)
    yield from ((task, lanes) for task in plan.tasks for lanes in others)


def figures(plan: Plan) -> Figures:
    """Candidates per second by tasks and lanes."""
    for task, lanes in pairs(plan):
        yield f"batched/{task}/{lanes}", partial(measure, task, lanes, plan.rounds)


def first_figures(plan: Plan) -> Figures:
    """Those of the first number of lanes, and of the first task."""
    for name, call in figures(plan):
        _, task, lanes = name.split("/")
        if task == plan.tasks[0] or lanes == str(plan.lanes[0]):
            yield name, call


def matrix_figures(plan: Plan) -> Figures:
    """The same for programs with functions of matrices."""
    for task in plan.tasks[:: 2 if not plan.small else 1]:
        yield f"matrices/{task}/{plan.lanes[0]}", partial(measure, task, plan.lanes[0], plan.rounds, matrices=True)


def core_figures(plan: Plan) -> Figures:
    """Seconds of a candidate on one core of the CPU, one after the other."""
    for task in plan.tasks:
        yield f"core/{task}", partial(one_core, task, 4 if plan.small else 16)


def predicted_figures(plan: Plan) -> Figures:
    """What the roofline predicts for the same batches."""
    yield "predicted", partial(_predicted, plan)


def _predicted(plan: Plan) -> Figure:
    from dataclasses import asdict

    import roofline

    found = [
        asdict(roofline.predict(task, lanes, device))
        for device in roofline.DEVICES
        for task in plan.tasks
        for lanes in sorted(plan.lanes)
    ]
    return {"rows": found}


def ahead_figures(plan: Plan, part: int, parts: int) -> Figures:
    """Compiles every ``parts``-th loop into the cache on disk, so that several processes compile at once."""
    for number, (task, lanes) in enumerate(pairs(plan)):
        if number % parts == part:
            yield f"ahead/{task}/{lanes}", partial(_compiled, task, lanes)


def _compiled(task: str, lanes: int) -> Figure:
    side = _Sides(task, lanes, matrices=False)
    side.compiled()
    return {}


def one_core(task: str, count: int) -> Figure:
    """Measures the seconds of a candidate, trained one by one on one thread."""
    from statistics import median

    from optsearch.search.scoring.evaluate import use_one_cpu_thread

    use_one_cpu_thread()
    from optsearch.proxy_tasks.registry import get_task
    from optsearch.proxy_tasks.trainer import Trainer

    trainer, programs = Trainer(get_task(task), method="interpret"), elementwise(count)
    sides = {str(n): partial(trainer.run, program, 0, rate=RATE) for n, program in enumerate(programs)}
    return {"seconds": median(in_turns(sides, 1).values())}


class _Sides:
    """A trainer with candidates for all lanes, and with empty programs."""

    def __init__(self, task: str, lanes: int, *, matrices: bool):
        import jax
        import numpy as np

        from optsearch.dsl.library import LIBRARY
        from optsearch.proxy_tasks.compilation import pinned_settings
        from optsearch.proxy_tasks.execution.encoding import CODE_WIDTH, COLUMNS, Code
        from optsearch.proxy_tasks.execution.script import scripts
        from optsearch.proxy_tasks.registry import get_task
        from optsearch.proxy_tasks.run import TrainingRun
        from optsearch.proxy_tasks.trainer import Trainer

        self.task, self.lanes = get_task(task), lanes
        self.trainer = Trainer(self.task, method="interpret", lanes=lanes)
        self.batches = -(-FEWEST // lanes)
        count = self.batches * lanes
        programs = [LIBRARY[name] for name in MATRIX_PROGRAMS] if matrices else elementwise(count)
        self.runs = [TrainingRun(programs[n % len(programs)], 0, RATE) for n in range(count)]
        nothing = np.zeros((0, CODE_WIDTH), np.int32)
        idle = scripts([Code(nothing, nothing, np.zeros(COLUMNS, np.float32))] * lanes, grouped=self.trainer.grouped)
        rates = np.stack([self.task.schedule()] * lanes)
        limits = np.full((lanes, len(self.task.checkpoints)), np.inf, np.float32)
        self._pinned, self._jax = pinned_settings, jax
        self._loop = self.trainer._interpreters[matrices]
        with pinned_settings():
            self._inputs = (idle, self.trainer._batches((0,) * lanes), rates, limits, None)

    def compiled(self) -> Any:
        """The compiled loop; from the cache on disk if it is there."""
        with self._pinned():
            return self._loop.lower(*self._inputs).compile()

    def together(self) -> None:
        """Trains all candidates."""
        self.results = self.trainer.run_all(self.runs)

    def gradients(self) -> None:
        """The same loop with empty programs, as often."""
        with self._pinned():
            for _ in range(self.batches):
                self._jax.block_until_ready(self._loop(*self._inputs))


def measure(task: str, lanes: int, rounds: int, *, matrices: bool = False) -> Figure:
    """Measures a batch of candidates, and gradients alone."""
    import jax

    side = _Sides(task, lanes, matrices=matrices)
    memory = side.compiled().memory_analysis()
    seconds = in_turns({"together": side.together, "gradients": side.gradients}, rounds)
    ended = sum(result.steps == side.task.steps for result in side.results)
    statistics = jax.devices()[0].memory_stats() or {}
    return {
        "candidates_per_second": len(side.runs) / seconds["together"],
        "together_s": seconds["together"] / side.batches,
        "gradients_s": seconds["gradients"] / side.batches,
        "together_over_gradients": seconds["together"] / seconds["gradients"],
        "ran_to_the_end": ended / len(side.runs),
        "memory_bytes": None if memory is None else memory.temp_size_in_bytes + memory.argument_size_in_bytes,
        "peak_bytes": statistics.get("peak_bytes_in_use"),
        "arithmetic_bytes": _arithmetic(side.task, lanes, matrices),
    }


def _arithmetic(task: Any, lanes: int, matrices: bool) -> int:
    """Memory by shape arithmetic, without the inputs of other seeds."""
    from optsearch.proxy_tasks.memory import lane_memory

    memory = lane_memory(task, matrices=matrices)
    return memory.shared + lanes * memory.lane
