"""A training script of the user: the command, its budget and resources, and what identifies its results."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from optsearch.dsl.errors import UserError
from optsearch.proxy_tasks.machine import made_on
from optsearch.proxy_tasks.task import CHECKPOINTS
from optsearch.search.workers.cluster import placeable
from optsearch.selection.scripts.contract import CONTRACT_VERSION, Stop
from optsearch.selection.scripts.interpreter import interpreter_words, packages
from optsearch.selection.scripts.sources import digest, sources

Framework = Literal["torch", "jax"]
FRAMEWORKS: tuple[Framework, ...] = ("torch", "jax")

TIME_LIMIT_S = 3600.0
"""Default time limit of a run, in seconds."""

MOST_STEPS = 10**9

NEEDS = {"torch": ("torch",), "jax": ("jax", "optax")}
"""Packages that the optimizer's module needs, by framework."""


class ScriptError(UserError, ValueError):
    """A training script cannot be used as requested."""


class ScriptRunError(ScriptError, RuntimeError):
    """A run of a training script failed in a way that says nothing about an optimizer."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class TrainingScript:
    """A training script as a target of a comparison.

    Attributes:
        name: name of the script's file, or of the command if no file is named.
        words: the command, without a shell.
        folder: folder in which it runs.
        files: each file that the command names or that such a file imports, relative to the folder, with a hash of its
            content.
        framework: ``torch`` or ``jax``: form of the optimizer's module.
        steps: budget of a run in optimizer steps.
        packages: version of the interpreter and of packages that decide results, by name; those of this process if the
            command names no interpreter.
        cpus: CPU cores for each run.
        gpus: GPUs for each run; below 1, runs share one. With 0 a run sees none.
        time_limit_s: wall-clock limit of a run in seconds.
        stop: rule of early stopping of runs that are not on fresh seeds: pairs of a step and the largest validation
            loss at the first report from there on.
        logs: folder of the logs.
        machine: machine of the command that compares, under which results are kept wherever they are computed.
    """

    name: str
    words: tuple[str, ...]
    folder: str
    files: tuple[tuple[str, str], ...]
    framework: Framework
    steps: int
    packages: tuple[tuple[str, str], ...]
    cpus: int
    gpus: float
    time_limit_s: float
    stop: Stop
    logs: str
    machine: str

    @property
    def version(self) -> str:
        """Identity of the results: a hash of all that decides them, except the optimizer, its settings and the seed.

        The folder and the time limit are no part of it, and the rule of early stopping is part of the keys of the runs
        to which it applies.
        """
        about = [CONTRACT_VERSION, self.words, self.files, self.framework, self.steps, self.packages, self.cpus]
        about.append(self.gpus > 0.0)
        return f"{self.name} {hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]}"

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Steps at which results have losses, ten as for tasks; a script reports at its own steps."""
        places = [round(self.steps * part / CHECKPOINTS) for part in range(1, CHECKPOINTS + 1)]
        return tuple(dict.fromkeys(place for place in places if place))

    @property
    def trivial_loss(self) -> None:
        """None: the loss of a trivial predictor is unknown."""
        return

    def longer(self, times: float) -> TrainingScript:
        """The script with a multiple of its steps; early stopping is by the same reports."""
        return replace(self, steps=round(self.steps * times))

    def recorded(self) -> dict[str, Any]:
        """The script as JSON values, for the settings of a comparison."""
        return {
            "contract": CONTRACT_VERSION,
            "command": shlex.join(self.words),
            "files": dict(self.files),
            "framework": self.framework,
            "steps": self.steps,
            "packages": dict(self.packages),
            "cpus": self.cpus,
            "gpus": self.gpus,
            "time_limit_s": self.time_limit_s,
            "stop": [list(pair) for pair in self.stop],
        }

    def check_files(self) -> None:
        """Checks that the files of the command are those of its version.

        Raises:
            ScriptRunError: a file has changed or is missing.
        """
        if not Path(self.folder).is_dir():
            raise ScriptRunError(
                f"{self.name}: no folder {self.folder} on this machine: a script runs in the folder in which the "
                "command was started, which all nodes of a cluster must have"
            )
        for path, known in self.files:
            if digest(Path(self.folder, path)) != known:
                raise ScriptRunError(
                    f"{self.name}: the file {path} has changed since this command was started: finished runs are kept "
                    "for its former version; start the command again to compare with the new one"
                )


