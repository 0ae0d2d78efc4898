"""A claim that is registered before it is measured: what will be run, on what, and what will count as a success.

    python benchmarks/claim.py FOLDER                     what is registered, and what has been measured
    python benchmarks/claim.py FOLDER --measure land      one target; resumes, and is kept in FOLDER/land.json.gz
    python benchmarks/claim.py FOLDER --judge             the verdict, once all targets are measured

FOLDER has the file `registered.yaml` and each program of the claim as NAME.txt. These files must be committed before
anything is measured, and every result carries their digest, so that a result of a changed registration is refused. A
target is measured once: a second measurement is refused as long as the first one lies there.

A target is a task, a task with a horizon such as ``digits@16x``, or ``script``, the training script of the
registration. On each target, all contenders are tuned and measured as `optsearch evaluate` does it. A program wins on a
target if it is better than every opponent there: the permutation test over replicates, two-sided, corrected after Holm
for all programs, targets and opponents at once, has a p-value below the level, the mean loss is lower, and the program
does not fail more often. An opponent that is a member of a family of baselines stands for the best member by tuned
validation loss in each replicate. The claim holds for a program that wins on the registered share of the targets, keeps
no more state than the registered optimizer, and whose lead over no opponent fades over the registered horizons.

The last line of a verdict is one JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from optsearch.dsl.errors import UserError
from optsearch.runs.commands.evaluate import run_evaluation
from optsearch.runs.summary.evaluation_json import decode_evaluation
from optsearch.selection.comparison.comparison import compare, counted_losses
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.comparison.settings import EvaluationSettings
from optsearch.selection.comparison.trend import FADES, trends
from optsearch.selection.problem import Problem
from optsearch.selection.scripts.script import load_script
from optsearch.selection.statistics.significance import holm

REGISTERED = "registered.yaml"
SCRIPT = "script"
"""Name of the target that is a training script."""


class ClaimError(UserError, ValueError):
    """A claim is not registered as it should be, or lacks a measurement."""


class Protocol(BaseModel):
    """How contenders are tuned and measured on every target."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: int = Field(ge=1)
    replicates: int = Field(ge=2)
    seeds: int = Field(ge=2)
    skipped_seeds: int = Field(ge=0)


class Script(BaseModel):
    """A training script among the targets; its baselines are those of its framework."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str
    steps: int = Field(ge=10)
    framework: str = "torch"
    baselines: tuple[str, ...]
    time_limit_s: float = 3600.0


class Horizons(BaseModel):
    """Tasks over whose horizons no lead may fade."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: tuple[str, ...]
    multiples: tuple[int, ...] = Field(min_length=2)

    @property
    def names(self) -> list[str]:
        """Names of the tasks at all horizons, such as ``digits@4x``."""
        return [f"{task}@{times}x" for task in self.tasks for times in self.multiples]


