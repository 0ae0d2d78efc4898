"""Proposals enter at recorded tickets: with the same records, every search gives the same history."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from made_up import Ledger, MadeUpEvaluator, made_up_fitness, make_evolution

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import ProgramError
from optsearch.search.budget import Budget
from optsearch.search.evolution import Evolution, History, ReplayError
from optsearch.search.proposals import Entries, Proposal, ProposalsConfig, check_length
from optsearch.search.session import Session
from optsearch.search.variation.mutation_config import LimitsConfig

NAMES = ("lion", "sgd", "muon", "adafactor", "rmsprop")


def proposal(name: str) -> Proposal:
    return Proposal(name, "alice", f"{name}.txt", LIBRARY[name])


class Waiting:
    """Proposals that arrive when as many results are recorded; entries outlive the session, as in a store."""

    def __init__(self, ledger: Ledger, arrivals: Sequence[tuple[int, str]]):
        self._ledger, self._waiting = ledger, list(arrivals)
        self.entered: dict[int, Proposal] = {}

    def first(self) -> Proposal | None:
        if self._waiting and self._waiting[0][0] <= len(self._ledger.evaluated):
            return proposal(self._waiting[0][1])
        return None

    def enter(self, ticket: int, entering: Proposal) -> None:
        assert all(item.ticket < ticket for item in self._ledger.evaluated), "a later result was recorded before"
        self.entered[ticket] = entering
        self._waiting.pop(0)


ARRIVALS = tuple((15 * number, name) for number, name in enumerate(NAMES))


def run(
    share: float = 0.2, entered: dict[int, Proposal] | None = None, *, workers: int = 1, order: int = 0
) -> tuple[Evolution, Waiting, Ledger]:
    """A search with proposals that arrive; or, with ``entered``, one that is given the recorded ones."""
    ledger = Ledger()
    waiting = Waiting(ledger, ARRIVALS if entered is None else ())
    evolution = make_evolution(proposals=Entries(ProposalsConfig(share=share), entered))
    Session(evolution, MadeUpEvaluator(workers, order), ledger, inbox=waiting, batch_size=2).run()
    return evolution, waiting, ledger


def test_proposals_enter_and_are_programs_like_any_other() -> None:
    evolution, waiting, ledger = run()
    assert [item.source for item in waiting.entered.values()] == ["alice"] * len(NAMES)
    for ticket, entered in waiting.entered.items():
        candidate = ledger.settled[ticket].candidate
        assert candidate.program == entered.program
        assert candidate.fingerprint == fingerprint(entered.program)
        assert (candidate.parent, candidate.mutation) == (None, f"proposed by alice ({entered.file})")
    parents = {item.candidate.parent for item in ledger.settled}
    assert parents & set(waiting.entered)  # at least one proposal has children
    assert evolution.population_digest() != make_and_run_without()


def make_and_run_without() -> str:
    evolution = make_evolution()
    Session(evolution, MadeUpEvaluator(), Ledger()).run()
    return evolution.population_digest()


@pytest.mark.parametrize("share", [0.05, 0.2, 1.0])
def test_at_most_the_share_of_evaluations(share: float) -> None:
    _, waiting, ledger = run(share)
    assert waiting.entered
    evaluations = entered = 0
    for item in ledger.settled[1:]:
        evaluations += not item.candidate.is_hit
        entered += item.candidate.ticket in waiting.entered
        if item.candidate.ticket in waiting.entered:
            assert entered <= share * evaluations


def test_a_share_of_zero_admits_none() -> None:
    evolution, waiting, _ = run(0.0)
    assert not waiting.entered
    assert evolution.population_digest() == make_and_run_without()


@pytest.mark.parametrize(("workers", "order"), [(1, 1), (2, 2), (4, 3)])
def test_recorded_entries_give_the_same_population_for_any_workers_and_order(workers: int, order: int) -> None:
    first, waiting, _ = run()
    again, _, _ = run(entered=waiting.entered, workers=workers, order=order)
    assert again.population_digest() == first.population_digest()


def test_a_search_stopped_anywhere_goes_on_with_its_recorded_entries() -> None:
    """Sessions of a few turns, each resumed from what is recorded, equal one session with the same entries."""
    for order in range(4):
        ledger = Ledger()
        waiting = Waiting(ledger, ARRIVALS)
        for _ in range(1000):
            history = ledger.history(10**6) if ledger.evaluated else None
            entries = Entries(ProposalsConfig(share=0.2), waiting.entered)
            evolution = make_evolution(history, proposals=entries)
            turns = iter(range(5 + order))
            session = Session(evolution, MadeUpEvaluator(2, order), ledger, inbox=waiting, batch_size=2)
            session.run(should_stop=lambda turns=turns: next(turns, None) is None)
            if evolution.finished:
                break
        assert len(waiting.entered) == len(NAMES)
        tickets = [item.ticket for item in ledger.evaluated]
        assert len(set(tickets)) == len(tickets)
        whole, _, _ = run(entered=waiting.entered)
        assert evolution.population_digest() == whole.population_digest()


def test_a_recorded_entry_survives_a_stop_before_its_ticket_is_drawn() -> None:
    entries = Entries(ProposalsConfig(share=1.0), {5: proposal("lion")})
    evolution = make_evolution(History(-1, (), ()), proposals=entries)
    Session(evolution, MadeUpEvaluator(), Ledger(), inbox=None).run()
    assert evolution.finished
    assert not make_evolution(proposals=entries).admits  # the warm start comes first


def test_nothing_enters_before_recorded_results_and_entries() -> None:
    evolution = make_evolution(proposals=Entries(ProposalsConfig(share=1.0), {30: proposal("lion")}))
    evolution.ask()
    evolution.tell(0, made_up_fitness(LIBRARY["adamw"]))
    assert not evolution.admits
    with pytest.raises(ValueError, match="ticket 1 admits no proposal"):
        evolution.admit(proposal("sgd"))


def test_a_recorded_entry_beyond_the_share_is_an_error() -> None:
    entries = Entries(ProposalsConfig(share=0.1), {2: proposal("lion")})
    with pytest.raises(ReplayError, match="ticket 2 is a proposal, but the share of proposals is exhausted"):
        Session(make_evolution(proposals=entries), MadeUpEvaluator(), Ledger()).run()


def test_an_equivalent_proposal_costs_no_evaluation() -> None:
    entries = Entries(ProposalsConfig(share=1.0), {40: proposal("adamw")})
    ledger = Ledger()
    evolution = make_evolution(proposals=entries, budget=Budget(programs=60))
    Session(evolution, MadeUpEvaluator(), ledger).run()
    assert ledger.settled[40].candidate.owner == 0


def test_longer_programs_than_the_limit_are_refused() -> None:
    with pytest.raises(ProgramError, match=r"but limits\.statements of the search is 2"):
        check_length(LIBRARY["adamw"], LimitsConfig(statements=2))
