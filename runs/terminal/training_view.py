"""The live view of `evaluate` and `select`: progress of training, and intermediate results on each task.

It is a fixed block of lines within 80 columns in a terminal, and occasional plain lines elsewhere. During tuning it
shows the best trial of each contender, afterwards the mean over the completed fresh seeds. With several replicates, the
current task shows one point for each on a common scale.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from optsearch.dsl.dataflow import prune
from optsearch.runs.terminal.search_view import (
    BAR_CELLS,
    PLAIN_INTERVAL_S,
    REFRESH_PER_S,
    clock,
    outcome_words,
    shortened,
)
from optsearch.runs.text.highlight import terminal_text
from optsearch.selection.comparison.evaluate import EVALUATION, SENSITIVITY, TUNING, TrainingProgress
from optsearch.selection.contender import Contender

STANDINGS = 3
"""Maximum number of displayed programs for each task, in addition to all baselines."""

STRIP_CELLS = 24
"""Width of the scale on which replicates are points."""

TASKS = 6
"""Maximum number of displayed tasks, those of the latest runs."""


class TrainingView:
    """Displays the progress of an evaluation; a context manager.

    Args:
        console: output console.
        title: name of the evaluation, such as that of a stage.
        workers: description of the workers, such as ``2 workers``; empty if unknown.
        quiet: if True, shows nothing.
    """

    def __init__(self, console: Console, title: str, *, workers: str = "", quiet: bool = False):
        self._console, self._title, self._workers, self._quiet = console, title, workers, quiet
        self._live = Live(console=console, refresh_per_second=REFRESH_PER_S, transient=True)
        self._began, self._last_plain, self._last_drawn = time.monotonic(), -math.inf, -math.inf
        self._outcomes: Counter[str] = Counter()
        self._tasks: dict[str, dict[str, dict[str, dict[int, list[float]]]]] = {}
        self._contenders: dict[str, Contender] = {}
        self._first: int | None = None

    def __enter__(self) -> TrainingView:
        if self._console.is_terminal and not self._quiet:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal and not self._quiet:
            self._live.stop()

    def __call__(self, ended: TrainingProgress) -> None:
        """Updates the display after a training run."""
        now, result, job = time.monotonic(), ended.trained.result, ended.job
        if self._first is None:
            self._first, self._began = ended.done, now
        self._outcomes[result.outcome.value] += 1
        self._contenders[job.contender.name] = job.contender
        loss = result.loss if ended.stage == TUNING else result.test_loss
        task = self._tasks.pop(job.problem.name, {})
        self._tasks[job.problem.name] = task  # the latest task is last
        if ended.stage != SENSITIVITY:  # a run at another rate than the tuned one says nothing about the standing
            replicates = task.setdefault(ended.stage, {}).setdefault(job.contender.name, {})
            replicates.setdefault(ended.replicate, []).append(math.inf if loss is None else loss)
        last = ended.done == ended.total
        if self._quiet:
            return
        if begun := ended.trained.resumed_from:
            words = f"{job.contender.name} on {job.problem.name} was interrupted and resumed at step {begun:,}"
            self._console.print(words, markup=False, highlight=False, soft_wrap=True)
        if self._console.is_terminal:
            if last or now - self._last_drawn >= 1.0 / REFRESH_PER_S:
                self._last_drawn = now
                self._live.update(self._block(ended))
        elif last or now - self._last_plain >= PLAIN_INTERVAL_S:
            self._last_plain = now
            self._console.print(self.line(ended), markup=False, highlight=False, soft_wrap=True)

    def _rate(self, ended: TrainingProgress) -> tuple[float, str]:
        """Runs per second, and the remaining time as text."""
        rate = (ended.done - (self._first or 0)) / max(time.monotonic() - self._began, 1e-9)
        return rate, clock((ended.total - ended.done) / rate) if rate > 0.0 else "-:--"

    def _standings(self, task: str) -> tuple[str, list[tuple[str, float]]]:
        """Name of the current metric on a task, and its value for each contender in increasing order."""
        stages = self._tasks[task]
        stage = next(reversed(stages))
        pick = min if stage == TUNING else _mean
        found = ((name, pick([pick(row) for row in rows.values()])) for name, rows in stages[stage].items())
        known = sorted(found, key=lambda row: row[1])
        programs = [row for row in known if not self._contenders[row[0]].is_baseline][:STANDINGS]
        shown = [row for row in known if row in programs or self._contenders[row[0]].is_baseline]
        return "best trials" if stage == TUNING else "fresh seeds", shown

    def _points(self, task: str) -> dict[str, str]:
        """Replicates of the displayed contenders as points on a common scale; empty before any has two."""
        stages = self._tasks[task]
        if next(reversed(stages)) == TUNING:
            return {}
        names = [name for name, _ in self._standings(task)[1]]
        means = {name: [_mean(row) for row in stages[EVALUATION][name].values()] for name in names}
        finite = [mean for row in means.values() for mean in row if mean < math.inf]
        if not finite or max(map(len, means.values())) < 2:
            return {}
        low, high = min(finite), max(finite)
        return {name: _strip([mean for mean in row if mean < math.inf], low, high) for name, row in means.items()}

    def _words(self, task: str) -> str:
        what, standings = self._standings(task)
        losses = "  ".join(f"{name} {'failed' if loss == math.inf else f'{loss:.5f}'}" for name, loss in standings)
        return f"{task}, {what}: {losses}"

    def _block(self, ended: TrainingProgress) -> Text:
        share, (rate, left) = ended.done / ended.total, self._rate(ended)
        filled = round(share * BAR_CELLS)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{self._title:<9}", style="bold")
        text.append("█" * filled, style="green").append("░" * (BAR_CELLS - filled), style="dim")
        text.append(f" {share:4.0%}  {ended.done:,} of {ended.total:,} training runs  ETA {left}\n")
        text.append(f"  {ended.stage} {ended.job.contender.name} on {ended.job.problem.name}  ({rate:,.1f} runs/s)")
        text.append((f"  {self._workers}" if self._workers else "") + f"\n  {outcome_words(self._outcomes)}")
        for task in list(self._tasks)[-TASKS:]:
            points = self._points(task) if task == ended.job.problem.name else {}
            text.append(f"\n  {f'{task}, replicates:' if points else self._words(task)}")
            for name, loss in self._standings(task)[1] if points else ():
                words = "failed" if loss == math.inf else f"{loss:.5f}"
                text.append(f"\n    {name[:32]:<32} {words:>8}  {points[name]}")
        leader = self._leader(ended.job.problem.name)
        if leader is not None and leader.program is not None:
            text.append(f"\n\n  {leader.name}, which leads on {ended.job.problem.name}:\n", style="dim")
            text.append(shortened(terminal_text(prune(leader.program), "    ")))
        return text

    def _leader(self, task: str) -> Contender | None:
        standings = [name for name, loss in self._standings(task)[1] if loss < math.inf]
        return next((found for name in standings if not (found := self._contenders[name]).is_baseline), None)

    def line(self, ended: TrainingProgress) -> str:
        """The progress in one line."""
        rate, left = self._rate(ended)
        task = ended.job.problem.name
        parts = [
            f"{self._title}: {ended.done / ended.total:4.0%}",
            f"{ended.done} of {ended.total} training runs done ({rate:,.1f}/s)",
            f"{ended.stage} {ended.job.contender.name}",
            outcome_words(self._outcomes),
            self._words(task),
            f"ETA {left}",
        ]
        return "  ".join(parts)


def _mean(losses: Sequence[float]) -> float:
    return math.fsum(losses) / len(losses)


def _strip(points: Sequence[float], low: float, high: float) -> str:
    """Points on a scale from ``low`` to ``high``, as text."""
    cells = ["·"] * STRIP_CELLS
    for point in points:
        share = (point - low) / (high - low) if high > low else 0.5
        cells[min(int(share * STRIP_CELLS), STRIP_CELLS - 1)] = "●"
    return "".join(cells)
