"""How many workers one driver can feed, by simulation: evaluations only wait, everything in the driver is real.

    python benchmarks/scale.py                                      all figures; about ten minutes on an idle machine
    python benchmarks/scale.py --seconds 1 --workers 10 1000 --evaluations 2000                   half a minute

The driver is the one of `optsearch search`: evolution, session, run file with one durable transaction a turn, and
`RayEvaluator` with its assignment of batches to workers. Ray alone is replaced: `Cluster` below has its calls, and its
actors hold batches until their time is over. Its clock is that of the machine while the driver works, and jumps to the
next completed batch while the driver waits. Evaluations of 60 s therefore take as long as ones of 20 ms. Evaluations
last between 0.8 and 1.2 times the given seconds.

For every number of workers, after each has had work: *used* is the share of the workers' time in which they evaluate,
*busy* the share of the driver's time in which it works. The driver is saturated where it is busy all the time; *fed* is
the number of workers that it could feed with what it does in a second. *Memory* is the peak of the whole process, to be
compared with that of one worker. ``look_ahead`` is four times the programs in evaluation.

What Ray itself costs is not included, and neither is the network; `benchmarks/campaign.py` measures the workers of one
machine with Ray. The share of generated programs that were known is low at the start of a search, which is what the
benchmark runs; late in a search the driver generates several programs for one evaluation. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import heapq
import json
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from processes import processes

from optsearch.runs.commands.search import load_named
from optsearch.runs.store.environment import about_machine
from optsearch.runs.store.ledger import SearchLedger
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.searches import SEARCH, make_evolution
from optsearch.search.budget import Budget
from optsearch.search.events import Progress, Timing
from optsearch.search.scoring.fitness import OK, Fitness
from optsearch.search.session import Session
from optsearch.search.workers.ray_evaluator import Parcel, RayEvaluator

LADDERS: dict[float, tuple[int, ...]] = {
    0.02: (1, 4, 16, 32, 64),
    1.0: (1, 100, 300, 1000, 3000),
    60.0: (100, 1000, 10_000),
}
"""Numbers of workers for each number of seconds an evaluation."""

STEPS = 300
"""Training steps that an evaluation reports."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Reference to a result that is there at a time of the cluster's clock."""

    due: float
    value: Any


class Cluster:
    """The calls of Ray that `Crew` makes, with actors that only wait.

    Args:
        seconds: duration of an evaluation.
    """

    exceptions = SimpleNamespace(
        RayTaskError=type("RayTaskError", (Exception,), {}),
        RayActorError=type("RayActorError", (Exception,), {}),
        WorkerCrashedError=type("WorkerCrashedError", (Exception,), {}),
        OutOfMemoryError=type("OutOfMemoryError", (Exception,), {}),
    )

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._skipped = 0.0
        self._began = time.perf_counter()
        self._due: list[float] = []

    @property
    def now(self) -> float:
        """Seconds since the creation, including those that waits have skipped."""
        return time.perf_counter() - self._began + self._skipped

    @property
    def skipped(self) -> float:
        """Seconds that waits have skipped."""
        return self._skipped

    def remote(self, **_: Any) -> Any:
        """Decorator of an actor class; the actors are simulated."""
        return lambda _: SimpleNamespace(remote=lambda *_: Actor(self))

    def later(self, due: float, value: Any) -> Reference:
        """Creates a reference to a result."""
        heapq.heappush(self._due, due)
        return Reference(due, value)

    def wait(
        self, references: Sequence[Reference], num_returns: int, timeout: float
    ) -> tuple[list[Reference], list[Reference]]:
        """Returns the references whose results are there; skips time up to ``timeout`` until there is one."""
        now = self.now
        ready = [reference for reference in references if reference.due <= now]
        if not ready and timeout > 0.0:
            while self._due and self._due[0] <= now:
                heapq.heappop(self._due)
            passes = min(timeout, self._due[0] - now) if self._due else timeout
            self._skipped += passes
            ready = [reference for reference in references if reference.due <= now + passes]
        return ready[:num_returns], []

    def get(self, reference: Reference) -> Any:
        """Returns a result."""
        return reference.value

    def kill(self, actor: Actor) -> None:
        """Ends an actor."""


class Actor:
    """A worker that evaluates one batch after the other by waiting.

    Args:
        cluster: the cluster.
    """

    def __init__(self, cluster: Cluster):
        self._cluster, self._free = cluster, 0.0
        self.machine = SimpleNamespace(remote=lambda: cluster.later(0.0, "simulated"))
        self.evaluate = SimpleNamespace(remote=self._evaluate)

    def _evaluate(self, parcels: Sequence[Parcel]) -> Reference:
        lasts = [0.8 + 0.4 * zlib.crc32(b"%d" % parcel.ticket) / 2**32 for parcel in parcels]
        self._free = max(self._free, self._cluster.now) + self._cluster.seconds * sum(lasts)
        return self._cluster.later(self._free, [made_up(parcel) for parcel in parcels])


