"""Computes the p-values and intervals of shipped programs again, from the losses of all seeds, with scipy alone.

    python benchmarks/recompute.py                 all discovered programs that ship; seconds
    python benchmarks/recompute.py root-scale      one of them
    python benchmarks/recompute.py --folder DIR    entries of another folder

Nothing of the package is imported. A program's record names the table of losses of each evaluation; from this table
alone follow the mean of each contender with Student's interval, the differences with Welch's interval, the permutation
tests over replicates, the best member of each family by tuned validation loss, the relative difference over tasks with
its interval (delta method, Satterthwaite's degrees of freedom), Holm's correction, and the verdicts. Numbers are
compared with those of the record, and any disagreement ends the command with exit code 1. Tests with too many
permutations are sampled, here with other random numbers: their p-values agree within the error of the sample, and the
correction uses the recorded ones.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import stats

HOME = Path(__file__).parents[1] / "runs" / "library" / "discovered"
LEVEL = 0.05
EXACT = 20_000
SAMPLES = 50_000
DIGITS = 2e-5
"""Relative tolerance: records have six significant digits."""

Replicates = dict[str, dict[str, list[list[float]]]]
"""Losses by task and contender: for each replicate one loss per fresh seed; infinity where training failed."""


class Table:
    """The table of losses of an evaluation.

    Args:
        path: the CSV file.
    """

    def __init__(self, path: Path):
        self.losses: Replicates = {}
        self.tuned: dict[str, dict[str, list[float]]] = {}
        self.kinds: dict[str, str] = {}
        with path.open(encoding="utf-8", newline="") as text:
            for row in csv.DictReader(text):
                task, name = row["task"], row["contender"]
                self.kinds[name] = row["kind"]
                replicates = self.losses.setdefault(task, {}).setdefault(name, [])
                if int(row["replicate"]) != len(replicates):
                    raise SystemExit(f"{path}: the replicates of {name} on {task} are not in order")
                replicates.append([_number(word) for word in row["test_losses"].split()])
                self.tuned.setdefault(task, {}).setdefault(name, []).append(_number(row["tuned_validation_loss"]))

    def counted(self, task: str, trivial: float | None) -> dict[str, np.ndarray]:
        """Mean of each replicate; a failed run counts as the worst loss on the task, or the trivial one if larger."""
        known = [x for rows in self.losses[task].values() for row in rows for x in row if x < math.inf]
        worst = max([*known, *([] if trivial is None else [trivial])])
        return {name: np.minimum(np.array(rows), worst).mean(axis=1) for name, rows in self.losses[task].items()}

    def best(self, task: str, members: Sequence[str], counted: dict[str, np.ndarray]) -> np.ndarray:
        """Replicates of the best member of a family; each replicate's member has the lowest tuned validation loss."""
        tuned = self.tuned[task]
        count = len(tuned[members[0]])
        chosen = [min(members, key=lambda name, place=place: tuned[name][place]) for place in range(count)]
        return np.array([counted[name][place] for place, name in enumerate(chosen)])


def _number(word: str) -> float:
    return math.inf if word == "failed" else float(word)


def student(values: np.ndarray) -> tuple[float, float, float]:
    """Mean with Student's interval."""
    mean = float(values.mean())
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=stats.sem(values))
    return mean, float(low), float(high)


