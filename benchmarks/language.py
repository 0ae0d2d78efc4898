"""Throughput of mutation and fingerprinting, and the evaluations that fingerprints save.

    python benchmarks/language.py                     children per second, by stage
    python benchmarks/language.py --search 300000     and the distinct programs of one search by five criteria

Two parents with 25 statements each are measured: a typical one (the published raw program, extended by mutations, with
one third of its statements live) and one without dead code. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from optsearch.dsl.dataflow import prune
from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.functions import Function, Scope
from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import OUTPUT, Program
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify
from optsearch.dsl.walk import walk
from optsearch.search.budget import Budget
from optsearch.search.evolution import Evolution
from optsearch.search.population.population import PopulationConfig
from optsearch.search.scoring.fitness import OK, Fitness
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights

STATEMENTS = 25

ALIVE = """
def train(w, g, m, v, lr):
  c = clip(g, 1.0)
  n = norm(c)
  u = c / n
  a = interp(c, u, 0.3)
  g2 = square(a)
  m = interp(a, m, 0.9)
  v = interp(g2, v, 0.999)
  s = sqrt(v)
  s = s + 1e-06
  d = m / s
  t = tanh(d)
  k = abs(t)
  k = maximum(k, 0.01)
  r = sign(m)
  r = r * k
  d = interp(d, r, 0.2)
  q = global_norm(w)
  q = log1p(q)
  d = d * q
  wd = w * 0.01
  b = cos(lr)
  wd = wd * b
  update = d + wd
  lr = lr * 0.001
  update = update * lr
  return update, m, v
