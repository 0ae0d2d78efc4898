"""A program scored at a different learning rate keeps that rate in all later stages."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import SMALL, Command

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.rate import at_rate
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.trainer import Trainer
from optsearch.runs.commands.entrants import candidates
from optsearch.runs.library.references import load_program
from optsearch.runs.store.writer import RunStore
from optsearch.selection.funnel import CandidatesConfig

SWEPT = [
    "budget.programs=4",
    "rate_sweep={factors: [0.3, 3], within: 1}",
    "controls=[]",
    "finalists={count: 1, seeds: 1}",
]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from optsearch.runs.commands.search import Campaign, load_named

    folder = tmp_path_factory.mktemp("runs") / "swept"
    config, text = load_named("quickstart", [*SMALL[3::2], *SWEPT])
    Campaign(config, text, folder).run(workers=0, quiet=True)
    return folder


def loss(program: Program) -> float:
    result = Trainer(get_task("ae")).run(program, 0)
    assert result.loss is not None
    return result.loss


def test_what_leaves_a_run_is_what_was_scored(swept: Path, optsearch: Command) -> None:
    view = optsearch("show", f"{swept}:0", "--json").json()
    assert view["rate"] in (0.3, 3.0)
    assert parse(view["text"]) == LIBRARY["adamw"], "what the search recorded stays as it is"
    scored = parse(view["pruned"])
    assert scored == at_rate(LIBRARY["adamw"], view["rate"])
    assert len(scored.body) == len(LIBRARY["adamw"].body), "the rate goes into the constant that is there"
    assert loss(scored) == pytest.approx(view["fitness"], rel=1e-3)
    assert abs(loss(LIBRARY["adamw"]) - view["fitness"]) > 0.01
    assert load_program(f"{swept}:0").program == scored
    assert parse(optsearch("simplify", f"{swept}:0", "--steps", "prune", "--json").json()["text"]) == scored
    for form in ("optax", "torch", "latex", "pseudocode", "json"):
        said = " ".join(optsearch("export", f"{swept}:0", "--to", form).out.split())
        assert f"{view['rate']:g} times that of the program as recorded" in said
        assert f"fingerprint {fingerprint(scored)}" in said


def test_it_is_said_in_words(swept: Path, optsearch: Command) -> None:
    said = " ".join(optsearch("show", f"{swept}:0").out.split())
    assert "Dead statements pruned, at the learning rate of its evaluation," in said
    assert "`export` writes the program with this rate" in said


def test_a_funnel_begins_with_what_was_scored(swept: Path) -> None:
    with RunStore.read(swept) as store:
        found = candidates([store], CandidatesConfig(distance=0.0)).entrants
        for candidate in found:
            _, _, name = candidate.name.rpartition(":")
            settled = store.ticket(*store.find(name))
            assert candidate.program == settled.scored
            assert candidate.fingerprint == fingerprint(settled.scored)
        assert any(store.ticket(*store.find(c.name.rpartition(":")[2])).fitness.rate != 1.0 for c in found)
