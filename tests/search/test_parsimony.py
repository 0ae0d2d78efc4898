"""Common lengths have a handicap in tournaments, which follows from the members of the population alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from made_up import Ledger, MadeUpEvaluator, make_evolution

from optsearch.dsl.dataflow import prune
from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.search.member import Member
from optsearch.search.population.breeding import Methods
from optsearch.search.population.parsimony import Parsimony, ParsimonyConfig, length_of
from optsearch.search.population.population import Population, PopulationConfig
from optsearch.search.session import Session

ADAMW = Member(0, LIBRARY["adamw"], 0.8)


def test_the_handicap_is_the_share_of_the_length() -> None:
    rng = np.random.default_rng(0)
    config = PopulationConfig(size=12, tournament=2)
    population, parsimony = Population(ADAMW, config), Parsimony(ADAMW, 12, ParsimonyConfig(strength=0.1))
    assert parsimony.handicap(ADAMW) == pytest.approx(0.1 * 0.8)
    for ticket in range(1, 60):
        member = Member(ticket, random_program(rng, state=["m"], statements=int(rng.integers(1, 9))), 0.5)
        population.add(member)
        parsimony.add(member)
        members = population.members()
        lengths = Counter(len(prune(one.program).body) for one in members)
        for one in members:
            expected = 0.1 * 0.8 * lengths[length_of(one.program)] / 12
            assert parsimony.handicap(one) == pytest.approx(expected)
    assert len(parsimony._lengths) == 12


def test_a_score_of_zero_has_a_handicap_in_scores() -> None:
    assert Parsimony(Member(0, LIBRARY["adamw"], 0.0), 5, ParsimonyConfig(strength=0.1)).handicap(ADAMW) == 0.1


def test_a_rare_length_wins_against_a_slightly_better_common_one() -> None:
    population = Population(ADAMW, PopulationConfig(size=4, tournament=4))
    parsimony = Parsimony(ADAMW, 4, ParsimonyConfig(strength=0.5))
    short = Member(1, LIBRARY["sgd"], 0.85)
    for book in (population, parsimony):
        book.add(short)
    rng = np.random.default_rng(0)
    plain = {population.select(rng).ticket for _ in range(50)}
    fair = [population.select(rng, parsimony.handicap).ticket for _ in range(50)]
    assert fair.count(1) > 25
    assert plain == {0} or 0 in plain


@pytest.mark.parametrize("stop", [3, 10, 40])
def test_a_search_resumes_from_its_last_tickets(stop: int) -> None:
    methods = Methods(parsimony=ParsimonyConfig(strength=0.5))
    whole = make_evolution(methods=methods)
    Session(whole, MadeUpEvaluator(), Ledger()).run()
    ledger, turns = Ledger(), iter([False] * stop + [True])
    Session(make_evolution(methods=methods), MadeUpEvaluator(2, stop), ledger).run(should_stop=lambda: next(turns))
    rest = make_evolution(ledger.history(36) if ledger.settled else None, methods=methods)
    Session(rest, MadeUpEvaluator(3, 1), ledger).run()
    assert rest.population_digest() == whole.population_digest()
    plain = make_evolution()
    Session(plain, MadeUpEvaluator(), Ledger()).run()
    assert plain.population_digest() != whole.population_digest()