class Registration(BaseModel):
    """What will be run, and what will count as a success."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str
    programs: tuple[str, ...] = Field(min_length=1)
    baselines: tuple[str, ...]
    targets: tuple[str, ...] = Field(min_length=1)
    protocol: Protocol
    opponents: tuple[str, ...] = Field(min_length=1)
    state: str
    """Baseline whose bytes of state no program of the claim may exceed."""

    level: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.01
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 2 / 3
    script: Script | None = None
    horizons: Horizons | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (SCRIPT in self.targets) != (self.script is not None):
            raise ValueError(f"the target '{SCRIPT}' and the key 'script' need each other")
        tasks = [name for name in self.measured if name != SCRIPT]
        if not tasks or len(set(self.measured)) < len(self.measured):
            raise ValueError(f"the targets need a task, and must be distinct: {', '.join(self.measured)}")
        for name in tasks:
            Problem.named(name)  # raises TaskError
        if both := sorted(set(self.programs) & {*self.baselines, *(self.script.baselines if self.script else ())}):
            raise ValueError(f"{', '.join(both)}: a program needs another name than a baseline")
        for name in (*self.opponents, self.state):
            if name not in self.baselines or (self.script and name not in self.script.baselines):
                raise ValueError(f"'{name}' must be among the baselines of all targets")
        return self

    @property
    def measured(self) -> list[str]:
        """All that is measured: the targets, then the horizons."""
        return [*self.targets, *(self.horizons.names if self.horizons else [])]


class Claim:
    """A registered claim with its results.

    Args:
        folder: folder of the registration.
        committed: if True, the registration must be committed.
    """

    def __init__(self, folder: Path, *, committed: bool = True):
        self.folder = folder
        try:
            text = (folder / REGISTERED).read_text(encoding="utf-8")
            self.plan = Registration.model_validate(yaml.safe_load(text))
            texts = [(folder / f"{name}.txt").read_text(encoding="utf-8") for name in self.plan.programs]
        except (OSError, ValueError, UserError, yaml.YAMLError) as error:
            raise ClaimError(f"{folder}: {error}") from error
        self.digest = hashlib.sha256("\0".join([text, *texts]).encode()).hexdigest()[:16]
        if committed:
            self._check_committed()

    def _check_committed(self) -> None:
        names = [REGISTERED, *(f"{name}.txt" for name in self.plan.programs)]
        tracked = _git(self.folder, "ls-files", *names).split()
        if absent := sorted(set(names) - {Path(name).name for name in tracked}):
            raise ClaimError(f"{self.folder}: {', '.join(absent)} must be committed before anything is measured")
        if changed := _git(self.folder, "status", "--porcelain", "--", *names):
            raise ClaimError(f"{self.folder}: has changes that are not committed: {' '.join(changed.split())}")

    def path(self, target: str) -> Path:
        """The file with the result of a target."""
        return self.folder / f"{target}.json.gz"

    def measure(self, target: str, kept_in: Path | None = None, workers: int | None = None) -> None:
        """Measures a target, and keeps the result.

        Raises:
            ClaimError: the target is not registered, or has been measured.
        """
        plan, protocol = self.plan, self.plan.protocol
        if target not in plan.measured:
            raise ClaimError(f"'{target}' is not registered: {', '.join(plan.measured)}")
        if self.path(target).exists():
            raise ClaimError(f"{self.path(target)} is there already: a target is measured once")
        script = plan.script if target == SCRIPT else None
        problem = None if script else Problem.named(target)
        settings = EvaluationSettings(
            tasks=(problem.task,) if problem else (),
            seeds=protocol.seeds,
            baselines=script.baselines if script else plan.baselines,
            skipped=protocol.skipped_seeds,
            batches=(problem.batch,) if problem and problem.batch else None,
            horizons=(problem.horizon,) if problem and problem.horizon else None,
            trials=protocol.trials,
            replicates=protocol.replicates,
            script=load_script(
                script.command, steps=script.steps, framework=script.framework, time_limit_s=script.time_limit_s
            )
            if script
            else None,
        )
        references = [str(self.folder / f"{name}.txt") for name in plan.programs]
        result = run_evaluation(references, settings, folder=kept_in, workers=workers)
        whole = {"registered": self.digest, "result": result.as_values()}
        unfinished = self.path(target).with_suffix(".part")
        unfinished.write_bytes(gzip.compress(json.dumps(whole).encode(), mtime=0))
        unfinished.replace(self.path(target))

    def result(self, target: str) -> Evaluation:
        """The result of a target.

        Raises:
            ClaimError: it is not measured, or was measured for another registration.
        """
        path = self.path(target)
        if not path.exists():
            raise ClaimError(f"{target} is not measured yet: --measure {target}")
        kept = json.loads(gzip.decompress(path.read_bytes()))
        if kept["registered"] != self.digest:
            raise ClaimError(f"{path}: was measured for another registration ({kept['registered']})")
        return decode_evaluation(kept["result"])


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ClaimError(f"{folder}: is not in a git repository: {done.stderr.strip()}")
    return done.stdout


def opponents_of(evaluation: Evaluation, names: Sequence[str]) -> dict[str, str]:
    """For each opponent the family that it stands for, or itself."""
    family = {member: family.name for family in evaluation.families for member in family.members}
    return {name: family.get(name, name) for name in names}


def tests_of(claim: Claim) -> list[dict[str, Any]]:
    """Every program against every opponent on every target, corrected for all of these tests."""
    rows: list[dict[str, Any]] = []
    for target in claim.plan.targets:
        evaluation = claim.result(target)
        losses, trivial = evaluation.with_families(), dict(evaluation.trivial)
        called = {other: name for name, other in opponents_of(evaluation, claim.plan.opponents).items()}
        compared, _ = compare(losses, claim.plan.programs, list(called), (), trivial, replicated=True)
        for row in compared:
            counted = counted_losses(losses[row.task], trivial[row.task])
            mine, theirs = fmean(counted[row.contender]), fmean(counted[row.baseline])
            about = {"target": target, "program": row.contender, "opponent": called[row.baseline]}
            about |= {"stands_for": row.baseline, "loss": mine, "opponent_loss": theirs, "p": row.p_value}
            rows.append(about | {"fails_more": row.failed > row.baseline_failed})
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["corrected"] = corrected
        row["better"] = corrected < claim.plan.level and row["loss"] < row["opponent_loss"] and not row["fails_more"]
    return rows


def fading(claim: Claim) -> list[dict[str, Any]]:
    """The trend of every program against every opponent over the horizons."""
    if claim.plan.horizons is None:
        return []
    found: list[dict[str, Any]] = []
    for task in claim.plan.horizons.tasks:
        parts = [claim.result(f"{task}@{times}x") for times in claim.plan.horizons.multiples]
        names = [part.tasks[0] for part in parts]
        # A family may have other members than the opponent at another horizon, so opponents have their own names here.
        losses: dict[str, dict[str, list[list[float]]]] = {}
        for name, part in zip(names, parts, strict=True):
            rows, of = part.with_families()[name], opponents_of(part, claim.plan.opponents)
            losses[name] = {program: rows[program] for program in claim.plan.programs}
            losses[name] |= {opponent: rows[other] for opponent, other in of.items()}
        steps = [part.checkpoints[0][-1] for part in parts]
        trivial = {name: dict(part.trivial)[name] for name, part in zip(names, parts, strict=True)}
        horizons = {task: list(zip(names, steps, strict=True))}
        for trend in trends(losses, horizons, claim.plan.programs, trivial):
            found.append(
                {"task": task, "program": trend.contender, "opponent": trend.opponent, "verdict": trend.verdict}
                | {"differences": [row.mean for row in trend.differences], "slope": trend.slope.mean}
            )
    return found


def judge(claim: Claim) -> dict[str, Any]:
    """The verdict of the registered rule on every program.

    Raises:
        ClaimError: a target or horizon is not measured.
    """
    tests, faded = tests_of(claim), fading(claim)
    state = dict(claim.result(next(t for t in claim.plan.targets if t != SCRIPT)).state_bytes)
    verdicts: list[dict[str, Any]] = []
    for program in claim.plan.programs:
        mine = [row for row in tests if row["program"] == program]
        won = [t for t in claim.plan.targets if all(row["better"] for row in mine if row["target"] == t)]
        fades = [row for row in faded if row["program"] == program and row["verdict"] == FADES]
        needed = math.ceil(claim.plan.share * len(claim.plan.targets) - 1e-9)
        small = state[program] <= state[claim.plan.state]
        verdicts.append(
            {"program": program, "won": won, "needed": needed, "state": state[program], "state_is_small": small}
            | {"fades": fades, "holds": len(won) >= needed and small and not fades}
        )
    return {"registered": claim.digest, "tests": tests, "trends": faded, "verdicts": verdicts}


def table_of(found: Mapping[str, Any]) -> str:
    """The verdict as Markdown."""
    lines = ["| target | program | loss | opponent | its loss | p, corrected | |", "|---|---|---|---|---|---|---|"]
    for row in found["tests"]:
        numbers = f"{row['loss']:.5g} | {row['stands_for']} | {row['opponent_loss']:.5g} | {row['corrected']:.4f}"
        lines.append(f"| {row['target']} | {row['program']} | {numbers} | {'better' if row['better'] else '-'} |")
    for row in found["trends"]:
        leads = ", ".join(f"{each:+.4g}" for each in row["differences"])
        about = f"{row['task']}: {row['program']} minus {row['opponent']}"
        lines.append(f"{about} over the horizons {leads}: {row['verdict']}")
    for row in found["verdicts"]:
        won = f"wins on {len(row['won'])} targets ({', '.join(row['won']) or 'none'}), {row['needed']} needed"
        state = "no more state" if row["state_is_small"] else "more state"
        verdict = "holds" if row["holds"] else "fails"
        lines.append(f"{row['program']}: {won}; {state}; {len(row['fades'])} leads fade: the claim {verdict}")
    return "\n".join(lines)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the registration")
    parser.add_argument("--measure", metavar="TARGET", help="measure one target")
    parser.add_argument("--judge", action="store_true", help="apply the registered rule")
    parser.add_argument("--kept-in", type=Path, help="folder of the training cache")
    parser.add_argument("--workers", type=int, help="concurrent training runs [default: one per core]")
    options = parser.parse_args()
    try:
        claim = Claim(options.folder, committed=bool(options.measure))
        if options.measure:
            claim.measure(options.measure, options.kept_in, options.workers)
        elif options.judge:
            found = judge(claim)
            print(table_of(found))
            print(json.dumps(found))
        else:
            print(f"{claim.plan.question}\nregistration {claim.digest}")
            for target in claim.plan.measured:
                print(f"{target}: {'measured' if claim.path(target).exists() else 'not measured'}")
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
