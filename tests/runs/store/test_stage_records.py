"""Recorded stages are decoded to the values that were recorded, whichever release recorded them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from made_up_run import made_up_run
from made_up_selection import select, train

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.outcome import Outcome
from optsearch.runs.store.errors import DamagedRunError
from optsearch.runs.store.reader import RUN_FILE
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.evaluation_json import decode_evaluation, encode_evaluation
from optsearch.runs.summary.selections import read_selection, read_selections
from optsearch.runs.summary.stage_record import StageRecord, TrainingCost, decode_stage, encode_stage
from optsearch.search.pool import Here
from optsearch.selection.comparison.comparison import UNREPLICATED
from optsearch.selection.comparison.evaluate import evaluate
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.comparison.settings import EvaluationSettings
from optsearch.selection.comparison.step_time import StepTime
from optsearch.selection.contender import Contender

GOLDEN = Path(__file__).parent / "golden" / "version-3.sqlite"

PROGRAMS = [Contender(name, LIBRARY[name]) for name in ("sgd", "lion-raw")]
SETTINGS = EvaluationSettings(
    ("digits", "teach"), 3, ("adamw", "clipped", "lion"), trials=6, replicates=2, spaces=("beta=0:0.9999",)
)


def measured(settings: EvaluationSettings) -> Evaluation:
    found = evaluate(
        [*PROGRAMS, *settings.opponents],
        settings.problems,
        settings.fresh_seeds,
        budget=settings.budget,
        shared=settings.shared,
        sensitivity=settings.sensitivity,
        pool=Here(train),
    )
    if not settings.timed:
        return found
    times = (
        StepTime("digits", "sgd", 0.5, 1.25, 1.125, 1.375, 300, 7),
        StepTime("digits", "lion", *[None] * 4, 300, 7),
    )
    return replace(found, step_times=times)


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        replace(SETTINGS, replicates=1),
        replace(SETTINGS, trials=0),
        replace(SETTINGS, shared=True, sensitivity=True),
        replace(SETTINGS, sensitivity=True, timed=True, batches=(16,), constants=False),
    ],
)
def test_an_evaluation_is_what_its_json_says(settings: EvaluationSettings) -> None:
    evaluation = measured(settings)
    assert settings.batches or any(row.outcome != Outcome.OK.value for row in evaluation.rows)
    text = json.dumps(encode_evaluation(evaluation), allow_nan=False)
    assert decode_evaluation(json.loads(text)) == evaluation
    stage = StageRecord("evaluation", (), TrainingCost(3, 900, 0.5), None, None, evaluation)
    assert decode_stage(json.loads(json.dumps(encode_stage(stage), allow_nan=False))) == stage


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    made_up_run(folder, programs=60)
    select(folder)
    return folder


def test_a_stage_is_what_was_recorded(selected: Path) -> None:
    result = select(selected)
    with RunStore.read(selected) as store:
        (study,) = store.studies()
        assert read_selections(store) == [result.selection] == [read_selection(store, 1)]
    for stage, recorded in zip(result.selection.stages, study.stages, strict=True):
        assert encode_stage(stage) == recorded.result
        assert decode_stage(encode_stage(stage)) == stage
    fresh, larger = result.selection.stages
    assert fresh.bias is not None
    assert (larger.bias, larger.rank_correlation is None) == (None, False)
    assert result.selection.survivors == larger.passed


def test_an_early_release_tuned_once_and_compared_no_optimizers(tmp_path: Path) -> None:
    shutil.copy(GOLDEN, tmp_path / RUN_FILE)
    with RunStore.read(tmp_path) as store:
        (study,) = store.studies()
        (found,) = read_selections(store)
    assert (found.name, found.status, len(found.stages)) == ("tiny", "finished", 2)
    for stage, recorded in zip(found.stages, study.stages, strict=True):
        encoded, now, was = encode_stage(stage), stage.evaluation, recorded.result["evaluation"]
        assert decode_stage(encoded) == stage
        assert {k: v for k, v in encoded.items() if k != "evaluation"} == {
            k: v for k, v in recorded.result.items() if k != "evaluation"
        }
        kept = without_upgrades(encoded["evaluation"], was)
        unknown = {"verdict": UNREPLICATED, "p_value": None, "corrected": None, "detectable": None}
        assert kept == was | {
            "budget": was["budget"] | {"seeds": len(was["budget"]["seeds"])},
            "comparisons": [row | unknown for row in was["comparisons"]],
        }
        assert (now.replicates, now.shared, now.target, now.families) == (1, False, "training loss", ())
        assert {row.verdict for row in now.comparisons} <= {UNREPLICATED}
        assert len(now.tuning_curves) == (len(now.contenders) if now.budget.trials else 0)
        assert all(entry.tuned.objective == entry.tuned.loss for entry in now.tuning)


def without_upgrades(values: Any, was: Any) -> Any:
    """The parts of a JSON value that an earlier release recorded too."""
    if isinstance(values, dict) and isinstance(was, dict):
        return {key: without_upgrades(value, was[key]) for key, value in values.items() if key in was}
    if isinstance(values, list) and isinstance(was, list) and len(values) == len(was):
        return [without_upgrades(*both) for both in zip(values, was, strict=True)]
    return values


def place(*keys: str | int) -> Callable[[Any, Any], None]:
    """Replaces a part of a JSON value."""

    def change(values: Any, value: Any) -> None:
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "value", "says"),
    [
        (place("evaluation", "rows", 0, "steps"), "many", "evaluation: rows.0.steps: Input should be a valid integer"),
        (place("evaluation", "rows", 0, "values"), 3, "evaluation: rows.0.values: Input should be a valid"),
        (place("evaluation", "rows"), {}, "evaluation: rows: Input should be a valid"),
        (place("evaluation", "rows"), [7], "evaluation: rows.0: Input should be"),
        (place("evaluation", "tuning", 0, "trials"), None, "evaluation: tuning.0.tuned.trials: Input should be"),
        (place("evaluation", "tuning", 0, "trials", 0, "losses"), [], "evaluation: trials: does not fit"),
        (place("evaluation", "tuning", 0, "values"), {}, "evaluation: values: does not fit"),
        (place("evaluation", "estimates", 0, "contender"), "unknown", "evaluation: estimates: does not fit"),
        (place("evaluation", "overall"), [], "evaluation: overall: does not fit"),
        (place("evaluation", "reference"), "unknown", "evaluation: reference: does not fit"),
        (place("evaluation", "budget"), None, "evaluation: budget: Input should be"),
        (place("tasks"), ["digits"], "the tasks and seeds are not those of the evaluation"),
        (place("verdicts", 0, "contender"), "unknown", "verdicts: the programs are not those of the evaluation"),
        (place("verdicts", 0, "losses"), {}, "verdicts: a loss is missing"),
        (place("verdicts", 0, "failed"), [], "verdicts.0.failed: Input should be a valid integer"),
    ],
)
def test_a_damaged_stage_is_named(
    change: Callable[[Any, Any], None], value: Any, says: str, selected: Path, tmp_path: Path, optsearch: Command
) -> None:
    folder = Path(shutil.copytree(selected, tmp_path / "one"))
    with RunStore.read(folder) as store:
        study = store.studies()[0]
    stage = json.loads(json.dumps(study.stages[1].result))
    change(stage, value)
    with RunStore.amend(folder, {}) as store:
        store.add_study({**study.settings, "runs": ["another"]})
        store.add_stage(2, "larger", stage)
    with RunStore.read(folder) as store, pytest.raises(DamagedRunError, match="table stages: record"):
        read_selections(store)
    for command in (["show", folder], ["report", folder, "--out", tmp_path / "r.html"]):
        said = optsearch(*command)
        assert said.code == 1
        assert f"table stages: record (2) is not what it must be: {says}" in said.err
