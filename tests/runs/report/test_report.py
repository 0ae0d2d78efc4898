"""The report contains all content of the run in one self-contained file, for every state of the run."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_line import Command
from made_up_run import made_up_run
from report_page import PLANTED, Reader

from optsearch.dsl.dataflow import prune
from optsearch.dsl.syntax import parse
from optsearch.runs.library.references import run_folders
from optsearch.runs.report.explain import influence_marks
from optsearch.runs.report.findings import read_findings
from optsearch.runs.report.html import read_report, to_html
from optsearch.runs.report.render import library
from optsearch.runs.report.section import read_section
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.front import front
from optsearch.runs.summary.history import (
    VERDICTS,
    best_so_far,
    evaluated_points,
    mutation_statistics,
    over_time,
    read_history,
)
from optsearch.runs.summary.lineage import difference, family_tree, line_of
from optsearch.search.config import CampaignConfig, load_campaign
from optsearch.simplify.behaviour.probes import noise_probe
from optsearch.simplify.behaviour.similarity import Influence
from optsearch.simplify.distil import Distilled


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_run(tmp_path_factory.mktemp("runs") / "one")


@pytest.fixture(scope="module")
def page(made_up: Path) -> str:
    return to_html(read_report([made_up]))


@pytest.fixture
def undistilled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the slow part of a page out: the machine that distils, which has tests of its own."""
    monkeypatch.setattr("optsearch.runs.report.section.distilled", lambda program: Distilled(prune(program), None, ()))


