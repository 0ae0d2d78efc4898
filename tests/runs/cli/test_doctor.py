"""`doctor`: the machine's facts, and what of a campaign fits a device that this machine need not have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest
from command_line import Command

from optsearch.proxy_tasks.compilation import DeviceError
from optsearch.proxy_tasks.memory import LaneMemory, lane_memory
from optsearch.proxy_tasks.registry import TASKS
from optsearch.proxy_tasks.task import Task
from optsearch.runs.commands import doctor
from optsearch.runs.commands.doctor import AT_ONCE, examine_machine, fit_campaign
from optsearch.runs.commands.search import load_named
from optsearch.runs.summary.diagnosis import DeviceFacts
from optsearch.search.config import CampaignConfig

GIB = 2**30


@pytest.fixture(scope="module", autouse=True)
def _each_task_is_traced_once() -> Iterator[None]:
    """The commands of this file ask for the memory of the same few tasks."""
    known: dict[tuple[str, bool], LaneMemory] = {}

    def remembered(task: Task, *, matrices: bool = False) -> LaneMemory:
        key = task.name, matrices
        if key not in known:
            known[key] = lane_memory(task, matrices=matrices)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optsearch.proxy_tasks.memory.lane_memory", remembered)
        yield


def campaign(*settings: str) -> CampaignConfig:
    return load_named("quickstart", settings)[0]


def test_the_machine_alone(optsearch: Command) -> None:
    said = optsearch("doctor", "--json")
    assert said.code == 0
    found = said.json()
    assert found["campaign"] is None
    machine = found["machine"]
    assert machine["devices"][0]["platform"] == "cpu"
    assert machine["cores"] >= 1
    assert machine["about"]["jax"] == jax.__version__
    assert {"processor", "ray", "python", "environment"} <= set(machine["about"])
    words = optsearch("doctor").out
    assert all(finding["says"] in words for finding in found["findings"])
    assert "there is no accelerator" in words


def test_a_campaign_without_a_gpu(optsearch: Command) -> None:
    found = optsearch("doctor", "quickstart", "--json").json()["campaign"]
    assert [task["task"] for task in found["tasks"]] == ["ae"]
    assert found["proposal"]["lanes"] == 1
    assert found["proposal"]["gpus_per_worker"] == 0
    assert found["proposal"]["workers"] >= 1
    words = optsearch("doctor", "quickstart").out
    assert "Proposal: --set lanes=1 " in words
    assert "--gpus-per-worker" not in words


def test_a_planned_device(optsearch: Command) -> None:
    found = optsearch("doctor", "quickstart", "--device-memory", "40", "--json").json()["campaign"]
    proposal = found["proposal"]
    assert proposal == {"lanes": 1024, "look_ahead": 8192, "workers": 2, "gpus_per_worker": 0.5}
    memory = lane_memory(TASKS["ae"])
    room = 0.9 * 40e9 / 2
    assert found["lanes_fit"] == pytest.approx((room - memory.shared) / (AT_ONCE * memory.lane + memory.kept), abs=1)
    small = optsearch("doctor", "quickstart", "--device-memory", "1", "--json").json()["campaign"]
    assert small["proposal"]["lanes"] <= small["lanes_fit"] < 2 * small["proposal"]["lanes"]


def test_a_campaign_that_does_not_fit_is_a_failure(optsearch: Command) -> None:
    said = optsearch("doctor", "quickstart", "--set", "lanes=4096", "--device-memory", "2")
    assert said.code == 1
    assert "FAIL quickstart: 4096 lanes may not fit into the memory of a worker" in said.out
    assert "look_ahead is 128" in said.out


def test_a_proposal_fits_and_is_taken_back_by_the_command(optsearch: Command) -> None:
    proposal = optsearch("doctor", "matrices", "--device-memory", "16", "--json").json()["campaign"]["proposal"]
    settings = [f"{name}={proposal[name]}" for name in ("lanes", "look_ahead")]
    said = optsearch(
        "doctor", "matrices", "--device-memory", "16", "--json", *(part for s in settings for part in ("--set", s))
    )
    assert said.code == 0
    assert not [finding for finding in said.json()["findings"] if "lanes stay empty" in finding["says"]]


def test_several_tasks_share_a_worker() -> None:
    machine, memory = examine_machine(), 16e9
    one = fit_campaign(campaign(), machine, memory)
    more = fit_campaign(campaign("further_tasks=[{task: lm}]"), machine, memory)
    assert [task.task for task in more.tasks] == ["ae", "lm"]
    assert one.lanes_fit is not None
    assert more.lanes_fit is not None
    assert more.lanes_fit < (more.tasks[1].lanes or 0) < one.lanes_fit


@pytest.mark.parametrize(("cores", "workers", "share"), [(1, 1, 1.0), (4, 2, 0.5)])
def test_devices_of_the_machine(cores: int, workers: int, share: float) -> None:
    device = DeviceFacts("NVIDIA A100", "gpu", 36 * GIB)
    machine = replace(examine_machine(), devices=(device,), cores=cores)
    fit = fit_campaign(campaign(), machine)
    assert fit.device == "NVIDIA A100"
    assert (fit.proposal.workers, fit.proposal.gpus_per_worker) == (workers, share)
    assert fit.worker_memory == 36 * GIB * share


def test_unknown_memory_is_said() -> None:
    machine = replace(examine_machine(), devices=(DeviceFacts("TPU v5", "tpu", None),))
    fit = fit_campaign(campaign(), machine)
    assert fit.lanes_fit is None
    assert fit.proposal.lanes == 1


def test_jax_reports_the_memory_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    def devices() -> list[SimpleNamespace]:
        seen.update(os.environ)
        return [SimpleNamespace(device_kind="NVIDIA H200", platform="gpu", memory_stats=lambda: {"bytes_limit": GIB})]

    monkeypatch.setattr(jax, "devices", devices)
    before = dict(os.environ)
    assert examine_machine().devices == (DeviceFacts("NVIDIA H200", "gpu", GIB),)
    assert seen["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false", "nothing is taken from running workers"
    assert dict(os.environ) == before


def test_what_is_wrong_with_a_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, optsearch: Command) -> None:
    def no_device() -> None:
        raise DeviceError("JAX cannot start: no device")

    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(doctor, "_devices", no_device)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(blocked / "cache"))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    said = optsearch("doctor")
    assert said.code == 1
    assert "FAIL JAX cannot start: no device" in said.out
    assert f"compiled loops cannot be kept in {blocked / 'cache'}" in said.out
    assert "ok   a cluster is joined with token authentication" in said.out
