"""One training run of a script: a process under supervision, its reports, and the result.

A run that fails is a result: an extreme trial of a tuning may crash any script. A run without a single report is an
error if its optimizer has its own settings: then the script, its environment or the optimizer is broken, and the error
says so before hours are spent. Whatever ends this process also ends the script (see `supervisor`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from optsearch.proxy_tasks.machine import OUR_FLAGS
from optsearch.proxy_tasks.outcome import Outcome
from optsearch.proxy_tasks.run import Trained
from optsearch.selection.scripts import supervisor
from optsearch.selection.scripts.contract import (
    CONTRACT_VERSION,
    FOLDER,
    OPTIMIZER,
    SEED,
    STEPS,
    VERSION,
    Reports,
)
from optsearch.selection.scripts.script import ScriptRunError, TrainingScript

LOG_BYTES = 2_000_000
"""Largest size of the log of a run: the first and the last half of a longer output are kept."""

GRACE_S = 5.0
"""Time between SIGTERM and SIGKILL, and for a script to end after its last report, in seconds."""

TAIL_LINES = 12


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """One training run of a script.

    Attributes:
        script: the script.
        optimizer: source text of the optimizer's module.
        about: the optimizer and its settings in words, for the log.
        name: name of the contender.
        seed: seed of the run.
        is_fresh: True for a run on fresh seeds, which the rule of early stopping spares.
        is_own: True if the optimizer has its own settings, so that the run must report.
    """

    script: TrainingScript
    optimizer: str
    about: str
    name: str
    seed: int
    is_fresh: bool
    is_own: bool

    @property
    def key(self) -> str:
        """Cache key of the result: version of the script, text of the optimizer's module, seed, and early stopping.

        Runs on fresh seeds have no rule of early stopping. Nor have tuning runs if none was given: the same run is then
        trained once.
        """
        module = hashlib.sha256(self.optimizer.encode()).hexdigest()
        stop = "" if self.is_fresh or not self.script.stop else f" stop {list(map(list, self.script.stop))}"
        return f"script {self.script.version} {module} {self.seed}{stop}"

    @property
    def log(self) -> Path:
        """Path of the log."""
        names = re.sub(r"[^\w.-]+", "-", f"{self.script.name}-{self.name}-{self.seed}")[:100]
        return Path(self.script.logs, f"{names}-{hashlib.sha256(self.key.encode()).hexdigest()[:8]}.log")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        code: exit status; None if the process did not start.
        reason: why the supervisor ended it: ``time_limit``, ``done``, ``owner``; ``start`` if it did not start; empty
            if it ended by itself.
        error: message of an error of the supervisor.
    """

    code: int | None
    reason: str
    error: str = ""

    @property
    def sentence(self) -> str:
        """How the process ended, in words."""
        if self.reason == "time_limit":
            return "reached its time limit"
        if self.code is not None and self.code < 0:
            return f"was killed by signal {-self.code}"
        return f"ended with exit status {self.code}"


def run_script(run: ScriptRun) -> Trained:
    """Executes a training run.

    Raises:
        ScriptRunError: the script cannot be started, a file of it has changed, or it made no report although the
            optimizer has its own settings.
    """
    began = time.perf_counter()
    run.script.check_files()
    reports, ended = reports_of(run)
    outcome = _outcome(reports, ended)
    if run.is_own and not reports.count:
        raise ScriptRunError(_failure(run, reports, ended))
    return Trained(reports.result(outcome), time.perf_counter() - began, run.script.machine)


