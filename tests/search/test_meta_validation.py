"""Meta-validation follows ticket order and its interval, independent of interruptions of the search."""

from __future__ import annotations

import pytest
from made_up import Ledger, MadeUpEvaluator, make_evolution

from optsearch.search.events import Evaluated
from optsearch.search.meta_validation import MetaValidation
from optsearch.search.scoring.fitness import Fitness
from optsearch.search.session import Session


def results(values: list[float | None]) -> list[Evaluated]:
    return [
        Evaluated(ticket, f"{ticket:016x}", Fitness(value, "ok" if value is not None else "hurdle", 1, 0.1))
        for ticket, value in enumerate(values)
    ]


def test_the_best_is_watched_at_most_once_in_so_many_evaluations() -> None:
    watch = MetaValidation(3, results([9.0, 8.0, 7.0, None, 8.5, 6.0, 5.0, 5.0]))
    assert watch.due() == [0, 2, 6]  # the warm start, the best after 3 evaluations, the best after 6
    watch.finish()
    assert watch.due() == [0, 2, 6]
    assert MetaValidation(10, results([9.0, 8.0])).due() == [0]
    late = MetaValidation(10, results([9.0, 8.0]))
    late.finish()
    assert late.due() == [0, 1]


def test_what_is_known_is_not_done_again() -> None:
    watch = MetaValidation(1, results([9.0, 8.0]))
    known = [watch.tell(ticket, Fitness(1.0, "ok", 1, 0.1)) for ticket in watch.due()]
    assert not watch.waiting
    assert [(v.ticket, v.evaluations) for v in known] == [(0, 0), (1, 1)]
    assert MetaValidation(1, results([9.0, 8.0]), known).due() == []


def test_nothing_is_watched_before_anything_has_trained() -> None:
    assert MetaValidation(1, results([None, None])).due() == []
    assert MetaValidation(1, results([None, 3.0])).due() == [1]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_programs_are_watched_for_any_order_and_interruption(workers: int) -> None:
    whole, cut, evolution = Ledger(), Ledger(), make_evolution()
    Session(evolution, MadeUpEvaluator(), whole, validation=MetaValidation(10)).run()
    for sitting in range(1000):
        history = cut.history(36) if cut.settled else None
        settled = {item.candidate.ticket for item in cut.settled}
        done = sorted((r for r in cut.evaluated if r.ticket in settled), key=lambda r: r.ticket)
        part, turns = make_evolution(history), iter([False] * 7 + [True])
        watch = MetaValidation(10, done, cut.validations)
        session = Session(part, MadeUpEvaluator(workers, sitting), cut, validation=watch)
        session.run(should_stop=lambda turns=turns: next(turns))
        if part.finished and not watch.waiting:
            break
    assert part.population_digest() == evolution.population_digest()
    order = lambda v: v.evaluations  # noqa: E731
    assert sorted(cut.validations, key=order) == sorted(whole.validations, key=order)
    assert len(whole.validations) > 2
    assert evolution.progress.best is not None
    assert max(whole.validations, key=order).ticket == evolution.progress.best.ticket
