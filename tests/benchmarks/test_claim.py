"""A claim is measured only as it was registered and committed, and judged by the registered rule."""

from __future__ import annotations

import math
import shutil
import subprocess
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.run import Trained
from optsearch.selection.contender import TrainingJob

claim: ModuleType = import_module("claim")

PLAN: dict[str, Any] = {
    "question": "Is the program better than AdamW's family and Muon?",
    "programs": ["mine"],
    "baselines": ["adamw", "nadamw", "muon"],
    "targets": ["digits", "cnn", "vit"],
    "protocol": {"trials": 4, "replicates": 6, "seeds": 2, "skipped_seeds": 0},
    "opponents": ["adamw", "muon"],
    "state": "adamw",
    "level": 0.05,
    "horizons": {"tasks": ["digits"], "multiples": [1, 4]},
}

Lead = Callable[[TrainingJob], float]


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    write(tmp_path, PLAN)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "registered")
    return tmp_path


def write(folder: Path, plan: dict[str, Any], program: str = "lion") -> None:
    (folder / "registered.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    (folder / "mine.txt").write_text(str(LIBRARY[program]), encoding="utf-8")


def measure(folder: Path, monkeypatch: pytest.MonkeyPatch, lead: Lead, *targets: str) -> Any:
    """Measures targets with losses of which the program's are lower by a lead."""

    def train(job: TrainingJob) -> Trained:
        luck = (zlib.crc32(f"{job.contender.name} {job.seed} {job.problem.name}".encode()) % 1000) / 1e5
        loss = 1.0 + luck - (0.0 if job.contender.is_baseline else lead(job))
        curve = (loss,) * 10
        return Trained(TrainingResult(Outcome.OK, loss, loss, None, 300, curve, None, curve), 0.1)

    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    found = claim.Claim(folder)
    for target in targets or found.plan.measured:
        found.measure(target, folder, 0)
    return found


def test_a_lead_on_enough_targets_is_a_claim(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measure(folder, monkeypatch, lambda job: 0.0 if job.problem.task == "vit" else 0.1)
    verdict = claim.judge(found)
    (program,) = verdict["verdicts"]
    assert program["won"] == ["digits", "cnn"]
    assert (program["needed"], program["holds"], program["state"]) == (2, True, 4.0)
    assert [row["verdict"] for row in verdict["trends"]] == ["holds", "holds"]
    assert {row["stands_for"] for row in verdict["tests"]} == {"best of adamw, nadamw", "muon"}
    smallest = 2 / math.comb(12, 6)
    leads = [row for row in verdict["tests"] if row["target"] != "vit"]
    assert all(row["p"] == pytest.approx(smallest) for row in leads)
    ordered = sorted(verdict["tests"], key=lambda row: row["p"])
    for place, row in enumerate(ordered):
        steps = [(len(ordered) - number) * each["p"] for number, each in enumerate(ordered[: place + 1])]
        assert row["corrected"] == pytest.approx(min(1.0, max(steps))), "Holm's correction over all tests"
    assert "the claim holds" in claim.table_of(verdict)


def test_one_opponent_too_many_or_a_fading_lead_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measure(folder, monkeypatch, lambda job: 0.1 if (job.problem.horizon or 1.0) < 4.0 else 0.02)
    (program,) = claim.judge(found)["verdicts"]
    assert program["won"] == ["digits", "cnn", "vit"]
    assert [row["opponent"] for row in program["fades"]] == ["adamw", "muon"]
    assert not program["holds"]


def test_more_state_than_registered_is_no_claim(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, {**PLAN, "state": "muon"}, program="adamw")
    git(folder, "commit", "-qam", "another one")
    (program,) = claim.judge(measure(folder, monkeypatch, lambda _: 0.1))["verdicts"]
    assert (program["won"], program["state_is_small"], program["holds"]) == (["digits", "cnn", "vit"], False, False)


def test_no_lead_is_no_claim(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = claim.judge(measure(folder, monkeypatch, lambda _: 0.0))["verdicts"]
    assert program["won"] == []
    assert not program["holds"]


def test_only_what_is_committed_is_measured_and_only_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(folder, monkeypatch, lambda _: 0.0, "cnn")
    with pytest.raises(claim.ClaimError, match="a target is measured once"):
        measure(folder, monkeypatch, lambda _: 0.0, "cnn")
    with pytest.raises(claim.ClaimError, match="'teach' is not registered"):
        measure(folder, monkeypatch, lambda _: 0.0, "teach")
    with pytest.raises(claim.ClaimError, match="digits is not measured yet"):
        claim.judge(claim.Claim(folder))
    write(folder, PLAN, program="signum")
    with pytest.raises(claim.ClaimError, match=r"not committed: M mine\.txt"):
        measure(folder, monkeypatch, lambda _: 0.0, "digits")
    with pytest.raises(claim.ClaimError, match="was measured for another registration"):
        claim.Claim(folder, committed=False).result("cnn")
    shutil.rmtree(folder / ".git")
    with pytest.raises(claim.ClaimError, match="not in a git repository"):
        claim.Claim(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"opponents": ["soap"]}, "'soap' must be among the baselines"),
        ({"targets": ["digits", "script"]}, "need each other"),
        ({"targets": ["digits", "digits"]}, "must be distinct"),
        ({"targets": ["digit"]}, "unknown task 'digit'"),
        ({"programs": ["muon"]}, "another name than a baseline"),
        ({"programs": ["absent"]}, "absent.txt"),
        ({"level": 1.5}, "less than 1"),
        ({"seeds": 8}, "Extra inputs are not permitted"),
    ],
)
def test_a_registration_without_its_parts_is_refused(change: dict[str, Any], message: str, folder: Path) -> None:
    write(folder, {**PLAN, **change})
    with pytest.raises(claim.ClaimError, match=message):
        claim.Claim(folder, committed=False)
