"""`evaluate --shared --sensitivity`, and loss against tuning budget: recorded once, shown alike everywhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from made_up_run import made_up_run
from made_up_selection import train
from report_page import Reader

from optsearch.dsl.dataflow import prune
from optsearch.proxy_tasks.registry import get_task
from optsearch.runs.report.html import Report, read_report, to_html
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.evaluation_json import decode_evaluation, encode_evaluation
from optsearch.selection.tuning.rate_sensitivity import FACTORS
from optsearch.selection.tuning.tuner import TuningBudget
from optsearch.simplify.distil import Distilled

TASKS = ["--task", "digits", "--task", "teach"]
OPTIONS = ["--seeds", "2", "--replicates", "2", "--tune", "6", "--baseline", "lion", "--workers", "0"]
BOTH = ["--shared", "--sensitivity"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    made_up_run(folder, programs=40)
    return folder


@pytest.fixture(autouse=True)
def _synthetic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    monkeypatch.setattr("optsearch.runs.report.section.distilled", lambda program: Distilled(prune(program), None, ()))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "one")
    return tmp_path / "one"


def evaluations(folder: Path) -> list[dict[str, Any]]:
    with RunStore.read(folder) as store:
        return [dict(study.stages[0].result["evaluation"]) for study in store.studies()]


def shown(folder: Path) -> tuple[str, dict[str, Any], Report]:
    report = read_report([folder])
    return " ".join(Reader(to_html(report)).text.split()), {c.name: c for c in report.all_charts()}, report


def test_the_planned_runs_are_made_once(folder: Path, optsearch: Command) -> None:
    command = ["evaluate", f"{folder}:best", *TASKS, *OPTIONS]
    for options in ([], ["--shared"], ["--sensitivity"], BOTH):
        first = optsearch(*command, *options)
        assert first.code == 0, first.err
        expected = 2 * 2 * 2 * (TuningBudget(6).runs + 2 + len(FACTORS) * ("--sensitivity" in options))
        said = " ".join(first.err.split())
        assert f"{expected:,} training runs: for each of 4 pairs of contender and task" in said
        assert f"{expected} of {expected} training runs" in said
        assert ("(one setting for all tasks)" in said) == ("--shared" in options)
        assert ("7 at multiples of the tuned rate" in said) == ("--sensitivity" in options)
        again = optsearch(*command, *options, "--json").json()
        assert (again["trained_runs"], again["shared"]) == (0, "--shared" in options)
    recorded = evaluations(folder)
    assert [(row["shared"], bool(row["rate_runs"])) for row in recorded] == [
        (False, False), (True, False), (False, True), (True, True)
    ]  # fmt: skip


def test_sensitivity_is_no_further_look_at_the_fresh_seeds(folder: Path, optsearch: Command) -> None:
    command = ["evaluate", "sgd", *TASKS, *OPTIONS]
    for options, looks in (([], 0), (["--sensitivity"], 0), (["--shared"], 1)):
        found = optsearch(*command, *options, "--json").json()["looks"]["sgd"]
        assert set(found.values()) == {looks}, options


def test_json_terminal_and_report_show_the_same(folder: Path, optsearch: Command) -> None:
    command = ["evaluate", f"{folder}:best", *TASKS, *OPTIONS, *BOTH]
    terminal = " ".join(optsearch(*command).out.split())
    found = optsearch(*command, "--json").json()
    text, charts, _ = shown(folder)
    assert "Every contender was tuned 2 times to one setting for all tasks, with 6 trials" in terminal
    assert "2 tunings of 6 trials for each contender to one setting for all tasks, 2 fresh seeds each" in text
    assert "within 5 % of the best" not in terminal, "the rate alone was varied"
    for contender in found["contenders"]:
        values = [row["values"] for row in found["tuning"] if row["contender"] == contender and not row["replicate"]]
        assert values[0] == values[1]
    names = {one: ("1/" if one < 1 else "") + f"{one if one >= 1 else 1 / one:g}" for one in FACTORS}
    for row in found["rate_sensitivity"]:
        runs = [run for run in found["rate_runs"] if (run["task"], run["contender"]) == (row["task"], row["contender"])]
        assert [run["factor"] for run in runs] == [*FACTORS] * 2
        means = {one["factor"]: one["loss"]["mean"] for one in row["losses"] if one["loss"]}
        for factor, mean in means.items():
            losses = [run["loss"] for run in runs if run["factor"] == factor and run["loss"] is not None]
            assert mean == pytest.approx(sum(losses) / len(losses))
        drawn = [r for r in charts[f"selection1-1-evaluation-{row['task']}-rate-sensitivity"].rows
                 if r["contender"] == row["contender"]]  # fmt: skip
        assert {r["factor"]: r["loss"] for r in drawn} == means
        if row["good_factors"]:
            low, high = (names[factor] for factor in row["good_factors"])
            assert f"{low} to {high} {row['width']:g} x" in terminal
            assert f"{low} to {high}{row['width']:g} x" in text
    assert "on digits, teach, one setting for all tasks, 2 tunings" in " ".join(
        optsearch("show", str(folder)).out.split()
    )
    assert "Validation loss at multiples of the tuned rate, all else fixed" in terminal
    assert "Loss at multiples of the tuned rate, all else fixed" in text
    for row in found["tuning_curves"]:
        drawn = [r for r in charts[f"selection1-1-evaluation-{row['task']}-tuning-curve"].rows
                 if r["contender"] == row["contender"]]  # fmt: skip
        points = [(n, loss["mean"]) for n, loss in enumerate(row["losses"], start=1) if loss is not None]
        assert [(r["trials"], r["loss"]) for r in drawn] == points
        if row["losses"][-1] is not None:
            assert f"{row['losses'][-1]['mean']:.5f} [" in terminal
    assert re.search(r"contender 2 trials 3 trials 6 trials", terminal)


def test_records_of_earlier_releases_still_open(folder: Path, optsearch: Command) -> None:
    command = ["evaluate", f"{folder}:best", *TASKS, *OPTIONS]
    assert optsearch(*command).code == 0
    (found,) = evaluations(folder)
    new = ("shared", "tuning_curves", "rate_runs", "rate_sensitivity")
    old = {key: value for key, value in found.items() if key not in new}
    without = [{key: v for key, v in row.items() if key != "objective"} for row in old["tuning"]]
    old["tuning"] = [
        row | {"trials": [{k: trial[k] for k in ("values", "losses")} for trial in row["trials"]]} for row in without
    ]
    read = encode_evaluation(decode_evaluation(old))
    assert {key: read[key] for key in new} == {key: found[key] for key in new}
    with RunStore.amend(folder, {}) as store:
        study = store.studies()[0]
        number = store.add_study({**study.settings, "runs": ["another"]})
        store.add_stage(number, "evaluation", {**study.stages[0].result, "evaluation": old})
        store.finish_study(number)
    _, charts, _ = shown(folder)
    assert charts["selection2-1-evaluation-digits-tuning-curve"].rows
    assert "selection2-1-evaluation-digits-rate-sensitivity" not in charts
    assert optsearch("show", str(folder)).code == 0


@pytest.mark.parametrize(
    ("options", "trivial", "says"),
    [
        ([], None, "task 'teach': one setting for all tasks (--shared) needs a trivial loss above 0"),
        ([], 0.0, "this task has 0: declare `trivial_loss` in the task, leave it out, or tune each task by itself"),
        (["--tune", "0"], 1.0, "nothing is tuned without trials: use at least one trial (--tune 1)"),
    ],
)
def test_what_cannot_be_shared_is_said_before_any_training(
    options: list[str], trivial: float | None, says: str, optsearch: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(get_task("teach")), "trivial_loss", trivial)
    found = optsearch("evaluate", "lion", *TASKS, *OPTIONS, "--shared", *options)
    assert found.code == 2
    assert says in " ".join(found.err.split())
    assert "training runs:" not in found.err
