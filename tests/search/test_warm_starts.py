"""Several warm starts enter a search one after another, deterministically, and a search with them resumes."""

from __future__ import annotations

import pytest
from made_up import Ledger, MadeUpEvaluator, make_evolution

from optsearch.dsl.library import LIBRARY
from optsearch.search.config import CampaignConfig, load_campaign
from optsearch.search.session import Session
from optsearch.search.settings.config_errors import ConfigError

TEXT = "name: test\ntask: ae\nbudget: {programs: 100}\nwarm_start: [adamw, lion, sgd]\n"
FURTHER = (LIBRARY["lion"], LIBRARY["sgd"])


def test_the_further_programs_are_the_first_tickets() -> None:
    ledger = Ledger()
    Session(make_evolution(further=FURTHER), MadeUpEvaluator(), ledger).run()
    begin = [(s.candidate.ticket, s.candidate.parent, s.candidate.mutation) for s in ledger.settled[:3]]
    assert begin == [(0, None, "warm start"), (1, None, "warm start 2"), (2, None, "warm start 3")]
    assert [s.candidate.program for s in ledger.settled[1:3]] == list(FURTHER)
    assert all(s.candidate.parent is not None for s in ledger.settled[3:])
    assert any(s.candidate.parent in (1, 2) for s in ledger.settled[3:]), "they have children"


@pytest.mark.parametrize("stop", [1, 2, 5, 12])
def test_a_search_with_them_resumes_as_if_undisturbed(stop: int) -> None:
    whole = make_evolution(further=FURTHER)
    Session(whole, MadeUpEvaluator(3, 1), Ledger()).run()
    part, turns = Ledger(), iter([False] * stop + [True])
    Session(make_evolution(further=FURTHER), MadeUpEvaluator(2, 2), part).run(should_stop=lambda: next(turns))
    again = make_evolution(part.history(36), further=FURTHER)
    Session(again, MadeUpEvaluator(1, 1), part).run()
    assert (again.progress, again.population_digest()) == (whole.progress, whole.population_digest())


def test_a_list_in_a_campaign() -> None:
    config = load_campaign(TEXT, "c.yaml")
    assert (config.warm_start, config.further_warm_starts) == ("adamw", ["lion", "sgd"])
    assert config.further_starts("evolution") == list(FURTHER)
    assert config.further_starts("random") == []
    assert [len(program.body) - 1 for program in config.further_starts("schedule")] == [len(p.body) for p in FURTHER]
    assert CampaignConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("warm_start=[]", "warm_start is an empty list"),
        ("warm_start=[adamw, lino]", "unknown library program 'lino'; did you mean 'lion'"),
        ("further_warm_starts=[lion]", "leave further_warm_starts out"),
        ("warm_start=[3]", "warm_start"),
    ],
)
def test_faults(setting: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_campaign(TEXT, "c.yaml", [setting])
    assert says in str(caught.value)
