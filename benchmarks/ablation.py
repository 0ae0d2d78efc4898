"""What is each part of a program worth? The loss without it, tuned as the program is, on tasks of your choice.

    python benchmarks/ablation.py PROGRAM --task land --task code          resumes; runs are kept in optsearch-runs/
    python benchmarks/ablation.py lion --task digits --tune 2 --replicates 3 --seeds 2                       a minute

PROGRAM is a file, a library name or RUN:ID. After exact simplification, each variant lacks one part: a statement, in
whose place one of its operands is read, or a state variable, in whose place the gradient is read
(`optsearch.simplify.ablation.ablate.shorter`). The program and all variants are tuned and measured as `optsearch
evaluate` does it, with all constants free, beside AdamW as a scale. A statement with several operands has several
variants. On each task the one with the lowest validation loss counts, and its test loss is reported, so that the choice
does not favour it.

A part is worth the difference: the test loss without it minus that of the program, positive if the part helps. The
interval is Welch's over replicates, and the p-value that of the permutation test over replicates, corrected after Holm
for all parts and tasks. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from optsearch.dsl.dataflow import prune
from optsearch.dsl.errors import UserError
from optsearch.dsl.program import Program
from optsearch.runs.commands.evaluate import run_evaluation
from optsearch.runs.library.references import RUNS_FOLDER, load_program
from optsearch.runs.store.environment import about_machine
from optsearch.selection.comparison.comparison import compare, counted_losses
from optsearch.selection.comparison.evaluation import REPLICATES, Evaluation
from optsearch.selection.comparison.settings import EvaluationSettings
from optsearch.selection.statistics.significance import holm
from optsearch.selection.tuning.tuner import TRIALS
from optsearch.simplify.ablation.ablate import shorter
from optsearch.simplify.rewriting.rewrite import rewrite

WHOLE = "whole"
"""Name of the program without changes."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What a part of a program is worth on a task.

    Attributes:
        part: what was left out.
        task: name of the task.
        variant: program without the part that has the lowest validation loss on the task.
        loss: its mean test loss over replicates.
        difference: this loss minus that of the program.
        low: lower end of the 95 % interval.
        high: upper end of the 95 % interval.
        p: p-value of the permutation test over replicates.
        corrected: the same, corrected for all parts and tasks.
    """

    part: str
    task: str
    variant: str
    loss: float
    difference: float
    low: float | None
    high: float | None
    p: float
    corrected: float


def variants(program: Program) -> dict[str, tuple[str, Program]]:
    """The variants of a simplified program by their names, each with the part that it lacks."""
    return {f"without-{number}": (part, other) for number, (part, other) in enumerate(shorter(program), start=1)}


def worths(evaluation: Evaluation, parts: Mapping[str, str]) -> list[Worth]:
    """The worth of every part on every task.

    Args:
        evaluation: of the program, which is called ``WHOLE``, and its variants, in two replicates or more.
        parts: the part that each variant lacks.
    """
    found: list[Worth] = []
    tested, chosen_by = evaluation.by_replicate(), evaluation.by_replicate(test=False)
    trivial = dict(evaluation.trivial)
    for task in evaluation.tasks:
        validated = counted_losses(chosen_by[task], trivial[task])
        best = {
            part: min((name for name in parts if parts[name] == part), key=lambda name: fmean(validated[name]))
            for part in dict.fromkeys(parts.values())
        }
        part_of = {variant: part for part, variant in best.items()}
        losses = {name: tested[task][name] for name in (WHOLE, *part_of)}
        counted = counted_losses(losses, trivial[task])
        rows, _ = compare({task: losses}, list(part_of), [WHOLE], (), trivial, replicated=True)
        for row in rows:
            if row.difference is None or row.p_value is None:
                raise ValueError(f"{task}: the worth of a part needs two replicates or more")
            interval, mean = row.difference, fmean(counted[row.contender])
            about = part_of[row.contender], task, row.contender, mean
            found.append(Worth(*about, interval.mean, interval.low, interval.high, row.p_value, 1.0))
    corrected = holm([row.p for row in found])
    return [Worth(**{**asdict(row), "corrected": value}) for row, value in zip(found, corrected, strict=True)]


def evaluated(
    program: Program, settings: EvaluationSettings, *, folder: Path | None = None, workers: int | None = None
) -> tuple[Evaluation, dict[str, tuple[str, Program]]]:
    """Tunes and measures a program and its variants.

    Args:
        program: a simplified program.
        settings: tasks and protocol.
        folder: folder of the training cache; None for the folder of runs.
        workers: concurrent training runs; None for one per core.

    Returns:
        The evaluation, in which the program is called ``WHOLE``; and its variants.
    """
    lacking = variants(program)
    with tempfile.TemporaryDirectory() as texts:
        files = {WHOLE: program, **{name: other for name, (_, other) in lacking.items()}}
        for name, other in files.items():
            (Path(texts) / f"{name}.txt").write_text(str(other), encoding="utf-8")
        references = [f"{texts}/{name}.txt" for name in files]
        return run_evaluation(references, settings, folder=folder, workers=workers).evaluation, lacking


def losses_of(evaluation: Evaluation, name: str) -> dict[str, float]:
    """Mean test loss of a contender on each task."""
    tested, trivial = evaluation.by_replicate(), dict(evaluation.trivial)
    return {task: fmean(counted_losses(tested[task], trivial[task])[name]) for task in evaluation.tasks}


def table_of(found: Sequence[Worth], whole: Mapping[str, float], adamw: Mapping[str, float]) -> str:
    """The worths as a Markdown table, with one row for each part.

    Args:
        found: worth of each part on each task.
        whole: loss of the program on each task.
        adamw: loss of AdamW on each task, tuned alike, as a scale.
    """
    tasks = list(whole)
    lines = ["| part | " + " | ".join(f"`{task}`" for task in tasks) + " |", "|---" * (len(tasks) + 1) + "|"]
    for title, losses in (("the whole program", whole), ("AdamW", adamw)):
        lines.append(f"| {title}: loss | " + " | ".join(f"{losses[task]:.5g}" for task in tasks) + " |")
    for part in dict.fromkeys(row.part for row in found):
        cells = [_cell(row) for task in tasks for row in found if row.part == part and row.task == task]
        lines.append(f"| {part} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: Worth) -> str:
    bounds = "" if row.low is None else f" [{row.low:+.2g}, {row.high:+.2g}]"
    return f"{row.difference:+.3g}{bounds}, p {row.corrected:.2g}"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="file, library name or RUN:ID")
    parser.add_argument("--task", dest="tasks", action="append", required=True, help="task; may be repeated")
    parser.add_argument("--tune", type=int, default=TRIALS, help="trials of each tuning")
    parser.add_argument("--replicates", type=int, default=REPLICATES, help="tunings of each variant")
    parser.add_argument("--seeds", type=int, default=8, help="fresh seeds of each replicate")
    parser.add_argument(
        "--skip-seeds", type=int, default=0, help="fresh seeds to skip, if earlier evaluations used them"
    )
    parser.add_argument("--workers", type=int, help="concurrent training runs [default: one per core]")
    parser.add_argument("--kept-in", type=Path, default=RUNS_FOLDER, help="folder of the training cache")
    options = parser.parse_args()
    if options.replicates < 2:
        parser.error("--replicates: intervals need 2 or more")
    try:
        program = rewrite(prune(load_program(options.program).program)).program
        settings = EvaluationSettings(
            tasks=tuple(options.tasks),
            seeds=options.seeds,
            baselines=("adamw",),
            skipped=options.skip_seeds,
            trials=options.tune,
            replicates=options.replicates,
        )
        evaluation, lacking = evaluated(program, settings, folder=options.kept_in, workers=options.workers)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    found = worths(evaluation, {name: part for name, (part, _) in lacking.items()})
    whole, adamw = losses_of(evaluation, WHOLE), losses_of(evaluation, "adamw")
    print(f"{program}\n\n{table_of(found, whole, adamw)}\n")
    texts = {name: str(other) for name, (_, other) in lacking.items()}
    about = {"program": str(program), "variants": texts, "losses": whole, "adamw": adamw}
    about |= {"worths": [asdict(row) for row in found]}
    print(json.dumps(about | {"settings": settings.recorded(), "machine": dict(about_machine())}))


if __name__ == "__main__":
    main()
