"""The population is a queue; the tournament selects the best of its sample."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np
import pytest
from pydantic import ValidationError

from optsearch.dsl.library import LIBRARY
from optsearch.search.member import Member
from optsearch.search.population.population import Population, PopulationConfig, population_digest

PROGRAM = LIBRARY["sgd"]


def oracle_select(rng: np.random.Generator, queue: list[Member], tournament: int) -> Member:
    """Slow and plain: sort the drawn members by fitness, then by youth."""
    drawn = [int(rng.random() * len(queue)) for _ in range(tournament)]
    key = lambda age: (queue[age].fitness is None, queue[age].fitness or 0.0, -age)  # noqa: E731
    return queue[sorted(drawn, key=key)[0]]


@pytest.mark.parametrize(("size", "tournament"), [(1, 1), (5, 1), (5, 3), (7, 7), (50, 12)])
def test_population_is_a_queue_with_tournaments(size: int, tournament: int) -> None:
    values = np.random.default_rng(size)
    founder = Member(0, PROGRAM, 0.5)
    population = Population(founder, PopulationConfig(size=size, tournament=tournament))
    queue = deque([founder] * size, maxlen=size)
    ours, theirs = np.random.default_rng(1), np.random.default_rng(1)
    for ticket in range(1, 200):
        assert population.select(ours) == oracle_select(theirs, list(queue), tournament)
        fitness = None if values.random() < 0.3 else float(values.integers(5))  # many ties
        member = Member(ticket, PROGRAM, fitness)
        population.add(member)
        queue.append(member)
        assert population.members() == tuple(queue)


def test_untrained_programs_win_only_among_themselves() -> None:
    population = Population(Member(0, PROGRAM, None), PopulationConfig(size=10, tournament=10))
    population.add(Member(1, PROGRAM, 1e30))
    rng = np.random.default_rng(0)
    wins = Counter(population.select(rng).ticket for _ in range(1000))
    drawn = 1 - 0.9**10
    assert wins[1] == pytest.approx(1000 * drawn, abs=60)


def test_tournament_of_one_is_uniform() -> None:
    population = Population(Member(0, PROGRAM, 0.0), PopulationConfig(size=8, tournament=1))
    for ticket in range(1, 8):
        population.add(Member(ticket, PROGRAM, float(ticket)))
    rng = np.random.default_rng(0)
    wins = Counter(population.select(rng).ticket for _ in range(8000))
    chi_square = sum((wins[ticket] - 1000) ** 2 / 1000 for ticket in range(8))
    assert chi_square < 24.3  # 99.9 % of chi-square with 7 degrees of freedom


def test_digest_depends_on_text_fitness_and_order() -> None:
    members = [("a\n", 0.5), ("b\n", None), ("c\n", 0.25)]
    variants = [
        members,
        members[::-1],
        members[:2],
        [("a\n", 0.5), ("b\n", 0.0), ("c\n", 0.25)],
        [("a\n", np.nextafter(0.5, 1)), ("b\n", None), ("c\n", 0.25)],
        [],
    ]
    assert len({population_digest(variant) for variant in variants}) == len(variants)


def test_tournament_must_fit() -> None:
    with pytest.raises(ValidationError, match="tournament is 6, but the population has only 5"):
        PopulationConfig(size=5, tournament=6)
