"""An interrupted run resumes from its last snapshot and ends with the same bits; no file can change a result."""

from __future__ import annotations

import errno
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.execution import segments, snapshot
from optsearch.proxy_tasks.execution.snapshot import DIGEST_BYTES, StateSnapshot, make_room
from optsearch.proxy_tasks.hurdle import Hurdle
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.registry import TASKS, get_task
from optsearch.proxy_tasks.run import TrainingRun
from optsearch.proxy_tasks.trainer import RESUMABLE_COMPUTE, Method, Trainer

SLOW = pytest.mark.slow
TASK = replace(get_task("digits"), steps=40)
ADAMW = LIBRARY["adamw"]
Run = Callable[[Trainer], TrainingResult]


class Killed(BaseException):
    """Stands for the end of the process: nothing in between catches it."""


def half(schedule: Any) -> optax.GradientTransformation:
    """An optimizer whose state has a dtype that NumPy does not know."""
    return optax.adam(schedule, mu_dtype=jnp.bfloat16)


def noisy(schedule: Any) -> optax.GradientTransformation:
    """An optimizer whose state has a random key."""
    return optax.chain(optax.add_noise(0.01, 0.5, jax.random.key(0)), optax.sgd(schedule))


def weighted(factor: float) -> Callable[[Any], optax.GradientTransformation]:
    """An optimizer with a constant array, which is neither in its name nor among the inputs of the loop."""
    factors = jnp.full(64, 1.0).at[40].set(factor)

    def scaled(updates: Any, params: Any = None) -> Any:
        del params
        return jax.tree.map(lambda leaf: leaf * factors[:, None] if leaf.shape[:1] == (64,) else leaf, updates)

    return lambda schedule: optax.chain(optax.stateless(scaled), optax.sgd(schedule))


def averaged(weights: Any, state: Any) -> Any:
    """Weights at which an optimizer is evaluated that are not those of the training losses."""
    del state
    return jax.tree.map(lambda leaf: 0.5 * leaf, weights)


RUNS: dict[str, tuple[Method, Run]] = {
    "interpreted": ("interpret", lambda trainer: trainer.run(ADAMW, 1, rate=3e-3)),
    "compiled": ("compile", lambda trainer: trainer.run(ADAMW, 1, rate=3e-3)),
    "optax": ("compile", lambda trainer: trainer.run_optax(half, 1, rate=1e-2)),
    "random key": ("compile", lambda trainer: trainer.run_optax(noisy, 1, rate=0.1, evaluated=averaged)),
}