"""


def typical_parent() -> Program:
    """Extends the raw program to 25 statements by mutations that preserve its meaning."""
    mutator, rng = Mutator(MutationWeights()), np.random.default_rng(1)
    program = LIBRARY["lion-raw"]
    while len(program.body) < STATEMENTS:
        child, _ = mutator.mutate(rng, program)
        if len(child.body) > len(program.body) and fingerprint(child) == fingerprint(program):
            program = child
    return program


def microseconds(work: Callable[[], object], count: int) -> float:
    """Measures the processor time per item of ``count`` items; median over 5 repetitions."""
    times: list[float] = []
    for _ in range(5):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) / count * 1e6)
    return statistics.median(times)


def children_rate(parent: Program, count: int = 4_000) -> dict[str, float]:
    """Measures the generation of valid children of a parent, in total and by stage on the same children."""
    mutator = Mutator(MutationWeights())
    seeds = iter(range(10**9))

    def draw() -> list[Program]:
        rng = np.random.default_rng(next(seeds))
        return [mutator.mutate(rng, parent)[0] for _ in range(count)]

    def draw_and_fingerprint() -> list[str]:
        rng = np.random.default_rng(next(seeds))
        return [fingerprint(mutator.mutate(rng, parent)[0]) for _ in range(count)]

    draw_and_fingerprint()  # warm-up
    total = microseconds(draw_and_fingerprint, count)
    mutation = microseconds(draw, count)
    children = draw()
    return {
        "children_per_second": round(1e6 / total),
        "total_us": round(total, 1),
        "mutate_and_verify_us": round(mutation, 1),
        "verify_us": round(microseconds(lambda: [verify(child) for child in children], count), 1),
        "prune_us": round(microseconds(lambda: [prune(child) for child in children], count), 1),
        "fingerprint_us": round(total - mutation, 1),
    }


def random_rate(count: int = 2_000) -> dict[str, float]:
    """Measures sampling, verification and fingerprinting of distinct random programs."""
    seeds = iter(range(10**9))

    def draw() -> list[Program]:
        rng = np.random.default_rng(next(seeds))
        return [random_program(rng, statements=STATEMENTS) for _ in range(count)]

    def judge() -> list[str]:
        programs = draw()
        return [fingerprint(program) for program in programs if verify(program)]

    total, drawing = microseconds(judge, count), microseconds(draw, count)
    return {"random_programs_per_second": round(1e6 / total), "random_draw_us": round(drawing, 1)}


# --- Distinct programs of a search


class _Reference:
    """Float64 algebra on a single parameter array; reductions are over the whole array."""

    def constant(self, value: float) -> Any:
        return np.float64(value)

    def apply(self, function: Function, operands: list[Any]) -> Any:
        if function.scope is not Scope.TREE:
            return function.reference(*operands)
        result = function.reference(*[[x] if np.ndim(x) else x for x in operands])
        return result[0] if isinstance(result, list) else result


def updates(
    program: Program, w: np.ndarray, gradient: Callable[[int, np.ndarray], np.ndarray], lrs: list[float]
) -> Iterator[np.ndarray]:
    """Yields the update of every step; modifies ``w`` in place."""
    domain = _Reference()
    state = {name: np.zeros_like(w) for name in program.state}
    for step, lr in enumerate(lrs):
        inputs: dict[str, Any] = {"w": w, "g": gradient(step, w), "lr": np.float64(lr), **state}
        values = walk(program, inputs, domain)
        state = {name: values[name] for name in program.state}
        w -= values[OUTPUT]
        yield values[OUTPUT]


SPECTRUM = np.logspace(-1.5, 0.5, 6)
START = np.array([1.0, -1.2, 0.8, -0.9, 1.1, -1.0])
OPTIMUM = np.array([0.3, 0.5, -0.7, 0.9, -1.1, 1.3])
NOISE = np.random.default_rng(5).standard_normal((40, 6))


def quadratic_loss(program: Program) -> float:
    """Computes the loss after training on a noisy quadratic; lower is better."""
    w = START.copy()
    lrs = [50.0 * (1.0 - step / 40) for step in range(40)]
    with np.errstate(all="ignore"):
        for _ in updates(prune(program), w, lambda step, x: SPECTRUM * (x - OPTIMUM) + 0.1 * NOISE[step], lrs):
            pass
        loss = float(np.sum(SPECTRUM * (w - OPTIMUM) ** 2))
    return loss if np.isfinite(loss) and loss < 1e6 else np.inf


def oracle(program: Program) -> np.ndarray:
    """Computes the updates of five steps on random inputs of many magnitudes."""
    rng = np.random.default_rng(7)
    g = rng.standard_normal((5, 6)) * 10.0 ** rng.uniform(-3, 1, (5, 6))
    w = rng.standard_normal(6) * 10.0 ** rng.uniform(-2, 1, 6)
    with np.errstate(all="ignore"):
        return np.concatenate(list(updates(program, w, lambda step, _: g[step], [1.0, 0.7, 0.4, 0.2, 0.1])))


def classes(rows: np.ndarray, tolerance: float = 1e-6) -> np.ndarray:
    """Assigns a class to each row; neighbours in sorted order that are equal up to the tolerance share one."""
    count = len(rows)
    order = np.argsort(rows @ np.random.default_rng(3).uniform(0.5, 1.5, rows.shape[1]))
    links: list[tuple[np.ndarray, np.ndarray]] = []
    for back in range(1, 9):
        a, b = order[back:], order[:-back]
        same = np.all(np.abs(rows[a] - rows[b]) <= tolerance * np.maximum(np.abs(rows[a]), np.abs(rows[b])), axis=1)
        links.append((a[same], b[same]))
    ends = tuple(np.concatenate(side) for side in zip(*links, strict=True))
    return connected_components(coo_array((np.ones(len(ends[0])), ends), shape=(count, count)), directed=False)[1]


def distinct(count: int, seed: int) -> tuple[dict[str, object], list[list[Program]], list[list[Program]]]:
    """Runs one search on a noisy quadratic and counts its distinct programs by every criterion of equality.

    Returns:
        The counts; groups of programs equal by the oracle but not by the fingerprint; and vice versa.
    """
    evolution = Evolution(
        LIBRARY["adamw"],
        name="benchmark",
        seed=seed,
        population=PopulationConfig(),
        look_ahead=16,
        variation=Mutator(MutationWeights()),
        budget=Budget(programs=count),
    )
    structures: set[Program] = set()
    live: dict[Program, str] = {}
    start = time.perf_counter()
    while not evolution.finished:
        candidate = evolution.ask()
        if candidate is None:
            raise RuntimeError("every result was told at once")
        structures.add(candidate.program)
        live.setdefault(prune(candidate.program), candidate.fingerprint)
        if candidate.evaluate:
            loss = quadratic_loss(candidate.program)
            fitness = Fitness(loss, OK, 40, 0.0) if np.isfinite(loss) else Fitness(None, "non_finite", 40, 0.0)
            evolution.tell(candidate.ticket, fitness)
    searched = time.perf_counter() - start
    programs, names = list(live), np.array(list(live.values()))
    rows = np.array([oracle(program) for program in programs])
    finite = np.all(np.abs(rows) < 1e30, axis=1)  # False for NaN
    labels = classes(rows[finite])
    of_class: dict[int, set[str]] = {}
    examples: dict[int, dict[str, Program]] = {}
    finite_programs = [program for program, good in zip(programs, finite, strict=True) if good]
    for label, name, program in zip(labels, names[finite], finite_programs, strict=True):
        of_class.setdefault(int(label), set()).add(str(name))
        examples.setdefault(int(label), {}).setdefault(str(name), program)
    by_name: dict[str, dict[int, Program]] = {}
    for label, name, program in zip(labels, names[finite], finite_programs, strict=True):
        by_name.setdefault(str(name), {}).setdefault(int(label), program)
    merged = [list(found.values()) for found in by_name.values() if len(found) > 1]
    missed = [list(found.values()) for found in examples.values() if len(found) > 1]
    best = evolution.progress.best
    counts: dict[str, object] = {
        "generated": evolution.progress.generated,
        "seconds": round(searched),
        "structural": len(structures),
        "without_dead_code": len(programs),
        "fingerprints": len(set(names)),
        "fingerprints_finite": len(set(names[finite])),
        "oracle_finite": len(of_class),
        "fingerprints_not_finite": len(set(names[~finite])),
        "excess_over_oracle": round(len(set(names[finite])) / len(of_class) - 1.0, 4),
        "wrongly_one": len(merged),
        "best": best.fitness if best else None,
    }
    return counts, missed, merged


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Speed of the language, and how many evaluations its fingerprint saves."
    )
    parser.add_argument("--search", type=int, default=0, metavar="N", help="programs of the search to count")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--missed", type=int, default=0, metavar="K", help="print K equal pairs with two fingerprints")
    arguments = parser.parse_args()
    result: dict[str, object] = {}
    for name, parent in (("typical", typical_parent()), ("alive", parse(ALIVE))):
        rate = children_rate(parent)
        print(f"{name} parent, {len(parent.body)} statements, {len(prune(parent).body)} alive: {rate}", flush=True)
        result[name] = rate
        result.setdefault("children_per_second", rate["children_per_second"])
    rate = random_rate()
    print(f"uniformly random programs of {STATEMENTS} statements: {rate}", flush=True)
    result |= rate
    if arguments.search:
        counts, missed, merged = distinct(arguments.search, arguments.seed)
        for title, groups in (("equal for the oracle alone", missed), ("equal for the fingerprint alone", merged)):
            for one, other in [programs[:2] for programs in groups[: arguments.missed]]:
                print(f"{title}:\n{one}{other}")
        print(f"distinct programs of a search: {counts}")
        result["search"] = counts
    print(json.dumps(result))


if __name__ == "__main__":
    main()
