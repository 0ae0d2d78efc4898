"""Live progress of a search: a fixed block of lines in a terminal, occasional plain lines elsewhere.

The block fits 80 columns: longer lines are truncated, never wrapped, so that its height is constant. It is redrawn at
most a few times per second. Expensive values (the best program's text, redundancy, meta-validation) are queried rarely.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from optsearch.dsl.dataflow import prune
from optsearch.runs.summary.glance import Glance
from optsearch.runs.text.highlight import terminal_text
from optsearch.search.budget import Unit
from optsearch.search.events import Progress

PLAIN_INTERVAL_S = 5.0
"""Seconds between plain lines, and between two glances."""

FIRST_GLANCE_S = 1.0
"""Seconds between two glances while the known text is not that of the best program."""

REFRESH_PER_S = 4.0
BAR_CELLS = 20
SPARK_CELLS = 16
SPARKS = "▁▂▃▄▅▆▇█"

PROGRAM_LINES = 13
"""Maximum number of displayed lines of the best program."""

COUNTED_INTERVAL_S = 10.0
"""Seconds between two plain lines of `counted_view`."""


def no_glance(progress: Progress) -> Glance:
    """An empty glance, for a search of which only the counts are known."""
    return Glance()


class ProgressView:
    """Displays the progress of a search; a context manager.

    Args:
        console: output console.
        title: name of the search.
        budget: unit and size of the search budget, such as ``("programs", 10000)``.
        glance: function that is called every few seconds for further values.
        rivals: best fitness of the earlier searches, by name.
        workers: description of the workers, such as ``2 workers``; empty if unknown.
        bests: numbers of generated programs and best fitness at each improvement in earlier sessions.
        program_id: returns the id of a ticket within the run.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        budget: tuple[Unit, int],
        *,
        glance: Callable[[Progress], Glance] = no_glance,
        rivals: Mapping[str, float] | None = None,
        workers: str = "",
        bests: Iterable[tuple[int, float]] = (),
        program_id: Callable[[int], str] = str,
    ):
        self._console, self._title, self._budget = console, title, budget
        self.glance = glance
        self._id = program_id
        self._rivals, self._workers, self._bests = dict(rivals or {}), workers, list(bests)
        self._glance = Glance()
        self._looked = float("-inf")
        self._live = Live(console=console, refresh_per_second=REFRESH_PER_S, transient=False)
        self._began = self._last_plain = time.monotonic()
        self._first: Progress | None = None
        self._latest: Progress | None = None
        self._printed: Progress | None = None

    def __enter__(self) -> ProgressView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            if kind is None and self._latest is not None:
                self._glance = self.glance(self._latest)
                self._live.update(self._block(self._latest))
            self._live.stop()
        elif self._latest is not None and self._latest is not self._printed:
            self._console.print(self._line(self._latest), soft_wrap=True, highlight=False)

    def update(self, progress: Progress) -> None:
        """Updates the display with the progress of the search."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began = progress, now
            self._last_plain = now - PLAIN_INTERVAL_S
        self._latest = progress
        if progress.best is not None and (not self._bests or progress.best.fitness < self._bests[-1][1]):
            self._bests.append((progress.generated, progress.best.fitness))
        found = progress.best is not None and self._glance.ticket != progress.best.ticket
        if now - self._looked >= (FIRST_GLANCE_S if found else PLAIN_INTERVAL_S):
            self._looked, self._glance = now, self.glance(progress)
        if self._console.is_terminal:
            self._live.update(self._block(progress))
        elif now - self._last_plain >= PLAIN_INTERVAL_S:
            self._last_plain, self._printed = now, progress
            self._console.print(self._line(progress), soft_wrap=True, highlight=False)

    def _done(self, progress: Progress) -> int:
        return {"programs": progress.generated, "evaluations": progress.evaluated, "steps": progress.steps}[
            self._budget[0]
        ]

    def _rates(self, progress: Progress) -> tuple[float, float, str]:
        """Programs and evaluations per second in this session, and the remaining time as text."""
        first = self._first or progress
        elapsed = max(time.monotonic() - self._began, 1e-9)
        programs = (progress.generated - first.generated) / elapsed
        evaluations = (progress.evaluated - first.evaluated) / elapsed
        done = self._done(progress)
        rate = (done - self._done(first)) / elapsed
        left = max(self._budget[1] - done, 0)
        if rate <= 0.0:
            return programs, evaluations, "-:--"
        return programs, evaluations, clock(left / rate)

    def _share(self, progress: Progress) -> float:
        return min(self._done(progress) / self._budget[1], 1.0)

    def _shares(self, progress: Progress) -> str:
        hits = progress.cache_hits / progress.generated if progress.generated else 0.0
        redundant = self._glance.redundancy
        return f"cache hits {hits:.0%}" + ("" if redundant is None else f"  redundant statements {redundant:.0%}")

    def _against(self, progress: Progress) -> str:
        """Best fitness of the earlier searches."""
        warm = [] if progress.warm_start is None else [("warm start", progress.warm_start)]
        return ", ".join(f"{name} {fitness:.5f}" for name, fitness in [*warm, *self._rivals.items()]) or "warm start -"

    def _block(self, progress: Progress) -> Text:
        share, (programs, evaluations, left) = self._share(progress), self._rates(progress)
        filled = round(share * BAR_CELLS)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{self._title:<9}", style="bold")
        text.append("█" * filled, style="green").append("░" * (BAR_CELLS - filled), style="dim")
        text.append(
            f" {share:4.0%}  {self._done(progress):,} of {self._budget[1]:,} {self._budget[0]}  ETA {left}\n  best "
        )
        if progress.best is None:
            text.append("none yet", style="dim")
        else:
            text.append(f"{progress.best.fitness:.5f}", style="bold green")
            text.append(f" {sparkline(self._bests, progress.generated)} ", style="green")
            text.append(f"program {self._id(progress.best.ticket)}")
        text.append(f"\n  against {self._against(progress)}\n")
        text.append(f"  {progress.generated:,} programs ({programs:,.0f}/s)  {progress.evaluated:,} evaluated")
        text.append(f" ({evaluations:,.0f}/s)" + (f"  {self._workers}" if self._workers else ""))
        text.append(f"\n  {self._shares(progress)}  {outcome_words(progress.outcomes)}")
        if self._glance.validation:
            text.append(f"\n  {self._glance.validation}")
        if self._glance.program is not None:
            text.append(
                f"\n\n  program {self._id(self._glance.ticket)}:\n" if self._glance.ticket is not None else "\n\n"
            )
            text.append(shortened(terminal_text(prune(self._glance.program), "    ")))
        return text

    def _line(self, progress: Progress) -> str:
        programs, evaluations, left = self._rates(progress)
        best = (
            "none yet"
            if progress.best is None
            else f"{progress.best.fitness:.5f} (program {self._id(progress.best.ticket)})"
        )
        parts = [
            f"{self._title}: {self._share(progress):4.0%}",
            f"{progress.generated:,} programs ({programs:,.0f}/s)",
            f"{progress.evaluated:,} evaluated ({evaluations:,.0f}/s)",
            self._shares(progress),
            outcome_words(progress.outcomes),
            f"best {best}, {self._against(progress)}",
            *([self._glance.validation] if self._glance.validation else []),
            f"ETA {left}",
        ]
        return "  ".join(parts)


def clock(seconds: float) -> str:
    """Formats a remaining time."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}" if whole < 3600 else f"{whole / 3600:.1f} h"