def test_a_page_is_whole_and_loads_nothing(page: str) -> None:
    read = Reader(page)
    assert read.open == []
    assert [name for name, attrs in read.tags if "src" in attrs] == []
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    links = [str(attrs["href"]) for _, attrs in read.tags if "href" in attrs]
    assert set(links) <= {f"#{name}" for name in ids}, "links lead to places of the page"
    assert len(ids) == len(set(ids))
    policy = next(attrs["content"] for _, attrs in read.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "eval" not in policy
    places = [attrs["data-chart"] for _, attrs in read.tags if "data-chart" in attrs]
    assert sorted(map(str, places)) == sorted(read.specs())
    assert len(page) - len(library()) < 1_000_000


def test_the_headline_says_what_was_found_and_how_sure(made_up: Path, page: str) -> None:
    text = Reader(page).text
    with RunStore.read(made_up) as store:
        best = read_findings(store, "one").view.best
    assert best is not None
    assert f"Program {best.id}, fitness {best.fitness:.5f}" in text
    assert text.count("95 % interval [") >= 2
    assert "adamw with tuned constants" in text
    for sentence in ("The update ", "On the right: how much", "bytes a parameter (AdamW 8)"):
        assert sentence in text


def test_charts_have_titles_units_legends_and_say_what_they_hide(page: str) -> None:
    specs = Reader(page).specs()
    expected = {"progress", "cache", "meta-validation", "finals", "outcomes", "mutations", "population", "lineage"}
    expected |= {
        "front",
        "family-tree",
        "scale",
        "evenness",
        "spectrum",
        "spike",
        "noise",
        "turn",
        "schedule",
        "stability",
    }
    assert expected == set(specs)
    for name, spec in specs.items():
        layers = spec.get("layer", [spec])
        for layer in layers:
            for channel in ("x", "y"):
                assert "title" in layer["encoding"][channel], (name, channel)
        assert any("tooltip" in layer["encoding"] for layer in layers), name
        assert spec["data"]["values"], name
    assert "more are not drawn" in Reader(page).text


def test_every_chart_has_an_alternative_text_that_tells_its_axes_and_series(page: str) -> None:
    read = Reader(page)
    labels = {attrs["data-chart"]: attrs["aria-label"] for _, attrs in read.tags if "data-chart" in attrs}
    assert labels.keys() == read.specs().keys()
    for name, spec in read.specs().items():
        words = str(labels[name])
        assert words == spec["description"]
        assert "X axis: " in words
        assert "Y axis: " in words
    rows = read.specs()["progress"]["data"]["values"]
    last = max(row["evaluations"] for row in rows)
    assert f"programs evaluated, from 0 to {last}" in str(labels["progress"])
    assert "Shown: search, adamw with tuned constants" in str(labels["progress"])


def test_progress_is_drawn_over_evaluations(made_up: Path, page: str) -> None:
    """The budget of a search and of its controls is the same number of evaluations, and not of programs."""
    with RunStore.read(made_up) as store:
        searches = {"search": store.search("search"), "adamw with tuned constants": store.search("control")}
        spent = {name: store.progress(search).evaluated for name, search in searches.items()}
        histories = {name: read_history(store, search) for name, search in searches.items()}
    spec = Reader(page).specs()["progress"]
    assert {part["encoding"]["x"]["field"] for part in spec["layer"]} == {"evaluations"}
    for name, count in spent.items():
        line = [row for row in spec["data"]["values"] if row["part"] == "line" and row["series"] == name]
        assert line[-1]["evaluations"] == count == histories[name].evaluations[-1]
        assert line[-1]["fitness"] == histories[name].best_by_evaluation[-1]


def test_the_page_begins_with_the_verdict_the_program_and_the_evidence(page: str) -> None:
    places = [page.index(part) for part in (
        'class="headline"', "<h3>Distilled", "optsearch export ", 'id="evidence"', 'id="search"', 'id="does"',
        'class="probes"', 'id="how"', 'id="programs"', 'id="reproduce"',
    )]  # fmt: skip
    assert places == sorted(places)
    assert '<details class="probes"><summary>' in page, "probes are folded"


def test_the_front_and_the_groups_hold_every_program_once(made_up: Path, page: str) -> None:
    with RunStore.read(made_up) as store:
        pareto, found = front(store), read_findings(store, "one")
    rows = Reader(page).specs()["front"]["data"]["values"]
    shown = [row for row in rows if row["part"] == "front"]
    drawn = [(row["program"], row["fitness"], row["statements"], row["arrays"]) for row in shown]
    assert drawn == [(one.id, one.fitness, one.size.statements, one.size.state) for one in pareto]
    groups = read_section(found, []).board
    members = [row for group in groups for row in (group.leader, *group.others)]
    assert sorted(row.ranked.id for row in members) == sorted(row.id for row in found.board)
    assert any(group.others for group in groups)
    (best,) = [row.ranked for row in members if row.ranked.best]
    assert found.view.best is not None
    assert best.id == found.view.best.id
    assert page.count('<span class="badge good">best</span>') == 1


@pytest.mark.usefixtures("undistilled")
def test_a_copy_of_a_run_is_counted_once(tmp_path: Path) -> None:
    runs = [made_up_run(tmp_path / f"seed{seed}", f"seed={seed}", programs=60) for seed in (1, 2)]
    copy = Path(shutil.copytree(runs[0], tmp_path / "copy"))
    found = read_report([*runs, copy])
    assert [(run.name, run.copies) for run in found.runs] == [("seed1", ("copy",)), ("seed2", ())]
    read = Reader(to_html(found))
    assert "The same run, by its settings and the digest of its population: copy." in read.text
    assert "A study of 2 seeds" in read.text
    other = made_up_run(tmp_path / "other", "seed=1", "fresh_seeds=5", programs=60)
    assert [run.copies for run in read_report([runs[0], other]).runs] == [(), ()]


def test_large_numbers_are_written_for_people() -> None:
    assert influence_marks([Influence(2, "", 9.6), Influence(3, "", 34.0)]) == {2: "960%", 3: "over 10 times"}
    drifting = parse("def train(w, g, lr):\n  u = g * 0.001\n  update = u + 0.05\n  return update\n")
    assert re.search(r"the mean of 2,\d\d0 gradients", noise_probe(drifting).says)


@pytest.mark.usefixtures("undistilled")
def test_several_runs_stand_side_by_side_with_intervals(tmp_path: Path) -> None:
    runs = [made_up_run(tmp_path / f"seed{seed}", f"seed={seed}", programs=60) for seed in (1, 2)]
    study = Reader(to_html(read_report(runs)))
    assert "Side by side" in study.text
    assert "A study of 2 seeds" in study.text
    specs = study.specs()
    rows = specs["progress"]["data"]["values"]
    assert {row["series"] for row in rows} == {"search", "adamw with tuned constants"}, "runs of a study share colours"
    assert {row.get("run") for row in rows if row["part"] == "line"} == {"seed1", "seed2"}
    assert all(row["low"] <= row["mean"] <= row["high"] for row in rows if row["part"] == "band")
    assert [row["part"] for row in rows].count("band") > 10
    assert "run2-lineage" in specs
    assert run_folders(str(tmp_path)) == runs, "a study's folder means its runs"
    other = made_up_run(tmp_path / "again" / "seed1", "population.size=30", programs=60)
    mixed = read_report([runs[0], other])
    assert [run.name.endswith("/seed1") for run in mixed.runs] == [True, True]
    assert "band" not in {row["part"] for row in mixed.charts[0].rows}
    assert len({row["series"] for row in mixed.charts[0].rows}) == 4


@pytest.mark.usefixtures("undistilled")
def test_planted_scripts_stay_text(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "<img src=x onerror=alert(1)>", f"description={json.dumps(PLANTED)}", programs=40)
    RunStore.resume(folder, settings=_settings(folder), about={PLANTED: PLANTED}, tasks={}).close()
    report = read_report([folder])
    line, board = report.runs[0].line, report.runs[0].board
    line[1] = replace(line[1], mutation=PLANTED)
    board[0] = replace(board[0], mutation=PLANTED)
    for chart in report.all_charts():
        chart.rows[0]["series"] = PLANTED
    page = to_html(report)
    read = Reader(page)
    assert len(read.scripts) == 3
    assert [attrs for name, attrs in read.tags if name == "img"] == []
    assert read.text.count(PLANTED) >= 4
    assert "<script>alert" not in page
    assert "onerror=alert(1)>" not in page
    assert read.specs()["cache"]["data"]["values"][0]["series"] == PLANTED


def _settings(folder: Path) -> dict[str, Any]:
    with RunStore.read(folder) as store:
        return store.meta("settings")


@pytest.mark.usefixtures("undistilled")
@pytest.mark.parametrize("state", ["empty", "no results", "one program", "running", "crashed", "nothing trained"])
def test_runs_in_every_state(state: str, tmp_path: Path, made_up: Path) -> None:
    folder = tmp_path / "run"
    if state == "one program":
        made_up_run(folder, "controls=[]", programs=1)
    elif state in ("running", "crashed"):
        shutil.copytree(made_up, folder)
        store = RunStore.resume(folder, settings=_settings(folder), about={}, tasks={})
        store.set_meta("status", "running")
        if state == "running":
            read = Reader(to_html(read_report([folder])))
            store.close()
            assert "running" in read.text
            return
        folder = Path(shutil.copytree(folder, tmp_path / "killed"))
        store.close()
    else:
        made_up_run(folder, programs=40)
        settings = _settings(folder)
        shutil.rmtree(folder)
        with RunStore.create(folder, campaign="", settings=settings, about={}, tasks={}) as store:
            if state != "empty":
                store.add_search("search", "", {"algorithm": "evolution"})
            store.set_meta("status", "running")
            shutil.copytree(folder, tmp_path / "killed")
        folder = tmp_path / "killed"
    read = Reader(to_html(read_report([folder])))
    assert "run folder" in read.text
    if state in ("empty", "no results", "nothing trained"):
        assert "Nothing has trained yet" in read.text
        assert read.specs() == {}
    if state != "one program":
        assert "crashed" in read.text


def test_the_settings_start_the_same_run(made_up: Path) -> None:
    with RunStore.read(made_up) as store:
        text = read_findings(store, "one").campaign
        settings = store.meta("settings")
    assert load_campaign(text, source="campaign.yaml") == CampaignConfig.model_validate(settings)
    assert yaml.safe_load(text)["name"] == "quickstart"


@pytest.mark.usefixtures("undistilled")
def test_the_command_writes_page_and_figures(made_up: Path, tmp_path: Path, optsearch: Command) -> None:
    said = optsearch("report", made_up, made_up, "--out", tmp_path / "r.html", "--figures", tmp_path / "figures")
    assert said.code == 0, said.err
    names = set(Reader((tmp_path / "r.html").read_text(encoding="utf-8")).specs())
    assert f"{len(names)} charts" in said.out
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{name}.{ending}" for name in names for ending in ("svg", "pdf", "csv")
    }
    svg = (tmp_path / "figures" / "progress.svg").read_text(encoding="utf-8")
    assert "programs evaluated" in svg
    assert "best fitness" in svg
    assert (tmp_path / "figures" / "progress.pdf").read_bytes().startswith(b"%PDF")
    with (tmp_path / "figures" / "mutations.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["verdict"] for row in rows} == set(VERDICTS)
    assert optsearch("report", tmp_path).code == 2
    assert "cannot be written" in optsearch("report", made_up, "--out", tmp_path / "no" / "r.html").err


def test_a_program_says_what_it_does(made_up: Path, optsearch: Command) -> None:
    said = optsearch("show", f"{made_up}:best")
    assert "What it does:" in said.out
    assert "Lineage" in said.out
    view = optsearch("show", "lion", "--json").json()
    assert view["behaviour"]["weight_bound"] == pytest.approx(10.0)
    assert view["behaviour"]["cost"]["state_bytes"] == 4
    assert re.search(r"max \|w\| <= 10\b", optsearch("show", "lion").out)


def test_histories_add_up(made_up: Path) -> None:
    with RunStore.read(made_up) as store:
        search = store.search("search")
        history, progress = read_history(store, search), store.progress(search)
        windows = over_time(store, history)
        line = line_of(store, search, 150)
        edges, hidden = family_tree(history, 150, 20)
    assert len(history) - 1 == progress.generated == windows[-1].programs
    bests = best_so_far(history)
    assert progress.best is not None
    assert bests[-1].fitness == progress.best.fitness
    assert [point.fitness for point in bests] == sorted((point.fitness for point in bests), reverse=True)
    points, left_out = evaluated_points(history, 10)
    assert len(points) <= 10
    assert len(points) + left_out == progress.outcomes["ok"] + 1
    edge = np.unique([0, *(window.programs for window in windows)])
    hits = sum(window.hits * wide for window, wide in zip(windows, np.diff(edge), strict=True))
    assert round(hits) == progress.generated - sum(progress.outcomes.values())
    for kind in mutation_statistics(history):
        assert list(kind.verdicts) == list(VERDICTS)
        assert kind.children == sum(kind.verdicts.values())
    assert line[0].id == "0"
    assert line[-1].id == "150"
    gains = [step.gain for step in line if step.gain is not None]
    if len(gains) == len(line) - 1:
        first, last = line[0].fitness, line[-1].fitness
        assert first is not None
        assert last is not None
        assert sum(gains) == pytest.approx(first - last)
    assert {edge.from_programs for edge in edges} <= {0} | {edge.programs for edge in edges}
    assert hidden + len({edge.programs for edge in edges} | {0}) == len(history)


def test_the_library_is_kept_and_a_damaged_copy_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = library()
    monkeypatch.setattr("optsearch.runs.report.render.cache_folder", lambda: tmp_path / "cache")
    assert library.__wrapped__() == whole
    (kept,) = (tmp_path / "cache").iterdir()
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda: "made anew")
    assert library.__wrapped__() == whole
    kept.write_bytes(kept.read_bytes().replace(b"vegaEmbed", b"vagaEmbed", 1))
    assert library.__wrapped__() == "made anew"
    monkeypatch.setattr("optsearch.runs.report.render.cache_folder", lambda: kept / "a file is in the way")
    assert library.__wrapped__() == "made anew"


def test_differences_show_lines_of_both() -> None:
    assert difference("a\nb\n", "a\nc\n") == [(" ", "a"), ("-", "b"), ("+", "c")]


def test_runs_of_one_name_are_told_apart(made_up: Path, tmp_path: Path, undistilled: None) -> None:
    other = made_up_run(tmp_path / "b" / "same" / "run", "seed=7", programs=60)
    first = Path(shutil.copytree(made_up, tmp_path / "a" / "same" / "run"))
    third = made_up_run(tmp_path / "a" / "other", "seed=8", programs=60)
    report = read_report([first, other, third, tmp_path / "a" / ".." / "a" / "other"])
    assert [run.name for run in report.runs] == ["a/same/run", "b/same/run", "other"]
    for place, run in enumerate(report.runs, start=1):
        names = [chart.name for chart in report.responses[run.name]]
        assert names
        assert all(name.startswith(f"run{place}-") for name in names)
    assert len({chart.name for chart in report.all_charts()}) == len(report.all_charts())
