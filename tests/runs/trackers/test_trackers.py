"""Trackers write curves, best programs and the report of a run; they append on resumption and never stop a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import Command
from small_campaign import SETTINGS

import optsearch
from optsearch.runs.trackers.by_name import TRACKERS
from optsearch.runs.trackers.tensorboard import TensorBoard
from optsearch.runs.trackers.tracker import TrackedRun, TrackerError

PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}


def needs(tracker: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        find_spec(PACKAGES[tracker]) is None, reason=f"the package {PACKAGES[tracker]} is not installed"
    )


class Notes:
    """A tracker in memory."""

    def __init__(self) -> None:
        self.runs: list[TrackedRun] = []
        self.curves: dict[str, list[tuple[int, float]]] = {}
        self.programs: list[tuple[str, str, int]] = []
        self.ends: list[tuple[str, str]] = []

    def start(self, run: TrackedRun) -> None:
        self.runs.append(run)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.curves.setdefault(name, []).append((step, value))

    def program(self, search: str, text: str, step: int) -> None:
        self.programs.append((search, text, step))

    def finish(self, status: str, report: str) -> None:
        self.ends.append((status, report))


def search(folder: Path, *callbacks: Any) -> Any:
    return optsearch.search(SETTINGS, out=folder, workers=0, quiet=True, callbacks=callbacks)


def interrupted_and_resumed(folder: Path, make: Any) -> Any:
    """A run in two sessions, each with a new tracker."""
    left = 2

    def stop(event: object) -> None:
        nonlocal left
        left -= type(event).__name__ == "ResultsRecorded"
        if left == 0:
            raise optsearch.StopSearch

    assert search(folder, make(), stop).summary.status == "interrupted"
    return search(folder, make())


def test_a_tracker_is_told_what_the_run_holds(tmp_path: Path) -> None:
    notes = Notes()
    run = search(tmp_path / "run", optsearch.track(notes))
    (told,) = notes.runs
    assert (told.name, told.folder) == ("run", tmp_path / "run")
    assert told.settings["population.size"] == 4
    best = notes.curves["search/best_fitness"]
    assert best[-1][1] == run.best.fitness
    assert [value for _, value in best] == sorted((value for _, value in best), reverse=True)
    assert [step for step, _ in best] == sorted({step for step, _ in best})
    assert notes.curves["search/programs"][-1][1] == run.summary.counts.generated
    assert notes.programs[-1][:2] == ("search", str(run.best.program))
    finals = {name for name in notes.curves if name.startswith("final/")}
    assert f"final/ae/{run.summary.best.id}" in finals
    ((status, report),) = notes.ends
    assert status == "finished"
    assert report.startswith("<!doctype html>")
    assert "run" in report


class Broken(Notes):
    def log(self, values: Mapping[str, float], step: int) -> None:
        raise ConnectionError("the server is gone")


def test_a_tracker_that_fails_is_left_out_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, notes = Broken(), Notes()
    run = search(tmp_path / "run", optsearch.track(broken), optsearch.track(notes))
    assert run.summary.status == "finished"
    assert broken.ends == []
    assert notes.ends[0][0] == "finished"
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("The tracker Broken failed") == 1
    assert "ConnectionError: the server is gone" in said


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_an_error_before_any_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optsearch: Command
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)  # not installed
    said = optsearch("search", "quickstart", "--out", tmp_path / "run", "--track", name)
    assert said.code == 2
    assert f'python -m pip install "optsearch[{name}]"' in said.err
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrackerError, match=r"no tracker 'tensorbord'; did you mean 'tensorboard'?"):
        optsearch.track("tensorbord")


@needs("tensorboard")
def test_tensorboard(tmp_path: Path) -> None:
    run = interrupted_and_resumed(tmp_path / "run", lambda: optsearch.track("tensorboard"))
    (folder,) = (tmp_path / "tensorboard").iterdir()
    events = list(tensorboard_events(folder))
    values = [(step, value) for tag, step, value in events if tag == "search/best_fitness"]
    assert values[-1][1] == pytest.approx(run.best.fitness)
    assert len(list(folder.glob("events.*"))) == 2, "both sessions are in one folder"
    texts = [value for tag, _, value in events if tag == "search/best_program/text_summary"]
    assert str(run.best.program).splitlines()[1].strip() in texts[-1]
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@needs("tensorboard")
def test_sessions_that_begin_in_one_second_have_a_file_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard's files are named by the second; the second session must not replace the first one's."""
    monkeypatch.setattr("tensorboardX.event_file_writer.time", SimpleNamespace(time=lambda: 1_800_000_000.0))
    for value in (1.0, 2.0):
        tracker = TensorBoard()
        tracker.start(TrackedRun("0123456789abcdef", "run", tmp_path / "run", {}))
        tracker.log({"fitness": value}, step=int(value))
        tracker.finish("interrupted", "")
    (folder,) = (tmp_path / "tensorboard").iterdir()
    assert [value for tag, _, value in tensorboard_events(folder) if tag == "fitness"] == [1.0, 2.0]


def tensorboard_events(folder: Path) -> Any:
    """Tags, steps and values of the event files, in the order of writing."""
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportMissingImports]

    for path in sorted(folder.glob("events.*")):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            for value in event.summary.value:
                is_text = value.HasField("tensor")
                yield value.tag, event.step, value.tensor.string_val[0].decode() if is_text else value.simple_value
            data = data[16 + length :]


@needs("mlflow")
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = interrupted_and_resumed(tmp_path / "run", lambda: optsearch.track("mlflow"))
    from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]

    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("optsearch")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["population.size"] == "4"
    assert found.data.metrics["search/best_fitness"] == run.best.fitness
    history = client.get_metric_history(found.info.run_id, "search/programs")
    assert [metric.step for metric in history] == sorted(metric.step for metric in history)
    artifacts = Path(found.info.artifact_uri.removeprefix("file://"))
    assert (artifacts / "report.html").exists()
    assert (artifacts / "best_programs" / "search" / "latest.txt").read_text() == str(run.best.program)


@needs("wandb")
def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run = interrupted_and_resumed(tmp_path / "run", lambda: optsearch.track("wandb"))
    sessions = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(sessions) == 2
    assert len({session.name.rpartition("-")[2] for session in sessions}) == 1, "both sessions have one id"
    history, summary = wandb_history(sessions[-1])
    assert history[-1] == run.best.fitness
    assert summary["status"] == "finished"
    assert summary["search/best_program_text"] == str(run.best.program)
    assert list(sessions[-1].rglob("report_*.html"))


def wandb_history(session: Path) -> tuple[list[float], dict[str, Any]]:
    """Best fitness in the history of an offline session, and its summary."""
    from wandb.proto import wandb_internal_pb2  # pyright: ignore[reportMissingImports]

    history, summary = list[float](), dict[str, Any]()
    for data in log_records(next(session.glob("*.wandb")).read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        rows = {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item}
        if "search/best_fitness" in rows:
            history.append(rows["search/best_fitness"])
        summary |= {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.summary.update}
    return history, summary


def log_records(data: bytes) -> Iterator[bytes]:
    """Records of a file in LevelDB's log format, which W&B uses after a header of 7 bytes.

    Source: https://github.com/google/leveldb/blob/main/doc/log_format.md
    """
    block, place, record = 32_768, 7, b""
    while place + 7 <= len(data):
        if block - place % block < 7:
            place += block - place % block
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""