@cache
def trainer_of(method: Method, validates: bool = False, lanes: int = 1) -> Trainer:
    """A trainer that takes its task for a costly one."""
    return Trainer(TASK, method=method, validates=validates, lanes=lanes, resumable_from=0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of snapshots, which are written at every checkpoint."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(segments, "SHARE", math.inf)
    monkeypatch.setattr(snapshot, "_said", set())
    return tmp_path / segments.FOLDER


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any], int], None]:
    """Runs a function and kills it after a number of snapshots."""
    write = StateSnapshot.write

    def run(function: Callable[[], Any], snapshots: int) -> None:
        left = snapshots

        def last(self: StateSnapshot, arrays: Any) -> None:
            nonlocal left
            write(self, arrays)
            left -= 1
            if not left:
                raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(StateSnapshot, "write", last)
            with pytest.raises(Killed):
                function()

    return run


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The paths of all snapshots that are written."""
    paths: list[Path] = []
    write = StateSnapshot.write
    monkeypatch.setattr(StateSnapshot, "write", lambda self, arrays: (paths.append(self.path), write(self, arrays))[1])
    return paths


@pytest.mark.parametrize(
    ("name", "validates"),
    [*((name, False) for name in RUNS), ("random key", True)]
    + [pytest.param(name, True, marks=SLOW) for name in RUNS if name != "random key"],
)
def test_a_run_resumes_from_each_checkpoint_with_the_same_bits(
    folder: Path, killed: Callable[..., None], written: list[Path], name: str, validates: bool
) -> None:
    method, run = RUNS[name]
    trainer = trainer_of(method, validates)
    whole = run(trainer)
    assert whole.outcome is Outcome.OK
    assert (trainer.resumed_from, len(written)) == (0, len(TASK.checkpoints) - 1)
    assert len(whole.validation_losses) == validates * len(TASK.checkpoints)
    compilations = trainer.compilations
    for passed, step in enumerate(TASK.checkpoints[:-1], start=1):
        killed(partial(run, trainer), passed)
        written.clear()
        assert run(trainer) == whole, "to the last bit"
        assert trainer.resumed_from == step
        assert len(written) == len(TASK.checkpoints) - 1 - passed, "only the spans after it were run"
        assert list(folder.iterdir()) == [], "a run that has ended leaves nothing"
    assert trainer.compilations == compilations


def test_a_run_can_be_interrupted_again_and_again(folder: Path, killed: Callable[..., None]) -> None:
    method, run = RUNS["optax"]
    trainer = trainer_of(method)
    whole = run(trainer)
    for _ in TASK.checkpoints[:-1]:
        killed(partial(run, trainer), 1)
    assert (run(trainer), trainer.resumed_from) == (whole, TASK.checkpoints[-2])


@pytest.mark.slow
@pytest.mark.parametrize("validates", [False, True])
def test_lanes_resume_together(folder: Path, killed: Callable[..., None], validates: bool) -> None:
    trainer = trainer_of("interpret", validates, 3)
    runs = [
        TrainingRun(ADAMW, 1, 3e-3),
        TrainingRun(LIBRARY["lion"], 2, 1e-3, Hurdle(((12, 0.0),))),  # stopped before the others
    ]
    whole = trainer.run_all(runs)
    assert [result.outcome for result in whole] == [Outcome.OK, Outcome.HURDLE]
    for passed, step in enumerate(TASK.checkpoints[:-1], start=1):
        killed(lambda: trainer.run_all(runs), passed)
        assert trainer.run_all(runs) == whole
        assert (trainer.resumed_from, list(folder.iterdir())) == (step, [])


STOPPED: dict[str, tuple[Outcome, Callable[[Trainer], TrainingResult]]] = {
    "hurdle": (Outcome.HURDLE, lambda trainer: trainer.run(ADAMW, 1, hurdle=Hurdle(((20, 0.0),)))),
    "non-finite": (
        Outcome.NON_FINITE,
        lambda trainer: trainer.run(parse("def train(w, g, lr):\n  update = w * -12.0\n  return update\n"), 1),
    ),
}


@pytest.mark.parametrize(("outcome", "run"), STOPPED.values(), ids=STOPPED)
def test_a_run_that_stops_early_ends_as_without_interruption(
    folder: Path, killed: Callable[..., None], outcome: Outcome, run: Run
) -> None:
    trainer = trainer_of("interpret")
    whole = run(trainer)
    assert whole.outcome is outcome
    assert whole.steps > TASK.checkpoints[1]
    killed(partial(run, trainer), 2)
    assert run(trainer) == whole
    assert (trainer.resumed_from, list(folder.iterdir())) == (TASK.checkpoints[1], [])


def test_a_snapshot_is_of_one_run_alone(
    folder: Path, killed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that may change a bit of the state has other snapshots, whatever its name."""
    interpreter, compiler = trainer_of("interpret"), trainer_of("compile")
    killed(lambda: interpreter.run(ADAMW, 1, rate=3e-3), 2)
    compiler.run(ADAMW, 1, rate=3e-3)
    assert compiler.resumed_from == 0
    killed(lambda: compiler.run(ADAMW, 1, rate=3e-3), 2)
    killed(lambda: compiler.run_optax(half, 1, rate=1e-2, values=[1.0]), 2)
    killed(lambda: compiler.run_optax(weighted(1.0), 1, rate=0.1), 2)
    there = {path: path.read_bytes() for path in folder.iterdir()}
    assert len(there) == 4

    def another(schedule: Any) -> optax.GradientTransformation:
        return optax.adam(schedule, b1=0.8, mu_dtype=jnp.bfloat16)

    another.__name__ = another.__qualname__ = half.__name__
    others: list[Run] = [
        lambda trainer: trainer.run(ADAMW, 2, rate=3e-3),
        lambda trainer: trainer.run(ADAMW, 1, rate=np.nextafter(3e-3, 1.0, dtype=np.float32)),
        lambda trainer: trainer.run(ADAMW, 1, rate=3e-3, hurdle=Hurdle(((40, 1e9),))),
        lambda trainer: trainer.run(parse(str(ADAMW).replace("0.9)", "0.8)")), 1, rate=3e-3),
        lambda trainer: trainer.run_optax(another, 1, rate=1e-2, values=[1.0]),
        lambda trainer: trainer.run_optax(weighted(2.0), 1, rate=0.1),
        lambda trainer: trainer.run_optax(half, 1, rate=1e-2, values=[2.0]),
        lambda trainer: trainer.run_optax(half, 1, rate=1e-2, values=[1.0], decays=False),
    ]
    assert str(ADAMW).replace("0.9)", "0.8)") != str(ADAMW)
    for run in others[:4]:
        run(interpreter)
        assert interpreter.resumed_from == 0
    for run in others[4:]:
        run(compiler)
        assert compiler.resumed_from == 0
    recorder = trainer_of("compile", True)
    recorder.run(ADAMW, 1, rate=3e-3)
    assert recorder.resumed_from == 0
    for name, value in (("made_on", lambda: "another machine"), ("accelerator", lambda: "another device")):
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(segments, name, value)
            interpreter.run(ADAMW, 1, rate=3e-3)
            assert interpreter.resumed_from == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == there, "and does not touch the others'"
    interpreter.run(ADAMW, 1, rate=3e-3)
    assert interpreter.resumed_from == TASK.checkpoints[1]
    compiler.run_optax(weighted(1.0), 1, rate=0.1)
    assert compiler.resumed_from == TASK.checkpoints[1], "also of another function that computes the same"


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def foreign(path: Path) -> None:
    """The intact file of another run under this one's name."""
    StateSnapshot(path.parent, "0" * 64).write([np.zeros(3, np.float32)])
    (path.parent / f"{'0' * 32}.npz").rename(path)