def load_script(
    command: str,
    *,
    steps: int,
    framework: str = "torch",
    cpus: int = 1,
    gpus: float = 0.0,
    time_limit_s: float = TIME_LIMIT_S,
    stop: Sequence[str] = (),
    logs: str | Path = "optsearch-runs",
    folder: str | Path | None = None,
) -> TrainingScript:
    """Reads the command line of a training script, and asks its interpreter for the packages.

    Args:
        command: the command line, such as ``python train.py --width 64``, split as by a POSIX shell but run without
            one. A file that ends in ``.py`` runs with the interpreter of this process.
        steps: budget of a run in optimizer steps, at least 1.
        framework: ``torch`` or ``jax``.
        cpus: CPU cores for each run, at least 1.
        gpus: GPUs for each run, a whole number or a fraction below 1.
        time_limit_s: wall-clock limit of a run in seconds.
        stop: rule of early stopping, such as ``200:6.5``: a tuning run whose validation loss is above 6.5 at its first
            report from step 200 on is stopped.
        logs: folder of the logs.
        folder: folder in which the script runs. Defaults to the working folder.

    Raises:
        ScriptError: a value is out of range, the command cannot be read, its program or a file does not exist, or its
            interpreter lacks the framework.
    """
    if framework not in FRAMEWORKS:
        raise ScriptError(f"unknown framework '{framework}': use {' or '.join(FRAMEWORKS)}")
    if not 1 <= steps <= MOST_STEPS:
        raise ScriptError(f"the budget is {steps} steps: it must be a whole number from 1 to {MOST_STEPS:,}")
    if cpus < 1:
        raise ScriptError(f"{cpus} CPUs for each run: it must be a whole number of at least 1")
    if not placeable(gpus):
        raise ScriptError(f"{gpus:g} GPUs for each run: use a whole number, or a fraction below 1 for runs that share")
    if not 0.0 < time_limit_s < math.inf:
        raise ScriptError(f"a time limit of {time_limit_s:g} s: it must be a number of seconds above 0")
    here = Path(folder or os.getcwd()).resolve()
    words = _words(command, here)
    python = interpreter_words(words)
    known = packages(python or (sys.executable,), str(here))
    for package in NEEDS[framework] if python else ():  # a launcher may start an interpreter that is not known here
        if package not in known:
            other = "jax" if framework == "torch" else "torch"
            raise ScriptError(
                f"{shlex.join(python)} has no package '{package}', which the optimizers of this script need "
                f"(--framework {framework}): install it there, name another interpreter in --script, or use "
                f"--framework {other}"
            )
    named = [word for word in words if word.endswith(".py")]
    return TrainingScript(
        name=Path((named or list(words))[0]).name.replace("@", "-"),
        words=words,
        folder=str(here),
        files=sources(words, here),
        framework=framework,
        steps=steps,
        packages=tuple(known.items()),
        cpus=cpus,
        gpus=gpus,
        time_limit_s=time_limit_s,
        stop=parse_stop(stop, steps),
        logs=str(Path(logs).resolve() / "script-logs"),
        machine=made_on(),
    )


def parse_stop(texts: Sequence[str], steps: int) -> Stop:
    """Reads a rule of early stopping such as ``200:6.5``, in order of the steps.

    Raises:
        ScriptError: a text is malformed, or its step is outside the budget or named twice.
    """
    found: dict[int, float] = {}
    for text in texts:
        step, colon, limit = text.partition(":")
        try:
            at, loss = int(step), float(limit)
        except ValueError:
            colon, at, loss = "", 0, 0.0
        if not colon or math.isnan(loss):
            raise ScriptError(f"'{text}' is not a rule of early stopping: write STEP:LOSS, such as 200:6.5")
        if not 0 <= at <= steps:
            raise ScriptError(f"the rule {text} is outside the budget: its step must be from 0 to {steps}")
        if at in found:
            raise ScriptError(f"two rules of early stopping at step {at}: give one")
        found[at] = loss
    return tuple(sorted(found.items()))


def interpreter_of(script: TrainingScript) -> tuple[str, ...]:
    """Command that starts the interpreter of a script, or that of this process if the script's command names none."""
    return interpreter_words(script.words) or (sys.executable,)


def _words(command: str, folder: Path) -> tuple[str, ...]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ScriptError(f"--script {command!r} cannot be read: {error}") from error
    if not words:
        raise ScriptError("--script is empty: write the command line of the script, such as 'python train.py'")
    if words[0].endswith(".py"):
        words.insert(0, sys.executable)
    for word in words:
        if word.endswith(".py") and not word.startswith("-") and not (folder / word).is_file():
            near = sorted(path.name for path in folder.glob("*.py"))[:5]
            hint = f"; there are {', '.join(near)}" if near else ""
            raise ScriptError(f"script '{word}': no such file in {folder}{hint}: correct --script")
    program = words[0] if os.sep not in words[0] else str(folder / words[0])
    if shutil.which(program) is None:
        raise ScriptError(f"--script: there is no program '{words[0]}' to run: correct its path or install it")
    return (program, *words[1:])
