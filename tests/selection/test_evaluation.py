"""Evaluation: the same chances for all, on seeds that nothing has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from dsl.library import LIBRARY
from dsl.syntax import parse
from proxy_tasks.outcome import Outcome, TrainingResult
from selection.contender import Contender, Job, baseline, run_job
from selection.evaluation import Evaluation, Progress, evaluate
from selection.tuning import GRID, fresh_seeds, tuning_seeds

SGD = Contender("found", LIBRARY["sgd"])
DIVERGING = Contender("diverging", parse("def train(w, g, lr):\n  update = g * -1e30\n  return update\n"))


class Recorder:
    """A pool that invents results: the loss is lowest where the learning rate is ``best``."""

    def __init__(self, best: dict[str, float]):
        self.best, self.jobs = best, list[Job]()

    def __call__(self, run: Callable[[Job], TrainingResult], jobs: Iterable[Job], /) -> Iterator[TrainingResult]:
        for job in jobs:
            self.jobs.append(job)
            wrong = abs(job.learning_rate / self.best[job.contender.name] - 1.0)
            if wrong > 50:
                yield TrainingResult(Outcome.NON_FINITE, None, None, None, 1, ())
            else:
                yield TrainingResult(Outcome.OK, 1.0 + wrong, 2.0 + wrong + job.seed % 7, None, 300, ())


def test_every_contender_gets_the_same_grid_and_seeds() -> None:
    pool = Recorder({"found": 1.0, "adamw": 1e-3})
    evaluate([SGD, baseline("adamw")], "ae", fresh_seeds(4), run=pool)
    for contender in (SGD, baseline("adamw")):
        jobs = [job for job in pool.jobs if job.contender == contender]
        tuning = {(job.learning_rate, job.seed) for job in jobs if job.seed in tuning_seeds()}
        assert tuning == {(contender.reference * factor, seed) for factor in GRID for seed in tuning_seeds()}
        assert [job.seed for job in jobs if job.seed not in tuning_seeds()] == list(fresh_seeds(4))


def test_the_tuned_rate_is_used_and_an_edge_is_flagged() -> None:
    found = evaluate([SGD, baseline("lion")], "ae", fresh_seeds(3), run=Recorder({"found": 0.1, "lion": 1e-2}))
    mine, lion = found.summaries
    assert (mine.tuned.factor, mine.tuned.at_edge) == (pytest.approx(0.1), False)
    assert (lion.tuned.factor, lion.tuned.at_edge) == (pytest.approx(100.0), True)
    assert lion.learning_rate == pytest.approx(1e-2)
    assert all(row.at_edge == (row.contender == "lion") for row in found.rows)


def test_rows_stand_in_order_and_comparisons_are_paired() -> None:
    contenders = [SGD, baseline("adamw"), baseline("lion")]
    found = evaluate(contenders, "AE", fresh_seeds(3), run=Recorder({"found": 1.0, "adamw": 1e-3, "lion": 1e-4}))
    assert found.task == "ae"
    assert [(row.contender, row.seed) for row in found.rows] == [
        (c.name, s) for c in contenders for s in fresh_seeds(3)
    ]
    pairs = [(comparison.contender, comparison.baseline) for comparison in found.comparisons]
    assert pairs == [("found", "adamw"), ("found", "lion"), ("adamw", "lion"), ("lion", "adamw")]
    for comparison in found.comparisons:  # the invented losses differ between seeds, never between contenders
        assert comparison.difference is not None
        assert comparison.difference.mean == pytest.approx(0.0)
        assert comparison.difference.high == pytest.approx(0.0)


def test_progress_counts_every_run() -> None:
    events: list[Progress] = []
    evaluate([SGD], "ae", fresh_seeds(2), grid=(0.1, 1.0), run=Recorder({"found": 1.0}), progress=events.append)
    assert [event.done for event in events] == list(range(1, 9))
    assert {event.total for event in events} == {8}
    assert [event.stage for event in events] == ["tuning"] * 6 + ["evaluation"] * 2


def test_a_real_evaluation_and_a_contender_that_always_fails() -> None:
    def once() -> Evaluation:
        contenders = [SGD, DIVERGING, baseline("sgd")]
        return evaluate(contenders, "ae", fresh_seeds(2), tune_on=(5,), grid=(0.1, 1.0, 10.0))

    found = once()
    mine, diverging, sgd = found.summaries
    assert diverging.failed == 2
    assert diverging.test_loss is None
    assert mine.test_loss is not None
    assert sgd.test_loss is not None
    assert all(row.outcome == "non_finite" for row in found.rows if row.contender == "diverging")
    assert next(c for c in found.comparisons if c.contender == "diverging").difference is None
    assert once() == found


def test_a_job_is_a_pure_function() -> None:
    job = Job(baseline("sgd"), "ae", 0.3, 11)
    assert run_job(job) == run_job(job)


@pytest.mark.parametrize(
    ("contenders", "seeds", "match"),
    [
        ([], (1,), "nothing to evaluate"),
        ([SGD, SGD], (1,), "two contenders are called 'found'"),
        ([SGD], (), "at least one fresh seed"),
        ([SGD], (1, 1), "given twice"),
        ([SGD], tuning_seeds()[:1], "both a tuning seed and a fresh seed"),
    ],
)
def test_what_makes_no_fair_comparison_is_refused(
    contenders: list[Contender], seeds: tuple[int, ...], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        evaluate(contenders, "ae", seeds)