def misshapen(path: Path, *, dropped: int = 0) -> None:
    """A file with the right key and a right digest, and arrays of another size."""
    with path.open("rb") as file:
        file.seek(DIGEST_BYTES)
        with np.load(file) as archive:
            key, *leaves = (archive[name] for name in archive.files)
    wrong = StateSnapshot(path.parent, key.tobytes().decode())
    assert wrong.path == path
    wrong.write([*leaves[: len(leaves) - 1 - dropped], leaves[-1][:-4]])


DAMAGE = (truncated, empty, flipped, foreign, misshapen, partial(misshapen, dropped=1))


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_a_file_that_is_not_the_runs_own_and_intact_is_not_used(
    folder: Path, killed: Callable[..., None], caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    trainer = trainer_of("interpret")
    run = partial(trainer.run, ADAMW, 1, rate=3e-3)
    whole = run()
    killed(run, 3)
    (path,) = folder.iterdir()
    damage(path)
    assert run() == whole
    assert (trainer.resumed_from, list(folder.iterdir())) == (0, [])
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        f"{path} is damaged or not of this run: training begins at the first step"
    ]


def test_training_continues_where_no_snapshot_can_be_written(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of("interpret")
    run = partial(trainer.run, ADAMW, 1, rate=3e-3)
    whole = run()
    assert caplog.records == []

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert run() == whole
    assert list(folder.iterdir()) == [], "a file that could not be completed does not stay"
    folder.rmdir()
    folder.write_text("a file where the folder should be")
    assert run() == run() == whole
    words = [record.message for record in caplog.records]
    assert len(words) == len(set(words)) == 3, "each once: nine checkpoints, three runs"
    assert words[0] == f"training continues without snapshots: {folder}: {os.strerror(errno.ENOSPC)}"


def test_the_same_run_twice_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process resumes from the other's snapshot, ends and deletes it, while the other is half-way."""
    trainer = trainer_of("interpret")
    run = partial(trainer.run, ADAMW, 1, rate=3e-3)
    whole = run()
    write, inner, count = StateSnapshot.write, [], 0

    def interrupted(self: StateSnapshot, arrays: Any) -> None:
        nonlocal count
        write(self, arrays)
        count += 1
        if count == 4:
            inner.append((run(), trainer.resumed_from))
            assert list(folder.iterdir()) == []

    monkeypatch.setattr(StateSnapshot, "write", interrupted)
    assert run() == whole
    assert inner == [(whole, TASK.checkpoints[3])]
    assert list(folder.iterdir()) == []


def test_concurrent_writers_leave_a_whole_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    states = [np.full(50_000, number, np.float32) for number in range(2)]
    one = StateSnapshot(tmp_path, "1" * 64)
    one.write([states[0]])
    failures: list[Exception] = []

    def writes(state: np.ndarray) -> None:
        try:
            for _ in range(15):
                StateSnapshot(tmp_path, "1" * 64).write([state])
        except Exception as error:  # noqa: BLE001 - whatever it is, the test fails with it
            failures.append(error)

    writers = [threading.Thread(target=writes, args=(state,)) for state in states]
    for writer in writers:
        writer.start()
    reads = 0
    while reads < 20 or any(writer.is_alive() for writer in writers):
        (found,) = one.read([states[0]]) or [None]
        assert found is not None
        assert any(np.array_equal(found, state) for state in states)
        reads += 1
    for writer in writers:
        writer.join()
    assert (failures, caplog.records) == ([], [])
    assert [path.name for path in tmp_path.iterdir()] == [one.path.name]


def test_abandoned_files_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "KEPT_BYTES", 1000)
    now = time.time()
    for name, size, days in (("new.npz", 300, 0.1), ("killed.part", 300, 1.0), ("older.npz", 300, 2.0),
                             ("too old.npz", 1, 15.0), ("notes.txt", 5000, 100.0)):  # fmt: skip
        (tmp_path / name).write_bytes(bytes(size))
        os.utime(tmp_path / name, (now - 86400 * days,) * 2)
    make_room(tmp_path, 10)
    assert {path.name for path in tmp_path.iterdir()} == {"new.npz", "killed.part", "older.npz", "notes.txt"}
    make_room(tmp_path, 500)
    assert {path.name for path in tmp_path.iterdir()} == {"new.npz", "notes.txt"}


