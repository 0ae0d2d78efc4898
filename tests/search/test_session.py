"""A session controls only timing, stops on request, and never waits without pending jobs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from made_up import Ledger, MadeUpEvaluator, Watched, made_up_fitness, make_evolution

from optsearch.search.budget import Budget
from optsearch.search.events import Progress, Timing
from optsearch.search.scoring.evaluate import EvaluatorStatistics
from optsearch.search.scoring.fitness import Fitness, Job, Reference
from optsearch.search.scoring.reference import HurdleConfig, ReferenceRule
from optsearch.search.session import Session


class WatchedEvaluator(MadeUpEvaluator):
    """Keeps the batches that it was given."""

    def __init__(self, workers: int):
        super().__init__(workers)
        self.batches: list[list[Job]] = []
        self.most = 0

    def submit(self, jobs: Sequence[Job]) -> None:
        self.batches.append(list(jobs))
        super().submit(jobs)
        self.most = max(self.most, len(self._jobs))


class InOrderEvaluator(WatchedEvaluator):
    """Returns all results at once, in order of submission."""

    def collect(self, timeout_s: float) -> list[tuple[Job, Fitness]]:
        done, self._jobs = self._jobs, []
        return [(job, made_up_fitness(job.program)) for job in done]


def test_batches_are_shared_and_bounded() -> None:
    evaluator = WatchedEvaluator(workers=3)
    Session(make_evolution(look_ahead=64), evaluator, Ledger(), batch_size=4).run()
    assert max(map(len, evaluator.batches)) == 4
    assert evaluator.most <= 2 * 3 * 4 + 4
    tickets = [job.ticket for batch in evaluator.batches for job in batch]
    assert len(set(tickets)) == len(tickets)


def test_warm_start_goes_first_and_sets_the_hurdles() -> None:
    class CurvesEvaluator(WatchedEvaluator):
        def collect(self, timeout_s: float) -> list[tuple[Job, Fitness]]:
            curves = ((4.0, 2.0),)
            return [
                (job, Fitness(0.5, "ok", 300, 0.1, curves) if job.ticket == 0 else fitness)
                for job, fitness in super().collect(timeout_s)
            ]

    evaluator = CurvesEvaluator(workers=2)
    hurdle = HurdleConfig(factor=2.0, at=[0.5])
    Session(make_evolution(), evaluator, Ledger(), rule=ReferenceRule(hurdle=hurdle, checkpoints=((5, 10),))).run()
    first, *others = [job for batch in evaluator.batches for job in batch]
    assert (first.ticket, first.reference, first.keep_curves) == (0, None, True)
    assert others
    assert {(job.reference, job.keep_curves) for job in others} == {(Reference((((5, 8.0),),)), False)}


def test_progress_never_goes_back_and_adds_up() -> None:
    seen: list[Progress] = []
    done = Session(make_evolution(), MadeUpEvaluator(2, 3), Ledger()).run(progress=seen.append)
    for before, after in zip(seen, [*seen[1:], done], strict=True):
        assert before.generated <= after.generated
        assert before.evaluated <= after.evaluated
        assert before.cache_hits <= after.cache_hits <= after.generated
        assert sum(after.outcomes.values()) == after.evaluated
        assert before.best is None or (after.best is not None and after.best.fitness <= before.best.fitness)
    assert done.finished
    assert done.generated == done.evaluated + done.cache_hits


def test_stopping_records_what_is_settled() -> None:
    ledger, turns = Ledger(), iter([False] * 25 + [True])
    evolution = make_evolution()
    done = Session(evolution, MadeUpEvaluator(2, 1), ledger).run(should_stop=lambda: next(turns))
    assert not done.finished
    assert len(ledger.settled) == done.generated + 1 > 1


def test_nothing_is_done_when_asked_to_stop_at_once() -> None:
    ledger, evaluator = Ledger(), WatchedEvaluator(1)
    Session(make_evolution(), evaluator, ledger).run(should_stop=lambda: True)
    assert not ledger.settled
    assert not evaluator.batches


def test_an_error_in_recording_ends_the_session_before_anything_counts() -> None:
    evolution = make_evolution(budget=Budget(programs=10))

    def record(*_: object) -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        Session(evolution, MadeUpEvaluator(), Watched(record)).run()
    assert evolution.progress.generated == 0
    assert evolution.warm_start_fitness is None


def test_a_turn_sends_jobs_and_records_results_before_they_are_told() -> None:
    ledger, evaluator, evolution = Ledger(), InOrderEvaluator(1), make_evolution(budget=Budget(programs=3))
    session = Session(evolution, evaluator, ledger)
    session.turn()
    assert [job.ticket for batch in evaluator.batches for job in batch] == [0]  # the others need the warm start
    assert ([result.ticket for result in ledger.evaluated], ledger.settled) == ([0], [])
    assert evolution.warm_start_fitness is not None
    assert not session.finished
    session.turn()
    assert [item.candidate.ticket for item in ledger.settled] == [0]
    while not session.finished:
        session.turn()
    assert evolution.finished
    assert session.run().generated == 3  # takes no turn, and records the last tickets
    assert [item.candidate.ticket for item in ledger.settled] == [0, 1, 2, 3]


def test_waiting_time_is_that_of_the_evaluator() -> None:
    class SlowEvaluator(MadeUpEvaluator):
        def collect(self, timeout_s: float) -> list[tuple[Job, Fitness]]:
            self.statistics = EvaluatorStatistics(waited_s=self.statistics.waited_s + 1.0)
            return super().collect(timeout_s)

    timing, evaluator = Timing(), SlowEvaluator()
    for programs in (10, 20):
        Session(make_evolution(budget=Budget(programs=programs)), evaluator, Ledger(), timing=timing).run()
    assert timing.waiting == evaluator.statistics.waited_s > 0.0
    assert timing.total == pytest.approx(timing.search + timing.store + timing.exchange)