def welch(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Difference of means with Welch's interval."""
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    return float(first.mean() - second.mean()), float(interval.low), float(interval.high)


def relative(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float, float]:
    """Mean over tasks of the relative difference of means, with its interval."""
    shares, squares, degrees = [], [], []
    for mine, theirs in pairs:
        a, b = mine.mean(), theirs.mean()
        shares.append((a - b) / abs(b))
        squares += [(stats.sem(mine) / b) ** 2, (stats.sem(theirs) * a / b**2) ** 2]
        degrees += [len(mine) - 1, len(theirs) - 1]
    variance = np.array(squares) / len(pairs) ** 2
    free = variance.sum() ** 2 / (variance**2 / np.array(degrees)).sum()
    half = stats.t.ppf(0.975, free) * math.sqrt(variance.sum())
    mean = float(np.mean(shares))
    return mean, mean - half, mean + half


def permuted(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, bool]:
    """P-value of the permutation test over replicates within every task, and whether it is exact."""

    def moments(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = abs(np.concatenate([first, second], axis=-1).mean(axis=-1))
        gap = (first.mean(axis=-1) - second.mean(axis=-1)) / scale
        return gap, (stats.sem(first, axis=-1) ** 2 + stats.sem(second, axis=-1) ** 2) / scale**2

    if len(pairs) == 1:

        def statistic(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
            gap, square = moments(first, second)
            return abs(gap) / np.sqrt(square)

        found = stats.permutation_test(pairs[0], statistic, n_resamples=EXACT, alternative="greater", vectorized=True)
        return float(found.pvalue), True
    count = math.prod(math.comb(len(a) + len(b), len(a)) for a, b in pairs)
    orders = [_orders(len(a), len(b), count <= EXACT, place) for place, (a, b) in enumerate(pairs)]
    gaps, squares = zip(
        *(moments(*_split(pair, order)) for pair, order in zip(pairs, orders, strict=True)), strict=True
    )
    combine: Callable[[Any], np.ndarray] = _every_sum if count <= EXACT else lambda parts: np.sum(parts, axis=0)
    values = abs(combine(gaps)) / np.sqrt(combine(squares))
    return float(np.mean(values >= values[0] * (1 - 1e-9))), count <= EXACT


def smallest(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """The smallest p-value that the product's test can give."""
    count = math.prod(math.comb(len(a) + len(b), len(a)) for a, b in pairs)
    return 2 / count if count <= EXACT else max(2 / count, 1 / (1 + SAMPLES))


def _orders(first: int, second: int, exact: bool, task: int) -> np.ndarray:
    total = first + second
    if exact:
        rows = [[*c, *sorted(set(range(total)) - {*c})] for c in itertools.combinations(range(total), first)]
        return np.array(rows)
    drawn = np.random.default_rng([2026, task]).permuted(np.tile(np.arange(total), (4 * SAMPLES, 1)), axis=1)
    return np.concatenate([np.arange(total)[None], drawn])


def _split(pair: tuple[np.ndarray, np.ndarray], orders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = np.concatenate(pair)[orders]
    return values[:, : len(pair[0])], values[:, len(pair[0]) :]


def _every_sum(parts: Sequence[np.ndarray]) -> np.ndarray:
    total = np.zeros(1)
    for part in parts:
        total = (total[:, None] + part).ravel()
    return total


def holm(p_values: Sequence[float], least: Sequence[float]) -> list[float]:
    """Holm's step-down correction for discrete tests, whose p-values are multiples of their smallest one.

    Those of the record have six significant digits, so that a quotient can be below a whole number by 5e-6 of it.
    """
    order = np.argsort(p_values, kind="stable")
    corrected, largest = np.empty(len(order)), 0.0
    for rank, place in enumerate(order):
        p = p_values[place]
        total = sum(math.floor(p / least[other] * (1 + 6e-6)) * least[other] for other in order[rank:])
        largest = max(largest, min(1.0, total))
        corrected[place] = largest
    return corrected.tolist()


class Check:
    """Compares numbers with those of a record, and keeps the disagreements."""

    def __init__(self) -> None:
        self.numbers, self.wrong = 0, list[str]()

    def close(self, what: str, mine: float, recorded: float | None, tolerance: float = 0.0) -> None:
        self.numbers += 1
        if recorded is None or not abs(mine - recorded) <= max(tolerance, DIGITS * abs(recorded) + 1e-12):
            self.wrong.append(f"{what}: {mine:.8g} from the losses, {recorded} in the record")

    def ends(self, what: str, mine: tuple[float, float, float], recorded: Sequence[float | None], unit: float) -> None:
        """Compares a mean and the ends of its interval; differences are rounded in the unit of the losses."""
        for name, value, other in zip(("mean", "low", "high"), mine, recorded, strict=True):
            self.close(f"{what}, {name}", value, other, DIGITS * unit)


def evaluations(name: str, folder: Path) -> list[dict[str, Any]]:
    """The evaluations of a record."""
    record = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    return [record["held_out"], *record.get("further", [])]


def recompute(name: str, held: dict[str, Any], folder: Path, check: Check) -> dict[str, Any]:
    """Computes the numbers of an evaluation again; returns the comparisons over all tasks."""
    table = Table(folder / held["losses"])
    trivial = {result["task"]: result["trivial"] for result in held["results"]}
    counted = {task: table.counted(task, trivial[task]) for task in table.losses}
    families = [row["members"] for row in held["over_tasks"]]
    programs = [key for key, kind in table.kinds.items() if kind == "program"]
    baselines = [key for key, kind in table.kinds.items() if kind == "baseline"]
    own = programs[held["programs"].index(name)]  # in the table a program has the name that the evaluation gave it

    def sides(program: str, members: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(rows[program], table.best(task, members, rows)) for task, rows in counted.items()]

    tests: dict[tuple[str, ...], float] = {}
    least: dict[tuple[str, ...], float] = {}
    sampled: set[tuple[str, ...]] = set()
    for task, program, baseline in itertools.product(counted, programs, baselines):
        pair = counted[task][program], counted[task][baseline]
        tests[task, program, baseline], _ = permuted([pair])
        least[task, program, baseline] = smallest([pair])
    for program, members in itertools.product(programs, families):
        key = ("", program, *members)
        tests[key], exact = permuted(sides(program, members))
        least[key] = smallest(sides(program, members))
        if not exact:
            sampled.add(key)
    check.close(f"{name}, comparisons", len(tests), held["comparisons"])
    for result in held["results"]:
        task = result["task"]
        for row in (result, *result["against"]):
            about = f"{name}, {task}, {row.get('baseline', 'the program')}"
            rows = np.array(table.losses[task][row.get("baseline", own)])
            check.close(f"{about}, failed", int(np.isinf(rows).sum()), row["failed"])
            if np.isfinite(rows).all():
                check.ends(f"{about}, loss", student(rows.mean(axis=1)), row["loss"], 0.0)
        for row in result["against"]:
            mine, theirs = counted[task][own], counted[task][row["baseline"]]
            about = f"{name}, {task}, {row['baseline']}"
            check.ends(f"{about}, difference", welch(mine, theirs), row["difference"], float(theirs.mean()))
            check.close(f"{about}, p", tests[task, own, row["baseline"]], row["p"])
    for row in held["over_tasks"]:
        key = ("", own, *row["members"])
        about = f"{name}, {row['opponent']}"
        check.ends(f"{about}, relative", relative(sides(own, row["members"])), row["relative"], 1.0)
        error = 5 * math.sqrt(max(row["p"], 1 / SAMPLES) / SAMPLES) if key in sampled else 0.0
        check.close(f"{about}, p", tests[key], row["p"], error)
        leads = sum(bool(a.mean() < b.mean()) for a, b in sides(own, row["members"]))
        check.close(f"{about}, leads", leads, row["leads"])
    return {"own": own, "tests": tests, "least": least, "sampled": sampled, "held": held}


def check_correction(found: Sequence[tuple[str, dict[str, Any]]], check: Check) -> None:
    """Corrects the p-values of programs that were evaluated together, and compares corrections and verdicts."""
    for name, one in found:
        tests = dict(one["tests"])
        for _, row in found:
            for headline in row["held"]["over_tasks"]:
                key = ("", row["own"], *headline["members"])
                if row["held"]["losses"] == one["held"]["losses"] and key in one["sampled"]:
                    tests[key] = headline["p"]
        corrected = dict(zip(tests, holm(list(tests.values()), [one["least"][key] for key in tests]), strict=True))
        own = one["own"]
        rows = [((r["task"], own, a["baseline"]), a) for r in one["held"]["results"] for a in r["against"]]
        rows += [(("", own, *a["members"]), a) for a in one["held"]["over_tasks"]]
        for key, row in rows:
            check.close(f"{name}, {key}, corrected", corrected[key], row["corrected"])
            mean = row["difference"][0] if "difference" in row else row["relative"][0]
            verdict = "undecided" if corrected[key] > LEVEL else "better" if mean < 0 else "worse"
            if verdict != row["verdict"] and not (verdict == "better" and row["verdict"] == "undecided"):
                check.wrong.append(f"{name}, {key}: {verdict} from the losses, {row['verdict']} in the record")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="discovered programs [default: all]")
    parser.add_argument("--folder", type=Path, default=HOME, help="folder of the entries")
    options = parser.parse_args()
    names = options.names or sorted(path.stem for path in options.folder.glob("*.yaml"))
    check = Check()
    found = [
        (name, recompute(name, held, options.folder, check))
        for name in names
        for held in evaluations(name, options.folder)
    ]
    if set(names) == {path.stem for path in options.folder.glob("*.yaml")}:  # the correction needs all programs
        check_correction(found, check)
    for name, one in found:
        tasks = ", ".join(result["task"] for result in one["held"]["results"])
        for row in one["held"]["over_tasks"]:
            mean, low, high = row["relative"]
            ends = f"{mean:+.2%} [{low:+.2%}, {high:+.2%}]"
            print(f"{tasks}: {name} against {row['opponent']}: {ends}, p = {row['corrected']:.2g}")
    print(f"{check.numbers:,} numbers computed again from the losses; {len(check.wrong)} disagree")
    for line in check.wrong:
        print(line, file=sys.stderr)
    print(json.dumps({"programs": names, "numbers": check.numbers, "disagree": len(check.wrong)}))
    raise SystemExit(1 if check.wrong else 0)


if __name__ == "__main__":
    main()
