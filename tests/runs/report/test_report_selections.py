"""The report shows funnels and evaluations as recorded, for every state of the run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from made_up_selection import STEPS, select, selected_run, train
from report_page import PLANTED, Reader

from optsearch import load
from optsearch.dsl.dataflow import prune
from optsearch.runs.report.html import Report, read_report, to_html
from optsearch.runs.report.render import to_svg
from optsearch.runs.report.selection_charts import span_of, tuning_span
from optsearch.runs.report.selections import shown_selections
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.held_out import tasks_chosen_on
from optsearch.selection.comparison.step_time import StepTime
from optsearch.selection.contender import Contender
from optsearch.simplify.distil import Distilled


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return selected_run(tmp_path_factory.mktemp("runs") / "one")


@pytest.fixture(scope="module")
def report(selected: Path) -> Report:
    return read_report([selected])


@pytest.fixture(autouse=True)
def _undistilled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optsearch.runs.report.section.distilled", lambda program: Distilled(prune(program), None, ()))


def recorded(folder: Path) -> list[dict[str, Any]]:
    with RunStore.read(folder) as store:
        return [dict(stage.result) for stage in store.studies()[0].stages]


def test_a_funnel_says_who_passed_who_fell_why_and_what_it_cost(selected: Path, report: Report) -> None:
    text = " ".join(Reader(to_html(report)).text.split())
    stages = recorded(selected)
    for place, stage in enumerate(stages, start=1):
        method = (
            "untuned, 4 fresh seeds" if place == 1 else "2 tunings of 6 trials for each contender, 5 fresh seeds each"
        )
        assert f"Stage {place}, {stage['name']}: {', '.join(stage['tasks'])}, {method}" in text
        assert f"{stage['cost']['runs']:,}" in text
        for row in stage["verdicts"]:
            fate = "baseline" if row["baseline"] else "passed" if row["passed"] else "fell"
            assert f"{row['contender']}{fate}" in text
            assert row["why"] in text
    assert f"{stages[1]['rank_correlation']['tau']:+.2f} of {stages[1]['rank_correlation']['programs']}" in text
    left = [row["contender"] for row in stages[1]["verdicts"] if row["passed"]]
    assert f"Of 5 programs {len(left)} " in text
    assert f"left after 2 stages: {', '.join(left)}." in text
    for row in stages[1]["evaluation"]["comparisons"]:
        if row["contender"] in left:
            assert f"On {row['task']}, {row['contender']} " in text


def test_every_contender_has_its_losses_curves_and_maps(selected: Path, report: Report) -> None:
    charts = {chart.name: chart for chart in report.all_charts()}
    assert len(charts) == len(report.all_charts())
    assert set(charts) <= set(Reader(to_html(report)).specs())
    evaluation = recorded(selected)[1]["evaluation"]
    assert len(evaluation["contenders"]) == 5
    for task in evaluation["tasks"]:
        points = [row for row in charts[f"selection1-2-larger-{task}-losses"].rows if row["part"] == "point"]
        mine = [row for row in evaluation["estimates"] if row["task"] == task]
        assert sorted(row["loss"] for row in points) == sorted(
            loss for row in mine for loss in row["replicates"] if loss is not None
        ), "a point for each replicate"
        curves = charts[f"selection1-2-larger-{task}-learning-curves"].rows
        assert {(row["contender"], row["step"]) for row in curves} == {
            (name, step) for name in evaluation["contenders"] for step in evaluation["checkpoints"][0][:STEPS]
        } or task == "teach"
        assert all(row["low"] is None or row["low"] <= row["loss"] <= row["high"] for row in curves)
        validated = charts[f"selection1-2-larger-{task}-validation-curves"].rows
        means = {(row["contender"], row["step"]): row["loss"] for row in validated}
        assert set(means) == {(row["contender"], row["step"]) for row in curves if row["loss"] != 1.2}
        assert all(means[row["contender"], row["step"]] < row["loss"] for row in curves if row["loss"] != 1.2), (
            "the losses of another split"
        )
        for contender in evaluation["contenders"]:
            tunings = [r for r in evaluation["tuning"] if (r["task"], r["contender"]) == (task, contender)]
            name = f"selection1-2-larger-{task}-heat-map-{contender.replace(':', '-')}"
            rows = charts[name].rows if name in charts else ()  # without weight decay there is none
            parts = [row["part"] for row in rows]
            cells = {(c["rate"], c["decay"]) for row in tunings for c in row["sensitivity"]["heat_map"]}
            assert parts.count("cell") == len(cells)
            assert parts.count("trial") == (sum(len(row["trials"]) for row in tunings) if rows else 0)
            assert sum(row.get("chosen", False) for row in rows) >= bool(rows), "the own settings may be the best twice"
            rates = charts[f"selection1-2-larger-{task}-sensitivity"].rows
            own = [row["rate"] for row in rates if row["contender"] == contender]
            known = {c["rate"] for row in tunings for c in row["sensitivity"]["curve"] if c["loss"] is not None}
            assert own == sorted(known), "the replicates together"
    ranks = charts["selection1-funnel"].rows
    assert [row["stage"] for row in ranks] == ["search"] * 5 + ["fresh"] * 5 + ["larger"] * 3
    assert [row["last"] for row in ranks].count("fell") == 4


def test_times_to_a_training_loss_of_earlier_releases_keep_that_name(selected: Path, tmp_path: Path) -> None:
    with RunStore.read(selected) as store:
        study = store.studies()[0]
        (now,) = shown_selections(store)
    folder = shutil.copytree(selected, tmp_path / "old")
    with RunStore.amend(folder, {}) as store:
        number = store.add_study({**study.settings, "runs": ["old"]})
        for stage in study.stages:
            evaluation = {key: value for key, value in stage.result["evaluation"].items() if key != "target"}
            evaluation["rows"] = [
                {key: value for key, value in row.items() if key != "validation_losses"} for row in evaluation["rows"]
            ]
            store.add_stage(number, stage.name, {**stage.result, "evaluation": evaluation})
        store.finish_study(number)
    with RunStore.read(folder) as store:
        _, old = shown_selections(store)
    assert [stage.evaluation.target for stage in now.stages] == ["validation loss"] * 2
    assert [stage.evaluation.target for stage in old.stages] == ["training loss"] * 2
    assert [stage.overall for stage in old.stages] == [stage.overall for stage in now.stages]
    assert sum("validation-curves" in chart.name for chart in now.charts()) == 3
    assert not any("validation-curves" in chart.name for chart in old.charts())
    text = " ".join(Reader(to_html(read_report([folder]))).text.split())
    assert "'s training loss" in text
    assert "'s validation loss" in text


def test_a_notebook_has_their_tables(selected: Path) -> None:
    run, stages = load(selected), recorded(selected)
    verdicts = run.table("verdicts", "rows")
    assert [row["contender"] for row in verdicts] == [row["contender"] for s in stages for row in s["verdicts"]]
    assert {row["stage"] for row in verdicts} == {"fresh", "larger"}
    assert all(row["loss_digits"] is not None for row in verdicts if row["stage"] == "larger")
    trials = run.table("trials", "rows")
    assert len(trials) == sum(len(entry["trials"]) for entry in stages[1]["evaluation"]["tuning"])
    assert {"rate", "loss", "seeds"} <= set(trials[0])
    assert len(run.table("fresh_runs", "rows")) == sum(len(stage["evaluation"]["rows"]) for stage in stages)
    assert "selection1-funnel" in run.charts


def test_images_have_safe_names(report: Report) -> None:
    charts = {chart.name: chart for chart in report.all_charts()}
    assert not [name for name in charts if "/" in name or ":" in name or name.startswith(".")]
    drawn = to_svg(next(chart for name, chart in charts.items() if "heat-map-lion" in name))
    assert "weight decay" in drawn
    assert "learning rate" in drawn


def test_planted_scripts_and_paths_stay_text(selected: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(selected, folder)
    with RunStore.read(selected) as store:
        study = store.studies()[0]
    nasty = json.dumps(PLANTED)[1:-1] + "../../"
    names = [candidate["name"] for candidate in study.settings["candidates"]] + ["larger", "made-up", "digits"]

    def planted(value: Any) -> Any:
        text = json.dumps(value)
        for name in names:
            text = text.replace(json.dumps(name), f'"{nasty}{name}"')
        return json.loads(text)

    with RunStore.amend(folder, {}) as store:
        number = store.add_study(planted(dict(study.settings)))
        for stage in study.stages:
            store.add_stage(number, planted(stage.name), planted(dict(stage.result)))
        store.finish_study(number)
    report = read_report([folder])
    page = Reader(to_html(report))
    assert page.text.count(PLANTED) > 20
    assert len(page.scripts) == 3
    assert "<script>alert" not in to_html(report)
    assert not [chart.name for chart in report.all_charts() if "/" in chart.name or "<" in chart.name]
    assert len({chart.name for chart in report.all_charts()}) == len(report.all_charts())


@pytest.mark.parametrize("ended", [0, 1])
def test_a_selection_that_goes_on_shows_what_has_ended(selected: Path, tmp_path: Path, ended: int) -> None:
    folder = tmp_path / "run"
    shutil.copytree(selected, folder)
    with RunStore.read(selected) as store:
        study = store.studies()[0]
    with RunStore.amend(folder, {}) as store:
        number = store.add_study({**study.settings, "runs": ["another"]})
        for stage in study.stages[:ended]:
            store.add_stage(number, stage.name, stage.result)
    text = " ".join(Reader(to_html(read_report([folder]))).text.split())
    assert "running, still to come: " + ("fresh, larger" if ended == 0 else "larger") in text
    assert ("No stage has ended yet." if ended == 0 else "are left after 1 stage so far") in text


def test_a_selection_over_several_runs_stands_once(
    selected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optsearch.runs.report.html.without_copies", list)
    shutil.copytree(selected, tmp_path / "two")
    found = read_report([selected, tmp_path / "two"])
    assert [len(run.selections) for run in found.runs] == [1, 0]
    assert "run1-selection1-funnel" in {chart.name for chart in found.all_charts()}


def test_an_evaluation_is_recorded_once_and_chooses_nobody(
    selected: Path, tmp_path: Path, optsearch: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "one"
    shutil.copytree(selected, folder)
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    monkeypatch.chdir(tmp_path)
    command = [
        "evaluate",
        f"{folder}:best",
        "lion",
        "--task",
        "digits",
        "--seeds",
        "3",
        "--tune",
        "2",
        "--workers",
        "0",
    ]
    with RunStore.read(folder) as store:
        before = tasks_chosen_on(store)
    first = optsearch(*command)
    assert first.code == 0, first.err
    assert optsearch(*command, "--json").json()["trained_runs"] == 0
    with RunStore.read(folder) as store:
        assert tasks_chosen_on(store) == before
        funnel, evaluation = shown_selections(store)
        assert store.verify_records()["stages"] == 3
    assert (funnel.record.name, evaluation.record.funnel, evaluation.record.status) == ("made-up", None, "finished")
    assert [stage.record.tasks for stage in evaluation.stages] == [("digits",)]
    text = " ".join(Reader(to_html(read_report([folder]))).text.split())
    assert "Evaluation 2 on digits" in text
    assert "Programs against baselines, 4 comparisons on single tasks:" in text
    with RunStore.amend(folder, {}):
        said = optsearch(*command, "--seeds", "4")
    assert said.code == 0
    assert "Not recorded in" in said.err


def test_step_times_are_recorded_and_shown(
    selected: Path, tmp_path: Path, optsearch: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "one"
    shutil.copytree(selected, folder)
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)

    def measured(contenders: list[Contender], *_: object) -> tuple[StepTime, ...]:
        found, failed = (0.5, 1.25, 1.125, 1.375), (None,) * 4
        return tuple(StepTime("digits", c.name, *(failed if c.is_baseline else found), 300, 7) for c in contenders)

    monkeypatch.setattr("optsearch.runs.commands.timing.step_times", measured)
    monkeypatch.chdir(tmp_path)
    command = ["evaluate", f"{folder}:best", "--task", "digits", "--seeds", "3", "--tune", "2", "--workers", "0"]
    assert optsearch(*command).code == optsearch(*command, "--time").code == optsearch(*command, "--time").code == 0
    with RunStore.read(folder) as store:
        _, bare, timed = shown_selections(store)
    assert not bare.stages[0].evaluation.step_times
    assert [row.milliseconds for row in timed.stages[0].evaluation.step_times] == [0.5, None, None]
    text = Reader(to_html(read_report([folder]))).text
    assert text.count("Wall-clock time of a compiled training step") == 1
    assert "0.51.25[1.12, 1.38]" in text


def test_the_same_funnel_again_adds_nothing(selected: Path) -> None:
    before = recorded(selected)
    assert select(selected).trained == 0
    assert recorded(selected) == before


def test_a_few_large_losses_do_not_squeeze_the_others() -> None:
    assert span_of([0.5, 0.6, 0.7]) == (0.5, 0.7)
    assert span_of([0.5, 0.5, 0.6, 0.6, 99.0]) == pytest.approx((0.5, 1.0))
    assert span_of([]) == (0.0, 1.0)
    low, high = tuning_span({"mine": [0.5, 0.51, 99.0], "theirs": [2.0, 50.0]})
    assert low == 0.5
    assert 2.0 < high < 50.0
