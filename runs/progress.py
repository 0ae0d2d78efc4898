"""Live progress of a search: a calm block of lines in a terminal, one plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from search.events import Progress

PLAIN_INTERVAL_S = 5.0
"""Time between plain lines."""

REFRESH_PER_S = 4.0
BAR_CELLS = 20


class ProgressView:
    """Shows how far a search is; use as a context around it.

    Args:
        console: where to write.
        title: name of the search.
        budget: what the search counts towards, and the number at which it ends: ``("programs", 10000)``.
        redundancy: gives the share of redundant statements in the population, or None; asked every few seconds.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        budget: tuple[str, int],
        *,
        redundancy: Callable[[], float | None] = lambda: None,
    ):
        self._console, self._title, self._budget = console, title, budget
        self.redundancy = redundancy
        self._redundant: float | None = None
        self._looked = float("-inf")
        self._live = Live(console=console, refresh_per_second=REFRESH_PER_S, transient=False)
        self._began = self._last_plain = time.monotonic()
        self._first: Progress | None = None
        self._latest: Progress | None = None

    def __enter__(self) -> ProgressView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()
        elif self._latest is not None:
            self._console.print(self._line(self._latest), soft_wrap=True, highlight=False)

    def update(self, progress: Progress) -> None:
        """Takes in where the search stands."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began = progress, now
            self._last_plain = now - PLAIN_INTERVAL_S
        self._latest = progress
        if now - self._looked >= PLAIN_INTERVAL_S:
            self._looked, self._redundant = now, self.redundancy()
        if self._console.is_terminal:
            self._live.update(self._block(progress))
        elif now - self._last_plain >= PLAIN_INTERVAL_S:
            self._last_plain = now
            self._console.print(self._line(progress), soft_wrap=True, highlight=False)

    def _done(self, progress: Progress) -> int:
        return progress.generated if self._budget[0] == "programs" else progress.evaluated

    def _rates(self, progress: Progress) -> tuple[float, float, str]:
        """Programs and evaluations per second in this session, and the time left as text."""
        first = self._first or progress
        elapsed = max(time.monotonic() - self._began, 1e-9)
        programs = (progress.generated - first.generated) / elapsed
        evaluations = (progress.evaluated - first.evaluated) / elapsed
        done, rate = self._done(progress), programs if self._budget[0] == "programs" else evaluations
        left = max(self._budget[1] - done, 0)
        if rate <= 0.0:
            return programs, evaluations, "-:--"
        seconds = round(left / rate)
        clock = f"{seconds // 60}:{seconds % 60:02d}" if seconds < 3600 else f"{seconds / 3600:.1f} h"
        return programs, evaluations, clock

    def _parts(self, progress: Progress) -> tuple[str, str, str]:
        programs, evaluations, left = self._rates(progress)
        hits = progress.cache_hits / progress.generated if progress.generated else 0.0
        counts = f"{progress.generated:,} programs ({programs:,.0f}/s)"
        counts += f"  {progress.evaluated:,} evaluated ({evaluations:,.0f}/s)"
        outcomes = " ".join(f"{name} {count:,}" for name, count in sorted(progress.outcomes.items())) or "none yet"
        best = "none yet" if progress.best is None else f"{progress.best.fitness:.5f} (program {progress.best.ticket})"
        warm = "-" if progress.warm_start is None else f"{progress.warm_start:.5f}"
        share = min(self._done(progress) / self._budget[1], 1.0)
        fitness = f"best {best}, warm start {warm}"
        redundant = "" if self._redundant is None else f"redundant statements {self._redundant:.0%}  "
        return f"{share:4.0%}  {counts}", f"cache hits {hits:.0%}  {redundant}{outcomes}", f"{fitness}  ETA {left}"

    def _block(self, progress: Progress) -> Text:
        share = min(self._done(progress) / self._budget[1], 1.0)
        filled = round(share * BAR_CELLS)
        first, second, third = self._parts(progress)
        text = Text()
        text.append(f"{self._title:<9}", style="bold")
        text.append("█" * filled, style="green").append("░" * (BAR_CELLS - filled), style="dim")
        text.append(f" {first.split('  ', 1)[0]}\n")
        text.append(f"  {first.split('  ', 1)[1]}\n  {second}\n  {third}")
        return text

    def _line(self, progress: Progress) -> str:
        return f"{self._title}: {'  '.join(self._parts(progress)).strip()}"
