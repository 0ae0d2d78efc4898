"""Runs as objects: the example notebook runs; programs and tables are displayed with and without data frames."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from made_up_selection import selected_run, train

from optsearch import load
from optsearch.runs.store.errors import RunError

NOTEBOOK = Path(__file__).parents[3] / "docs" / "look-at-a-run.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return selected_run(tmp_path_factory.mktemp("runs") / "optsearch-runs" / "quickstart-seed0", programs=200)


def test_the_example_notebook_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parents[1])
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"]).replace("sensitivity=True,", "sensitivity=True, workers=0,")
            exec(source, names)  # noqa: S102 - our own notebook
    assert names["progress"][-1]["search"] == "control"
    assert names["found"].rate_sensitivity()
    assert names["curve"][-1][0] >= 15
    assert names["small"].summary.status == "finished"
    assert all(cell.get("outputs", []) == [] for cell in cells), "the notebook is kept without outputs"


def test_programs_show_themselves(folder: Path) -> None:
    run = load(folder)
    best = run.best
    page = best._repr_html_()
    assert f"program {best.id}" in page
    assert '<span class="keyword">def</span>' in page
    assert best.lineage[0].id == "0"
    assert best.lineage[-1].id == best.id
    assert str(best) == str(best.program)
    assert len(run.programs[0].pruned.body) <= len(run.programs[0].program.body)
    assert best.id in run._repr_html_()
    assert run.charts["lineage"]._repr_svg_().startswith("<svg")


def test_tables_are_frames_of_what_is_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load(folder)
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)  # not installed
    for table in run.tables:
        rows = run.table(table)
        assert isinstance(rows, list)
        assert rows == run.table(table, library="rows")
        assert rows, f"{table} is empty"
    with pytest.raises(RunError, match="polars is not installed"):
        run.table("progress", library="polars")
    polars = ModuleType("polars")
    polars.DataFrame = lambda rows: ("frame", rows)  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "polars", polars)
    assert run.table("progress")[0] == "frame"
    with pytest.raises(RunError, match="did you mean 'progress'"):
        run.table("progres")
    assert len(run.table("evaluations", library="rows")) > len(run.table("progress", library="rows"))