def reports_of(run: ScriptRun) -> tuple[Reports, Ended]:
    """Starts the script, reads its reports until they decide the outcome, and waits for its end.

    Raises:
        ScriptRunError: the script cannot be started.
    """
    script = run.script
    reports = Reports(script.steps, script.checkpoints, () if run.is_fresh else script.stop)
    log = run.log
    with tempfile.TemporaryDirectory(prefix="optsearch-run-", ignore_cleanup_errors=True) as folder:
        module = Path(folder, "optimizer.py")
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(_header(run), encoding="utf-8")
            module.write_text(run.optimizer, encoding="utf-8")
        except OSError as error:
            raise ScriptRunError(
                f"{script.name}: {error.filename or log} cannot be written: {error.strerror}"
            ) from error
        settings = {
            "words": script.words,
            "folder": script.folder,
            "scratch": folder,
            "log": str(log),
            "log_bytes": LOG_BYTES,
            "time_limit_s": script.time_limit_s,
            "grace_s": GRACE_S,
        }
        process = subprocess.Popen(  # noqa: S603 - this package's supervisor, without a shell
            [sys.executable, "-I", "-S", str(supervisor.__file__), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(run, folder),
            start_new_session=True,
        )
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        try:
            ended = _listen(process.stdin, process.stdout, reports)
        finally:
            with contextlib.suppress(BrokenPipeError):  # the supervisor has ended
                process.stdin.close()
            process.stdout.read()  # its end is that of the supervisor, hence of the script
            process.stdout.close()
            process.wait()
    if ended.reason in ("start", "supervisor"):
        raise ScriptRunError(f"{script.name}: the command {shlex.join(script.words)} cannot be run: {ended.error}")
    _note(log, reports, ended)
    return reports, ended


def _listen(commands: IO[bytes], lines: IO[bytes], reports: Reports) -> Ended:
    """Reads what the supervisor says until the script has ended; ends the script once its outcome is known."""
    for line in lines:
        if line.startswith(b"E"):
            return Ended(**json.loads(line[1:]))
        if reports.outcome is None:
            reports.add(line[1:].decode("utf-8", "replace"))
            _answer(commands, reports.outcome)
    return Ended(None, "supervisor", "its supervisor was killed")


def _answer(commands: IO[bytes], outcome: Outcome | None) -> None:
    """Tells the supervisor to wait for the end of a complete run, or to end a failed one."""
    try:
        if outcome is Outcome.OK:
            commands.write(b"D")
            commands.flush()
        elif outcome is not None:
            commands.close()
    except BrokenPipeError:  # the script has ended meanwhile
        return


def _outcome(reports: Reports, ended: Ended) -> Outcome:
    if reports.outcome is not None:
        return reports.outcome
    if ended.reason == "time_limit":
        return Outcome.TIME_LIMIT
    return Outcome.CRASHED if ended.code else Outcome.INCOMPLETE


def _environment(run: ScriptRun, folder: str) -> dict[str, str]:
    """Environment of a script: that of this process, without what this process and Ray set for themselves."""
    script = run.script
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "OPTSEARCH_"))}
    flags = [flag for flag in inherited.pop("XLA_FLAGS", "").split() if flag not in OUR_FLAGS]
    cores = str(script.cpus)
    own: Mapping[str, str] = {
        OPTIMIZER: str(Path(folder, "optimizer.py")),
        SEED: str(run.seed),
        STEPS: str(script.steps),
        FOLDER: folder,
        VERSION: str(CONTRACT_VERSION),
        "PYTHONUNBUFFERED": "1",  # otherwise reports arrive when the script ends
        "PYTHONHASHSEED": "0",
        "NPROC": cores,
        "OMP_NUM_THREADS": cores,
        "MKL_NUM_THREADS": cores,
        "OPENBLAS_NUM_THREADS": cores,
        **({"XLA_FLAGS": " ".join(flags)} if flags else {}),
        **({} if script.gpus else {"CUDA_VISIBLE_DEVICES": ""}),
    }
    return {**inherited, **own}


def _header(run: ScriptRun) -> str:
    return (
        f"optsearch: {run.about}, seed {run.seed}, {run.script.steps} steps\n"
        f"optsearch: {shlex.join(run.script.words)} in {run.script.folder}\n"
    )


def _note(log: Path, reports: Reports, ended: Ended) -> None:
    """Adds how the run ended to its log; a full disk leaves it out."""
    fault = f"; {reports.fault}" if reports.fault else ""
    try:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"\noptsearch: {_outcome(reports, ended).value}; the script {ended.sentence}{fault}\n")
    except OSError:
        return


def _failure(run: ScriptRun, reports: Reports, ended: Ended) -> str:
    """Message about a run without a report."""
    fault = f": {reports.fault}" if reports.fault else f", and it {ended.sentence}"
    return (
        f"{run.script.name} with {run.about} made no report{fault}. {tail(run.log)}Its log is {run.log}. "
        "A script prints a JSON line for each report (docs/scripts.md); `--check` tries it in seconds. Finished runs "
        "are kept"
    )


def tail(log: Path) -> str:
    """The last lines of a log, for a message."""
    try:
        lines: list[Any] = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    said = [line for line in lines if line.strip() and not line.startswith("optsearch: ")][-TAIL_LINES:]
    return "Its last lines:\n" + "".join(f"    {line[:200]}\n" for line in said) if said else "It printed nothing. "