def test_a_state_larger_than_the_folder_is_not_stored(
    folder: Path, written: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "KEPT_BYTES", 1000)
    assert trainer_of("interpret").run(ADAMW, 1).outcome is Outcome.OK
    assert written == []


def test_writing_takes_a_small_share_of_the_time(
    folder: Path, written: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SHARE", 1e-9)
    assert trainer_of("interpret").run(ADAMW, 1).outcome is Outcome.OK
    assert written == []


def test_an_optimizer_that_calls_python_is_not_stored(folder: Path, written: list[Path]) -> None:
    """What it calls is not in the text of the compiled loop, so that its key would not tell it from others."""

    def calling(schedule: Any) -> optax.GradientTransformation:
        def update(updates: Any, state: Any, params: Any = None) -> Any:
            del params
            scale = jax.pure_callback(lambda: np.float32(0.5), jax.ShapeDtypeStruct((), jnp.float32))
            return jax.tree.map(lambda leaf: leaf * scale, updates), state

        return optax.chain(optax.GradientTransformation(lambda params: (), update), optax.sgd(schedule))

    assert trainer_of("compile").run_optax(calling, 1, rate=0.1).outcome is Outcome.OK
    assert written == []


@pytest.mark.parametrize("method", [pytest.param("interpret", marks=SLOW), "compile"])
def test_a_cheap_task_runs_in_one_call_and_stores_nothing(folder: Path, written: list[Path], method: Method) -> None:
    trainer = Trainer(TASK, method=method)
    assert trainer.run(ADAMW, 1).outcome is Outcome.OK
    assert (written, trainer.resumed_from, folder.exists()) == ([], 0, False)


def test_tasks_with_shipped_data_are_cheap() -> None:
    """At 16 times their steps too: their compiled loops and stored results are those of earlier releases."""
    assert max(16 * task.compute for task in TASKS.values() if task.packaged is None) < RESUMABLE_COMPUTE
    assert TASKS["code-x100"].compute > RESUMABLE_COMPUTE


SCRIPT = """
import math, os, signal, sys
import jax

jax.config.update("jax_platforms", "cpu")
from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.execution import segments
from optsearch.proxy_tasks.execution.snapshot import StateSnapshot
from dataclasses import replace
from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.trainer import Trainer

segments.SHARE = math.inf
moment, count = sys.argv[1], 0

def killing(function, moment, after=False):
    def run(*arguments):
        global count
        if after:
            function(*arguments)
        count += moment == sys.argv[1]
        if count == 4 and moment == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        if not after:
            return function(*arguments)
    return run

StateSnapshot.write = killing(StateSnapshot.write, "written", after=True)
os.replace = killing(os.replace, "complete")
os.fsync = killing(os.fsync, "incomplete")
Trainer(replace(get_task("digits"), steps=40), method="compile", resumable_from=0).run(LIBRARY["adamw"], 1, rate=3e-3)
"""


@pytest.mark.parametrize(
    ("moment", "passed"),
    [("written", 4), pytest.param("complete", 3, marks=SLOW), pytest.param("incomplete", 3, marks=SLOW)],
)
def test_after_a_kill_another_process_resumes(folder: Path, moment: str, passed: int) -> None:
    """In the middle of a write too: then from the snapshot before."""
    trainer = trainer_of("compile")
    run = RUNS["compiled"][1]
    whole = run(trainer)
    done = subprocess.run([sys.executable, "-c", SCRIPT, moment], capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    names = sorted(path.suffix for path in folder.iterdir())
    assert names == [".npz", ".part"][: 1 + (moment != "written")]
    assert run(trainer) == whole
    assert trainer.resumed_from == TASK.checkpoints[passed - 1]
    assert [path for path in folder.iterdir() if path.suffix == ".npz"] == []
