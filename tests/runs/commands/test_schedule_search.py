"""A schedule search has a free power of the learning rate, for every initial program."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from made_up_run import made_up_run

from optsearch.dsl.program import Program, Statement
from optsearch.dsl.syntax import parse
from optsearch.runs.commands.verify import verify_run
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.searches import best_of_first_stage
from optsearch.search.config import CampaignConfig


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stage = "first_stage={searches: 1, budget: {programs: 30}}"
    folder = tmp_path_factory.mktemp("runs") / "staged"
    return made_up_run(folder, "algorithm=schedule", stage, "controls=[]", programs=40)


def test_it_frees_the_power_of_what_the_first_stage_found(staged: Path) -> None:
    with RunStore.read(staged) as store:
        search, found = store.search("search"), best_of_first_stage(store)
        assert found is not None
        program = store.ticket(found[0], found[1].ticket).scored
        start = store.ticket(search, 0)
        assert start.candidate.program == Program(program.state, (Statement("lr", "power", ("lr", 1.0)), *program.body))
        assert start.candidate.fingerprint == found[1].fingerprint, "the power 1 changes nothing"
        powers = {item.candidate.program.body[0].args[1] for item in store.population(search, 20)}
        assert len(powers) > 3, "it is tuned"


def test_its_history_verifies(staged: Path) -> None:
    checks = list(islice(verify_run(staged, 0), 3))
    assert [(check.name, check.agrees) for check in checks[1:]] == [
        ("history of first-1", True),
        ("history of search", True),
    ]


def test_without_a_first_stage_it_is_the_warm_start_s_power() -> None:
    settings = {"name": "s", "task": "ae", "budget": {"programs": 3}}
    config = CampaignConfig.model_validate(settings)
    assert config.start("schedule").body[1:] == config.warm_start_program.body
    other = parse("def train(w, g, lr):\n  update = g * lr\n  return update\n")
    assert config.start("schedule", other).body == (Statement("lr", "power", ("lr", 1.0)), *other.body)
    assert config.start("evolution", other) == other
