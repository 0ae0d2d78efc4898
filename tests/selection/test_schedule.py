"""Concurrent tunings: order, and number of simultaneous runs."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from invented import ended

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.run import Trained
from optsearch.search.pool import Here
from optsearch.selection.contender import Contender, TrainingJob, baseline
from optsearch.selection.problem import Problem
from optsearch.selection.tuning.schedule import drive

LION, SGD = Contender("found", LIBRARY["lion"]), Contender("other", LIBRARY["sgd"])
SMALL, LARGE = Problem("ae"), Problem("X_ae")


def jobs(contender: Contender, problem: Problem, seeds: Sequence[int]) -> list[TrainingJob]:
    return [TrainingJob(contender, problem, (("rate", 1.0),), seed) for seed in seeds]


def entry(
    contender: Contender, problem: Problem, *batches: Sequence[int]
) -> Generator[list[TrainingJob], list[Trained], list[int]]:
    """Asks for batches of seeds, one after the other, and returns the seeds that it was told the results of."""
    told: list[int] = []
    for seeds in batches:
        told += [result.result.steps for result in (yield jobs(contender, problem, seeds))]
    return told


class Recording(Here[TrainingJob, Trained]):
    """Notes what is made; the result of a seed has as many steps."""

    def __init__(self, room: int = 1):
        self.made: list[TrainingJob] = []
        self.most, self.room = 0, room

        def run(job: TrainingJob) -> Trained:
            self.made.append(job)
            trained = ended(1.0)
            return Trained(type(trained.result)(**_fields(trained) | {"steps": job.seed}), 0.1)

        super().__init__(run)

    def collect(self) -> tuple[int, Trained]:
        self.most = max(self.most, len(self._queue))
        return super().collect()


def _fields(trained: Trained) -> dict[str, object]:
    return {name: getattr(trained.result, name) for name in trained.result.__slots__}


def test_everybody_is_told_its_own_results_in_its_order() -> None:
    class LastFirst(Recording):
        def collect(self) -> tuple[int, Trained]:
            self._queue.rotate(1)
            return super().collect()

    for pool in (Recording(), Recording(4), LastFirst(3), LastFirst(50)):
        entries = [entry(LION, SMALL, [5, 6, 7], [8]), entry(SGD, LARGE, [1], [2, 3]), entry(LION, LARGE, [9, 4])]
        seen: list[int] = []
        assert drive(entries, pool, lambda job, _: seen.append(job.seed)) == [[5, 6, 7, 8], [1, 2, 3], [9, 4]]  # noqa: B023
        assert sorted(seen) == list(range(1, 10))
        assert pool.most <= pool.room


def test_nobody_waits_for_another() -> None:
    class Slow(Recording):
        """The results of the large problem come last of all that are on their way."""

        def collect(self) -> tuple[int, Trained]:
            while any(job.problem == SMALL for _, job in self._queue) and self._queue[0][1].problem == LARGE:
                self._queue.rotate(1)
            return super().collect()

    pool = Slow(2)
    drive([entry(LION, LARGE, [1], [2]), entry(LION, SMALL, [3], [4], [5])], pool, lambda job, _: None)
    assert [job.seed for job in pool.made] == [3, 4, 5, 1, 2]


def test_each_loop_is_compiled_first_and_then_what_takes_longest_comes_first() -> None:
    pool = Recording()
    entries = [entry(LION, SMALL, [1, 2]), entry(SGD, SMALL, [3]), entry(baseline("adamw"), SMALL, [4])]
    drive([*entries, entry(SGD, LARGE, [5, 6]), entry(baseline("adamw"), LARGE, [7, 8])], pool, lambda job, _: None)
    assert [job.seed for job in pool.made] == [5, 7, 1, 4, 6, 8, 2, 3]
