"""A head start changes only the place of evaluation."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import pytest
from made_up import Ledger, MadeUpEvaluator, make_evolution

from optsearch.search.budget import Budget
from optsearch.search.pool import Here
from optsearch.search.scoring.evaluate import InProcessEvaluator
from optsearch.search.scoring.fitness import Setting
from optsearch.search.session import Session
from optsearch.search.workers.handover import HeadStart


class LateEvaluator(InProcessEvaluator):
    """Is ready after some questions."""

    def __init__(self, setting: Setting, trainers: Any, questions: int):
        super().__init__(setting, trainers)
        self.questions, self.closed, self.done = questions, False, 0

    def ready(self) -> bool:
        self.questions -= 1
        return self.questions < 0

    def collect(self, timeout_s: float) -> list[Any]:
        results = super().collect(timeout_s)
        self.done += len(results)
        return results

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("questions", [0, 5, 10**6])
def test_the_search_is_the_same_whenever_the_workers_come(ae_trainer: Any, questions: int) -> None:
    setting, budget = Setting("ae", (0,)), Budget(programs=25)
    plain = make_evolution(budget=budget)
    Session(plain, InProcessEvaluator(setting, ae_trainer), Ledger()).run()
    late = LateEvaluator(setting, ae_trainer, questions)
    evaluator = HeadStart(setting, lambda: late, workers=2)
    here = InProcessEvaluator(setting, ae_trainer)
    evaluator._here, kept = here, weakref.ref(here)
    del here
    evolution = make_evolution(budget=budget)
    Session(evolution, evaluator, Ledger()).run()
    assert (late.done > 0) == (questions < 10**6)
    assert (kept() is None) == (late.done > 0)  # what it has compiled is let go of once others evaluate
    evaluator.close()
    assert late.closed
    assert evolution.population_digest() == plain.population_digest()


def test_workers_that_cannot_be_made_are_said() -> None:
    def fail() -> Any:
        raise RuntimeError("no workers today")

    evaluator = HeadStart(Setting("ae", (0,)), fail, workers=1)
    evaluator._thread.join()
    with pytest.raises(RuntimeError, match="no workers today"):
        Session(make_evolution(), evaluator, Ledger()).run()
    evaluator.close()


def test_closing_waits_for_the_workers_to_be_made() -> None:
    there, made = threading.Event(), MadeUpEvaluator()
    made.ready = lambda: False  # type: ignore[attr-defined]

    def make() -> Any:
        there.wait()
        return made

    evaluator = HeadStart(Setting("ae", (0,)), make, workers=1)
    there.set()
    evaluator.close()
    assert evaluator.other is made


@pytest.mark.parametrize("late", [0, 2, 10**6])
def test_calls_are_made_here_until_the_workers_are_there(late: int) -> None:
    class Workers(Here[int, int]):
        room = 2

    there, made = threading.Event(), MadeUpEvaluator()
    made.pool = lambda run: Workers(lambda value: 100 + run(value))  # type: ignore[attr-defined]

    def make() -> Any:
        there.wait()
        return made

    evaluator = HeadStart(Setting("ae", (0,)), make, workers=1)
    pool, results = evaluator.pool(abs), list[tuple[int, int]]()
    for number in range(4):
        pool.submit(number, -number)
    for done in range(4):
        if done == late:
            there.set()
            while evaluator.other is None:
                evaluator._thread.join(0.001)
        results.append(pool.collect())
    assert results == [(number, number + 100 * (number >= late)) for number in range(4)]
    assert pool.room == (1 if late > 4 else 2)
    there.set()
    evaluator.close()


def test_a_pool_says_that_workers_cannot_be_made() -> None:
    def fail() -> Any:
        raise RuntimeError("no workers today")

    evaluator = HeadStart(Setting("ae", (0,)), fail, workers=1)
    evaluator._thread.join()
    with pytest.raises(RuntimeError, match="no workers today"):
        _ = evaluator.pool(abs).room
    evaluator.close()