def outcome_words(outcomes: Mapping[str, int]) -> str:
    """Formats outcomes with their counts."""
    return " ".join(f"{name} {count:,}" for name, count in sorted(outcomes.items())) or "none yet"


def sparkline(bests: Iterable[tuple[int, float]], until: int) -> str:
    """Draws best fitness against generated programs as a sparkline; lower is better.

    Args:
        bests: numbers of generated programs and best fitness at each improvement.
        until: current number of generated programs.
    """
    points = list(bests)
    if len(points) < 2:
        return ""
    high, low = points[0][1], points[-1][1]
    cells = ""
    for cell in range(SPARK_CELLS):
        at = until * (cell + 1) / SPARK_CELLS
        value = next((fitness for programs, fitness in reversed(points) if programs <= at), high)
        level = (value - low) / (high - low) if high > low else 0.0
        cells += SPARKS[round(level * (len(SPARKS) - 1))]
    return cells


def shortened(text: Text) -> Text:
    """Truncates a program to its first lines, followed by the number of omitted lines."""
    lines = text.split("\n")
    if len(lines) <= PROGRAM_LINES:
        return text
    return Text("\n").join([*lines[: PROGRAM_LINES - 1], Text(f"    ... {len(lines) - PROGRAM_LINES + 1} more lines")])


@contextmanager
def counted_view(console: Console, *, quiet: bool = False) -> Generator[Callable[[str, int, int], None]]:
    """A progress bar in a terminal, occasional plain lines elsewhere.

    Args:
        console: output console.
        quiet: if True, shows nothing.

    Yields:
        A callback that takes a description of the current work, the number of completed items and the total.
    """
    columns = (TextColumn("{task.description}"), BarColumn(BAR_CELLS), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as view:
        bar = view.add_task("starting", total=None)
        last: tuple[float, int] | None = None

        def show(words: str, done: int, total: int) -> None:
            nonlocal last
            view.update(bar, completed=done, total=total, description=words)
            now = time.monotonic()
            if quiet or console.is_terminal or (last and done < total and now - last[0] < COUNTED_INTERVAL_S):
                return
            left = ""
            if last and last[1] < done < total:
                left = f", about {clock((now - last[0]) / (done - last[1]) * (total - done))} left"
            last = now, done
            console.print(f"{words}: {done} of {total} training runs done{left}", markup=False, soft_wrap=True)

        yield show
