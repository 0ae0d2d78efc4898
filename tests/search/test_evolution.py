"""Results depend only on the seed: not on the order of results, the number of workers, or interruptions."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace

import numpy as np
import pytest
from made_up import Ledger, MadeUpEvaluator, Watched, made_up_fitness, make_evolution

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.search.budget import Budget
from optsearch.search.evolution import ReplayError
from optsearch.search.member import Member
from optsearch.search.population.adaptation import Adaptation, AdaptationConfig
from optsearch.search.population.archive import Archive, ArchiveConfig
from optsearch.search.population.breeding import Methods
from optsearch.search.population.parsimony import Parsimony, ParsimonyConfig
from optsearch.search.population.population import Population, PopulationConfig, population_digest
from optsearch.search.population.refinement import Refinement, RefinementConfig
from optsearch.search.scoring.fitness_cache import FitnessCache
from optsearch.search.session import Session
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights


def weights(name: str) -> MutationWeights:
    return MutationWeights(**{field: float(field == name) for field in MutationWeights.model_fields})


def run(ledger: Ledger | None = None, *, workers: int = 1, order: int = 0, batch_size: int = 2, **changes):
    evolution = make_evolution(**changes)
    Session(evolution, MadeUpEvaluator(workers, order), ledger or Ledger(), batch_size=batch_size).run()
    return evolution


def oracle_digest(programs: int, size: int, tournament: int, look_ahead: int, seed: int) -> str:
    """The definition, without cache, windows or rings: ticket k sees tickets 0 .. k - look_ahead."""
    key = np.frombuffer(hashlib.sha256(f"search:{seed}".encode()).digest()[:16], dtype=np.uint64)
    mutator = Mutator(MutationWeights())
    history = [LIBRARY["adamw"]]

    def alive(last: int):
        return ([history[0]] * size + history[1 : max(last, 0) + 1])[-size:]

    def value(program):
        return made_up_fitness(program).value

    for ticket in range(1, programs + 1):
        members = alive(ticket - look_ahead)
        rng = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, ticket]))
        ages = [int(x * size) for x in rng.random(tournament)]
        fitness = {age: value(members[age]) for age in ages}
        winner = min(ages, key=lambda age: (fitness[age] is None, fitness[age] or 0.0, -age))
        history.append(mutator.mutate(rng, members[winner])[0])
    return population_digest((str(p), value(p)) for p in alive(programs))


@pytest.mark.parametrize(("size", "tournament", "look_ahead"), [(20, 3, 16), (5, 2, 1), (8, 8, 30), (1, 1, 3)])
def test_search_equals_its_definition(size: int, tournament: int, look_ahead: int) -> None:
    ours = run(
        population=PopulationConfig(size=size, tournament=tournament),
        look_ahead=look_ahead,
        budget=Budget(programs=120),
    )
    assert ours.population_digest() == oracle_digest(120, size, tournament, look_ahead, 3)


def test_order_workers_and_batches_do_not_matter() -> None:
    digests = {
        run(workers=workers, order=order, batch_size=batch).population_digest()
        for workers, order, batch in [(1, 0, 1), (1, 1, 4), (2, 2, 2), (4, 3, 1), (7, 4, 8)]
    }
    assert len(digests) == 1


def test_seed_name_and_look_ahead_matter() -> None:
    digests = {run(**change).population_digest() for change in ({}, {"seed": 4}, {"name": "other"}, {"look_ahead": 17})}
    assert len(digests) == 4


def test_each_meaning_is_evaluated_once_and_by_its_first_ticket() -> None:
    ledger = Ledger()
    evolution = run(ledger)
    assert [s.candidate.ticket for s in ledger.settled] == list(range(201))
    first: dict[str, int] = {}
    for settled in ledger.settled:
        candidate = settled.candidate
        assert candidate.fingerprint == fingerprint(candidate.program)
        assert candidate.owner == first.setdefault(candidate.fingerprint, candidate.ticket)
        assert settled.fitness == made_up_fitness(candidate.program)
    assert sorted(first.values()) == sorted(e.ticket for e in ledger.evaluated)
    progress = evolution.progress
    assert progress.generated == 200 == progress.evaluated + progress.cache_hits
    assert progress.evaluated == sum(progress.outcomes.values()) == len(first) - 1
    best = min((s.fitness.value, s.candidate.ticket) for s in ledger.settled if s.fitness.value is not None)
    assert progress.best is not None
    assert (progress.best.fitness, progress.best.ticket) == best


def test_nothing_counts_before_it_is_recorded() -> None:
    evolution, seen = make_evolution(), set()

    def record(evaluated, settled):
        for item in settled:
            assert item.candidate.owner in seen
        seen.update(e.ticket for e in evaluated)

    Session(evolution, MadeUpEvaluator(2, 1), Watched(record)).run()
    assert evolution.finished


def test_budget_of_evaluations_is_exact() -> None:
    for workers in (1, 3):
        progress = run(workers=workers, budget=Budget(evaluations=37)).progress
        assert progress.evaluated == 37
        assert progress.finished


def test_a_budget_of_steps_ends_at_the_same_ticket_for_any_order_and_after_a_stop() -> None:
    budget = Budget(steps=9000)
    whole = run(budget=budget)
    ends = {
        run(workers=w, order=o, batch_size=b, budget=budget).progress.generated for w, o, b in [(1, 2, 1), (7, 3, 8)]
    }
    assert ends == {whole.progress.generated}
    ledger = Ledger()
    run(ledger, budget=budget)
    owned = [s.fitness.steps if not s.candidate.is_hit else 0 for s in ledger.settled[1:]]
    assert sum(owned) == whole.progress.steps
    last = whole.progress.generated
    assert sum(owned[: last + 1 - 16]) >= 9000 > sum(owned[: last - 16])
    for stop in (2, 9, 20):
        part, turns = Ledger(), iter([False] * stop + [True])
        Session(make_evolution(budget=budget), MadeUpEvaluator(2, stop), part).run(
            should_stop=lambda turns=turns: next(turns)
        )
        again = make_evolution(part.history(36), budget=budget)
        Session(again, MadeUpEvaluator(1, 1), part).run()
        assert (again.progress, again.population_digest()) == (whole.progress, whole.population_digest())
    assert make_evolution(ledger.history(36), budget=budget).finished


def test_a_search_that_finds_nothing_new_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optsearch.search.evolution.PATIENCE", 150)
    program = parse("def train(w, g, lr):\n  update = g * lr\n  return update\n")
    for mutator in (Mutator(MutationWeights().constants_only()), Mutator(weights("delete"))):
        ledger = Ledger()
        evolution = make_evolution(warm_start=program, variation=mutator, budget=Budget(evaluations=5))
        Session(evolution, MadeUpEvaluator(), ledger).run()
        assert evolution.progress.evaluated == 0
        assert evolution.progress.generated == 150
        assert {s.candidate.mutation for s in ledger.settled} == {"warm start", "none"}
        assert make_evolution(ledger.history(36), warm_start=program, budget=Budget(evaluations=5)).finished


COMMON = ParsimonyConfig(strength=0.5)

LEARNING = {
    "methods": Methods(ArchiveConfig(share=0.3), AdaptationConfig(memory=30), RefinementConfig(share=0.2), COMMON),
    "variation": Mutator(MutationWeights(cross=1.0)),
}
"""A search whose parents and mutation weights follow from its whole history."""


def test_a_search_that_learns_from_its_history_depends_on_the_seed_alone() -> None:
    digests = {
        run(workers=workers, order=order, batch_size=batch, **LEARNING).population_digest()
        for workers, order, batch in [(1, 0, 1), (1, 1, 4), (2, 2, 2), (4, 3, 1), (7, 4, 8)]
    }
    assert len(digests) == 1
    assert run(methods=LEARNING["methods"]).population_digest() not in digests
    for method in fields(Methods):
        if method.name == "gate":
            continue  # what it changes is how programs are evaluated
        without = replace(LEARNING["methods"], **{method.name: None})
        assert run(**(LEARNING | {"methods": without})).population_digest() not in digests


@pytest.mark.parametrize("stop", [1, 3, 10, 30, 60])
def test_a_search_that_learns_resumes_from_its_whole_history(stop: int) -> None:
    expected = run(**LEARNING)
    ledger, turns = Ledger(), iter([False] * stop + [True])
    Session(make_evolution(**LEARNING), MadeUpEvaluator(2, stop), ledger).run(should_stop=lambda: next(turns))
    evolution = make_evolution(ledger.history(len(ledger.settled)), **LEARNING)
    Session(evolution, MadeUpEvaluator(3, 1), ledger).run()
    assert evolution.population_digest() == expected.population_digest()
    assert any("from" in item.candidate.mutation for item in ledger.settled)
    for method in fields(Methods)[:3]:
        with pytest.raises(ReplayError, match="are incomplete"):
            make_evolution(
                ledger.history(36), methods=Methods(**{method.name: getattr(LEARNING["methods"], method.name)})
            )


def test_a_search_that_learns_equals_its_definition() -> None:
    ledger = Ledger()
    run(ledger, **LEARNING)
    key = np.frombuffer(hashlib.sha256(b"search:3").digest()[:16], dtype=np.uint64)
    members = [Member(s.candidate.ticket, s.candidate.program, s.fitness.value) for s in ledger.settled]
    for settled in ledger.settled[1:]:
        ticket = settled.candidate.ticket
        known = members[: max(ticket - 16, 0) + 1]
        population = Population(members[0], PopulationConfig(size=20, tournament=3))
        methods = LEARNING["methods"]
        archive, adaptation = Archive(members[0], methods.archive), Adaptation(methods.adaptation)
        refinement = Refinement(methods.refinement, 16)
        refinement.join(members[0], "", None)
        parsimony = Parsimony(members[0], 20, methods.parsimony)
        for member, item in zip(known[1:], ledger.settled[1:], strict=False):
            population.add(member)
            archive.add(member, item.candidate.parent)
            parsimony.add(member)
            refinement.join(member, item.candidate.mutation, item.candidate.parent)
            if item.candidate.mutation.startswith("refine "):
                continue
            if not item.candidate.is_hit:
                before = members[item.candidate.parent].fitness
                better = member.fitness is not None and (before is None or member.fitness < before)
                adaptation.note(item.candidate.mutation.split()[0], better)
        rng = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, ticket]))
        refined = refinement.child(rng)
        if refined is not None:
            assert (refined[0].ticket, refined[1]) == (settled.candidate.parent, settled.candidate.program)
            assert refined[2] == settled.candidate.mutation
            continue

        def select(rng: np.random.Generator, of=population, common=parsimony) -> Member:
            return of.select(rng, common.handicap)

        parent = archive.select(rng) or select(rng)
        child, change = LEARNING["variation"].mutate(rng, parent.program, mate=select, factors=adaptation.factors)
        assert (parent.ticket, child) == (settled.candidate.parent, settled.candidate.program)
        assert str(change) == settled.candidate.mutation


def test_budget_needs_a_limit() -> None:
    with pytest.raises(ValueError, match="give programs, evaluations or steps"):
        Budget()


class KilledError(RuntimeError):
    """The process ends here."""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_resume_after_a_kill_at_every_record(moment: str) -> None:
    whole, budget, count = Ledger(), Budget(programs=90), 0
    expected = run(whole, budget=budget).population_digest()
    for stop in range(1000):
        ledger, calls, evaluator = Ledger(), 0, MadeUpEvaluator(2, stop)

        def record(evaluated, settled, stop=stop, ledger=ledger):
            nonlocal calls
            calls += 1
            if calls > stop and moment == "before":
                raise KilledError
            ledger.append(evaluated, settled)
            if calls > stop:
                raise KilledError

        try:
            Session(make_evolution(budget=budget), evaluator, Watched(record)).run()
        except KilledError:
            pass
        else:
            break
        durable = {e.ticket for e in ledger.evaluated}
        again = MadeUpEvaluator(3, stop + 1)
        evolution = make_evolution(ledger.history(20 + 16), budget=budget)
        Session(evolution, again, ledger).run()
        assert evolution.population_digest() == expected
        assert not durable & set(again.evaluated)  # nothing durable is repeated
        key = lambda e: e.ticket  # noqa: E731
        assert sorted(ledger.evaluated, key=key) == sorted(whole.evaluated, key=key)  # and nothing is lost
        assert [(s.candidate.ticket, s.candidate.mutation) for s in ledger.settled] == [
            (s.candidate.ticket, s.candidate.mutation) for s in whole.settled
        ]
        count += 1
    assert count > 30


def test_stopping_at_every_turn_and_going_on_gives_the_same() -> None:
    expected = run(look_ahead=5).population_digest()
    ledger, sessions = Ledger(), 0
    while True:
        evolution = make_evolution(ledger.history(25) if ledger.settled else None, look_ahead=5)
        turns = iter([False, False, True])
        evaluator = MadeUpEvaluator(2, sessions)
        Session(evolution, evaluator, ledger).run(should_stop=lambda turns=turns: next(turns))
        sessions += 1
        if evolution.finished:
            break
    assert sessions > 20
    assert evolution.population_digest() == expected


def test_a_finished_search_can_be_extended() -> None:
    ledger = Ledger()
    run(ledger, budget=Budget(programs=90))
    longer = make_evolution(ledger.history(36))
    assert not longer.finished
    Session(longer, MadeUpEvaluator(), ledger).run()
    assert longer.population_digest() == run().population_digest()


def test_resume_needs_only_the_tail() -> None:
    ledger = Ledger()
    done = run(ledger)
    restored = make_evolution(ledger.history(36))
    assert restored.finished
    assert restored.population_digest() == done.population_digest()
    assert restored.progress == done.progress
    with pytest.raises(ReplayError, match="are incomplete"):
        make_evolution(ledger.history(30))


def test_records_of_another_search_are_refused() -> None:
    ledger, evaluator = Ledger(), MadeUpEvaluator(2, 1)
    stop = iter([False] * 12 + [True])
    Session(make_evolution(), evaluator, ledger).run(should_stop=lambda: next(stop))
    ledger.settled = ledger.settled[:-8]
    with pytest.raises(ReplayError, match="another version"):
        Session(make_evolution(ledger.history(36), seed=99), MadeUpEvaluator(), ledger).run()


def test_unasked_results_are_refused() -> None:
    evolution = make_evolution()
    fitness = made_up_fitness(LIBRARY["adamw"])
    with pytest.raises(ValueError, match="ticket 0 has no pending evaluation"):
        evolution.tell(0, fitness)
    evolution.ask()
    evolution.tell(0, fitness)
    with pytest.raises(ValueError, match="ticket 0 has no pending evaluation"):
        evolution.tell(0, fitness)


def test_ask_waits_for_the_window() -> None:
    evolution = make_evolution(look_ahead=4)
    assert evolution.ask() is not None
    assert evolution.ask() is None  # the warm start first
    evolution.tell(0, made_up_fitness(LIBRARY["adamw"]))
    waiting = []
    while (candidate := evolution.ask()) is not None:
        waiting += [candidate.ticket] if candidate.evaluate else []
    assert waiting
    assert candidate is None
    assert evolution.progress.generated == waiting[0] - 1


def test_constants_control_finds_only_constants() -> None:
    ledger = Ledger()
    run(ledger, variation=Mutator(MutationWeights().constants_only()), budget=Budget(evaluations=60, programs=5000))
    shapes = {tuple((s.target, s.function) for s in item.candidate.program.body) for item in ledger.settled}
    assert len(shapes) == 1


def test_cache_gives_the_first_owner() -> None:
    cache = FitnessCache()
    assert [cache.owner("a", 3), cache.owner("b", 4), cache.owner("a", 5)] == [3, 4, 3]
    assert cache.get(3) is None
    cache.put(3, made_up_fitness(LIBRARY["sgd"]))
    assert cache.get(cache.owner("a", 9)) == made_up_fitness(LIBRARY["sgd"])
    assert len(cache) == 2