def made_up(parcel: Parcel) -> Fitness:
    """A fitness that follows from the program's text."""
    return Fitness(zlib.crc32(parcel.text.encode()) / 2**32, OK, STEPS, 0.0)


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one number of workers.

    Attributes:
        seconds: duration of an evaluation.
        workers: number of workers.
        evaluations: number of measured evaluations.
        rate: evaluations a second.
        used: share of the workers' time in which they evaluate.
        busy: share of the driver's time in which it works.
        fed: number of workers that the driver could feed.
        hits: share of the generated programs that were known.
        memory_mb: peak memory of the process.
        store_share: share of the driver's working time in the store.
    """

    seconds: float
    workers: int
    evaluations: int
    rate: float
    used: float
    busy: float
    fed: float
    hits: float
    memory_mb: float
    store_share: float


def simulate(seconds: float, workers: int, evaluations: int, batch_size: int) -> Figures:
    """Runs a search on simulated workers, and measures it once every worker has had work.

    Args:
        seconds: duration of an evaluation.
        workers: number of workers.
        evaluations: least number of measured evaluations; at least as many as are open at a time are.
        batch_size: number of evaluations sent to a worker together.
    """
    opened = 2 * batch_size * workers
    measured = max(evaluations, opened)
    config, text = load_named("study", [f"look_ahead={min(4 * opened, 100_000)}", f"batch_size={batch_size}"])
    cluster = Cluster(seconds)
    first: tuple[float, float, int] | None = None

    def watch(progress: Progress) -> None:
        nonlocal first
        if first is None and progress.evaluated >= opened:
            first = cluster.now, cluster.skipped, progress.evaluated

    with (
        tempfile.TemporaryDirectory() as folder,
        RunStore.create(
            Path(folder) / "run",
            campaign=text,
            settings=config.model_dump(mode="json"),
            about=about_machine(),
            tasks={},
        ) as store,
        mock.patch.dict(sys.modules, ray=cluster),
        mock.patch("optsearch.search.workers.crew.start_ray", return_value=False),
        mock.patch("optsearch.search.workers.crew.Needs"),
        mock.patch("optsearch.search.workers.crew.RayWatch"),
    ):
        search = store.add_search(SEARCH, "", {"algorithm": config.algorithm})
        evolution = make_evolution(store, config, search, Budget(evaluations=1_000_000_000))
        timing = Timing()
        evaluator, ledger = RayEvaluator(config.setting, workers), SearchLedger(store, search)
        session = Session(evolution, evaluator, ledger, batch_size=batch_size, timing=timing)
        progress = session.run(progress=watch, should_stop=lambda: evolution.progress.evaluated >= opened + measured)
    if first is None:
        raise RuntimeError("the search ended before every worker had work")
    passed, waited = cluster.now - first[0], cluster.skipped - first[1]
    done = progress.evaluated - first[2]
    rate, busy = done / passed, 1.0 - waited / passed
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Figures(
        seconds,
        workers,
        done,
        rate,
        min(rate * seconds / workers, 1.0),
        busy,
        done / (passed - waited) * seconds,
        progress.cache_hits / max(progress.generated, 1),
        memory,
        timing.store / timing.total,
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=list(LADDERS), help="duration of an evaluation")
    parser.add_argument(
        "--workers", type=int, nargs="+", help="numbers of workers; default: a ladder for each duration"
    )
    parser.add_argument("--evaluations", type=int, default=5000, help="least number of measured evaluations")
    parser.add_argument("--batch-size", type=int, help="evaluations sent together; default: 4 below a second, else 1")
    options = parser.parse_args()
    print("| seconds | workers | evaluations a second | used | busy | fed | known | memory, MB | store |")
    print("|---|---|---|---|---|---|---|---|---|")
    rows: list[Figures] = []
    for seconds in options.seconds:
        size = options.batch_size or (4 if seconds < 1.0 else 1)
        for workers in options.workers or LADDERS.get(seconds, (1, 10, 100, 1000)):
            with processes(1) as process:  # a peak of memory of its own
                row = process.submit(simulate, seconds, workers, options.evaluations, size).result()
            rows.append(row)
            shares = f"{row.used:.0%} | {row.busy:.0%} | {row.fed:,.0f} | {row.hits:.0%}"
            print(
                f"| {row.seconds:g} | {row.workers:,} | {row.rate:,.1f} | {shares} | {row.memory_mb:.0f} | "
                f"{row.store_share:.0%} |",
                flush=True,
            )
    print(json.dumps({"machine": dict(about_machine()), "rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
