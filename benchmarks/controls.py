"""Compares discovered programs with controls that have the simple changes searches find first.

    python benchmarks/controls.py root-scale bounded-root leaky-max     20 minutes; 4 after `reproduce.py held-out`

These changes are fast decays and a flat schedule. The controls are programs in ``benchmarks/controls/``: AdamW with the
decays that searches typically find, and the same with the cube root of the schedule. Tuning from AdamW's default decays
does not reach these values within 48 trials. All contenders have the same tuning budget. Differences are paired by
fresh seed; p-values of the permutation test are Holm-corrected over all comparisons. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from optsearch.runs.commands.evaluate import run_evaluation
from optsearch.runs.text.phrasing import bounds
from optsearch.selection.significance import holm, permutation_test
from optsearch.selection.statistics import paired_difference

TASKS = ("digits", "cnn", "diffusion", "contrastive", "finetune", "vit", "mlm")
"""Tasks held out from the searches and the funnel that selected the shipped programs."""

CONTROLS = tuple(Path(__file__).parent / "controls" / f"{name}.txt" for name in ("adamw-short", "adamw-short-flat"))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+", help="as in `optsearch evaluate`")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--tune", type=int, default=48, help="trials")
    parser.add_argument("--seeds", type=int, default=64, help="fresh seeds")
    parser.add_argument("--skip-seeds", type=int, default=32, help="fresh seeds that a first look has used")
    parser.add_argument("--workers", type=int, help="training runs at a time [default: one for each core]")
    options = parser.parse_args()
    found = run_evaluation(
        [*options.programs, *map(str, CONTROLS)],
        options.tasks,
        options.seeds,
        ["adamw"],
        skipped=options.skip_seeds,
        trials=options.tune,
        constants=True,
        workers=options.workers,
    ).evaluation
    losses: dict[tuple[str, str], dict[int, float]] = {}
    for row in found.rows:
        if row.test_loss is not None:
            losses.setdefault((row.contender, row.task), {})[row.seed] = row.test_loss
    controls = [path.stem for path in CONTROLS]
    programs = [name for name in found.contenders if name not in (*controls, found.reference)]
    pairs = [(one, other, task) for one in programs for other in controls for task in found.tasks]
    gaps = [paired_difference(losses[one, task], losses[other, task]) for one, other, task in pairs]
    p_values = []
    for one, other, task in pairs:
        mine, theirs = losses[one, task], losses[other, task]
        p_values.append(permutation_test([mine[seed] - theirs[seed] for seed in sorted(set(mine) & set(theirs))]))
    rows = []
    print("| program | control | task | difference in test loss | p, corrected |\n|---|---|---|---|---|")
    for (one, other, task), gap, p in zip(pairs, gaps, holm(p_values), strict=True):
        ends = None if gap is None else [gap.low, gap.high]
        print(
            f"| {one} | {other} | `{task}` | {'-' if gap is None else f'{gap.mean:+.4f}'} {bounds(ends, 4)} | {p:.2g} |"
        )
        mean = None if gap is None else gap.mean
        rows.append({"program": one, "control": other, "task": task, "difference": mean, "interval": ends, "p": p})
    print(json.dumps({"comparisons": rows}))


if __name__ == "__main__":
    main()
