"""The complete distillation, without training."""

from __future__ import annotations

import json

import pytest
from made_up_training import ended

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.run import Trained
from optsearch.search.pool import Here
from optsearch.simplify.ablation.ablate import EvolutionBudget
from optsearch.simplify.ablation.trial import Panel, Training
from optsearch.simplify.distil import distil


def test_steps_are_recorded_and_are_plain_values() -> None:
    result = distil(LIBRARY["lion-raw"], ("prune", "rewrite"))
    values = json.loads(json.dumps(result.as_values(), allow_nan=False))
    assert values["statements"] == len(result.program.body) == 9
    assert values["state"] == ["m"]
    assert values["recognised"]["name"] == "lion"
    assert values["recognised"]["constants"]["beta2"] == pytest.approx(0.9982197)
    assert [step["step"] for step in values["steps"]] == ["prune", "rewrite"]
    assert values["steps"][0]["exact"] == "exact"
    assert parse(values["text"]) == result.program


def test_pruning_alone_keeps_the_text() -> None:
    result = distil(LIBRARY["lion-raw"], ("prune",))
    assert result.statements == 12
    assert len(result.steps) == 1


def test_unknown_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown step 'polish': the steps are prune, rewrite, ablate"):
        distil(LIBRARY["lion"], ("polish",))  # pyright: ignore[reportArgumentType]


def test_ablation_needs_a_task() -> None:
    with pytest.raises(ValueError, match="at least one task"):
        distil(LIBRARY["lion"], panel=Panel(()))


def test_what_training_tells_apart_is_not_kept() -> None:
    def misses_division(job: Training) -> Trained:
        return ended(1.0 if " / " in str(job.program) else 2.0)

    program = parse(
        "def train(w, g, lr):\n  size = g * g\n  size = sqrt(size)\n  update = g / size\n"
        "  update = update * lr\n  return update\n"
    )
    assert len(distil(program, ("rewrite",)).program.body) == 2
    result = distil(program, panel=Panel(("made up",), Here(misses_division)), evolution=EvolutionBudget(evaluations=0))
    assert any(s.function == "divide" for s in result.program.body)
    given_up = next(step for step in result.steps if "given up" in step.what)
    assert given_up.step == "rewrite"
    assert result.steps[1].cost == pytest.approx(1.0)


def test_the_record_names_statements_and_rules() -> None:
    words = "\n".join(map(str, distil(LIBRARY["lion-raw"], ("prune", "rewrite")).steps))
    assert "statement 3: v845 = sqrt(0.6270633339881897)" in words
    assert "interp of interp" in words
