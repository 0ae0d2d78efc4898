"""Trainings of ablation outlive whatever ends it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import Command

from runs.errors import DamagedRunError, RunError
from runs.trainings import FILE, Trainings

KEYS = [f"{n:016x} ae {500_000 + n}" for n in range(3)]

SCRIPT = """
import json, sys, time, zlib
from pathlib import Path
from dsl.library import LIBRARY
from runs.trainings import Trainings
from simplify.distil import distil
from simplify.trial import Panel

def made_up(run, jobs):
    for job in jobs:
        time.sleep(float(sys.argv[2]))
        yield 1.0 + zlib.crc32(f"{job.program} {job.seed}".encode()) / 1e11 + 0.3 * ("sign" not in str(job.program))

panel = Panel(("ae",), made_up, 2, Trainings(Path(sys.argv[1])))
print(json.dumps([distil(LIBRARY["signum"], panel=panel).as_values(), panel.trained]))
"""


def fill(folder: Path) -> None:
    kept = Trainings(folder)
    for number, key in enumerate(KEYS):
        kept[key] = None if number == 1 else number / 3.0
    kept.close()


def reopened(folder: Path, *, force: bool = False) -> dict[str, float | None]:
    kept = Trainings(folder, force=force)
    kept.close()
    return dict(kept)


def test_what_is_set_is_there_again(tmp_path: Path) -> None:
    fill(tmp_path)
    assert reopened(tmp_path) == {KEYS[0]: 0.0, KEYS[1]: None, KEYS[2]: 2.0 / 3.0}
    assert reopened(tmp_path, force=True) == {}


def test_an_unfinished_line_is_cut_off(tmp_path: Path) -> None:
    fill(tmp_path)
    path = tmp_path / FILE
    whole = path.read_bytes()
    start = whole.rfind(b"\n", 0, -1) + 1
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        assert list(reopened(tmp_path)) == KEYS[:2]
        assert path.read_bytes() == whole[:start]


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    fill(tmp_path)
    path = tmp_path / FILE
    whole = path.read_bytes()
    for place in range(0, whole.rfind(b"\n", 0, -1), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(DamagedRunError, match="is not as it was written"):
            reopened(tmp_path)


def test_trainings_of_other_versions_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    monkeypatch.setattr("runs.machine.FINGERPRINT_VERSION", 10_000)
    assert reopened(tmp_path) == {}
    monkeypatch.undo()
    assert len(reopened(tmp_path)) == 3, "and they are not lost either"


def test_one_process_writes(tmp_path: Path) -> None:
    kept = Trainings(tmp_path)
    with pytest.raises(RunError, match="another process is writing"):
        Trainings(tmp_path)
    kept.close()


def test_a_killed_ablation_goes_on_where_it_was(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT]
    whole = subprocess.run([*command, tmp_path / "whole", "0"], capture_output=True, text=True, check=True)
    result, trainings = json.loads(whole.stdout)
    path, seen = tmp_path / "killed" / FILE, 0
    for _ in range(2):
        with subprocess.Popen([*command, tmp_path / "killed", "0.003"], stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < seen + 20):
                time.sleep(0.01)
            assert process.poll() is None, "it ended before it was killed"
            process.kill()
        assert path.read_bytes().count(b"\n") > seen
        seen = path.read_bytes().count(b"\n")
    end = subprocess.run([*command, tmp_path / "killed", "0"], capture_output=True, text=True, check=True)
    again, trained = json.loads(end.stdout)
    assert again == result
    assert trained == trainings - seen
    assert sorted(reopened(tmp_path / "killed")) == sorted(reopened(tmp_path / "whole"))


@pytest.mark.slow
def test_workers_and_kills_change_nothing(tmp_path: Path, optsearch: Command) -> None:
    folders = [tmp_path / name for name in ("alone", "ray")]
    command = ["simplify", "signum", "--json"]
    alone = optsearch(*command, "--workers", "0", "--out", folders[0])
    assert alone.code == 0
    shell = [sys.executable, "-c", "from runs.cli import main; main()", *command, "--workers", "2", "--out", folders[1]]
    path = folders[1] / FILE
    with subprocess.Popen(shell, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < 10):
            time.sleep(0.05)
        process.kill()
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == alone.json()
