"""Measurements of this package for `peers.md`, which compares it with other optimizer search systems.

    python benchmarks/peers.py                                  one to two minutes on one core
    python benchmarks/peers.py --candidates 2 --rounds 3        less than one

- *evaluations*: processor time in milliseconds of candidates trained on `digits` (64-32-32-10, 3,466 parameters), for
  1,000 steps and for the task's default of 300. Half come from the end of an evolution from AdamW, half are random.
  AdamW, Lion, and hand-written AdamW in JAX, compiled in advance, are measured alternately with them.
- *children*: generation of valid children of AdamW by mutation, including their fingerprints.
- *pairs*: equivalent programs that are written differently, and nearly equivalent programs; counts of pairs with equal
  fingerprints, and of pairs equal after rewriting.
- *walk*: distinct programs of random walks, in a subset of the language shared with other systems; counts of equivalent
  pairs, by an oracle, with equal fingerprints, and of pairs with equal fingerprints that are not equivalent.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import comb
from statistics import median, quantiles
from typing import Any

import numpy as np
from candidates import evolved, random_live
from evaluator import by_hand, no_cache
from language import children_rate, classes, oracle

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.trainer import Trainer
from optsearch.runs.store.environment import about_machine
from optsearch.search.scoring.evaluate import Trainers
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights
from optsearch.simplify.rewriting.rewrite import rewrite

TASK = "digits"
STEPS = (1000, 300)

MOMENTUM = "m = interp(g, m, 0.9); "

SAME = {
    "dead statement": (MOMENTUM + "update = m * 0.01", MOMENTUM + "t = exp(m); update = m * 0.01"),
    "overwritten": ("t = square(g); update = t * 0.01", "t = exp(g); t = square(g); update = t * 0.01"),
    "dead state": ("update = g * 0.01", MOMENTUM + "update = g * 0.01"),
    "other names": ("s = abs(g); update = s * w", "t = abs(g); update = t * w"),
    "states swapped": ("m = interp(g, m, 0.9); update = sign(m)", "v = interp(g, v, 0.9); update = sign(v)"),
    "other order": ("s = abs(g); t = exp(w); update = s * t", "t = exp(w); s = abs(g); update = s * t"),
    "commuted": (MOMENTUM + "update = m + w", MOMENTUM + "update = w + m"),
    "product for square": ("update = square(g)", "update = g * g"),
    "constant in two steps": ("update = g * 0.01", "t = 0.1 * 0.1; update = g * t"),
    "factors regrouped": ("t = g * 0.01; update = t * w", "t = w * 0.01; update = g * t"),
    "factor distributed": ("t = g + w; update = t * 0.01", "s = g * 0.01; t = w * 0.01; update = s + t"),
    "negated twice": ("update = w + g", "t = negative(g); update = w - t"),
    "interp written out": (MOMENTUM + "update = m * 1.0", "s = m * 0.9; t = g * 0.1; m = s + t; update = m * 1.0"),
    "interp of interp": (
        "m = interp(g, m, 0.25); update = sign(m)",
        "m = interp(g, m, 0.5); " * 2 + "update = sign(m)",
    ),
    "root of square": ("update = abs(g)", "t = square(g); update = sqrt(t)"),
    "quotient for sign": (MOMENTUM + "update = sign(m)", MOMENTUM + "t = m * m; t = sqrt(t); update = m / t"),
    "sign twice": ("update = sign(g)", "t = sign(g); update = sign(t)"),
    "scaled before sign": (MOMENTUM + "update = sign(m)", MOMENTUM + "t = m * 0.5; update = sign(t)"),
}
"""Equivalent pairs, statements separated by semicolons. A quotient equals a sign except within the division guard."""

DIFFERENT = {
    "decay": (MOMENTUM + "update = sign(m)", "m = interp(g, m, 0.99); update = sign(m)"),
    "factor": ("update = g * 0.01", "update = g * 0.0101"),
    "tiny term": ("update = sign(g)", "t = w * 1e-06; t = g + t; update = sign(t)"),
    "limit out of reach": ("update = g * 0.1", "t = minimum(g, 100.0); update = t * 0.1"),
    "late": ("update = sign(g)", "m = m + 0.01; t = minimum(m, 0.1); t = m - t; t = g + t; update = sign(t)"),
    "leaf or tree": ("t = norm(g); update = g * t", "t = global_norm(g); update = g * t"),
}
"""Non-equivalent pairs that are indistinguishable to probes with few steps, small values, or one array."""


def written(body: str) -> Program:
    """Parses statements separated by semicolons; m and v are state variables if assigned."""
    lines = body.split("; ")
    state = "".join(f"{name}, " for name in ("m", "v") if any(line.startswith(f"{name} =") for line in lines))
    returned = ", ".join(["update", *state.split(", ")[:-1]])
    return parse(f"def train(w, g, {state}lr):\n" + "".join(f"  {line}\n" for line in lines) + f"  return {returned}\n")


def pairs() -> dict[str, Any]:
    """Counts the pairs recognised as equivalent."""
    result: dict[str, Any] = {}
    for title, table in (("same", SAME), ("different", DIFFERENT)):
        programs = {name: (written(one), written(other)) for name, (one, other) in table.items()}
        by_name = [name for name, (a, b) in programs.items() if fingerprint(a) == fingerprint(b)]
        rewritten = [
            name
            for name, (a, b) in programs.items()
            if fingerprint(rewrite(a).program) == fingerprint(rewrite(b).program)
        ]
        result[title] = {"pairs": len(table), "one_fingerprint": by_name, "one_when_rewritten": rewritten}
    return result


SUBSET = ("add", "subtract", "multiply", "square", "abs", "sign", "exp", "sin", "minimum", "maximum", "interp")
NUMBERS = (1.0, 0.5, 0.1, 0.01, 0.001)


def walks(count: int, length: int = 15) -> list[Program]:
    """Generates distinct programs by random walks with the functions and constants above; none reads the schedule."""
    rng, mutator = np.random.default_rng(11), Mutator(MutationWeights(), SUBSET)
    start = written(MOMENTUM + "s = square(g); v = interp(s, v, 0.5); t = v * 0.1; update = m + t")
    found: dict[Program, None] = {}
    while len(found) < count:
        program = start
        for _ in range(length):
            program = with_few_numbers(mutator.mutate(rng, program)[0])
            if not any("lr" in (statement.target, *statement.args) for statement in program.body):
                found[program] = None
    return list(found)[:count]


def with_few_numbers(program: Program) -> Program:
    """Replaces every constant by the element of ``NUMBERS`` with the nearest magnitude."""

    def nearest(arg: str | float) -> str | float:
        if isinstance(arg, str):
            return arg
        return min(NUMBERS, key=lambda number: abs(np.log(number / (abs(arg) + 1e-30))))

    body = (statement._replace(args=tuple(map(nearest, statement.args))) for statement in program.body)
    return replace(program, body=tuple(body))


def equal_pairs(names: Sequence[object], meanings: Sequence[object]) -> dict[str, int]:
    """Counts meanings, names, equivalent pairs, those with equal names, and non-equivalent pairs with equal names."""

    def number(keys: Sequence[object]) -> int:
        return sum(comb(size, 2) for size in Counter(keys).values())

    both = number(list(zip(names, meanings, strict=True)))
    return {
        "meanings": len(set(meanings)),
        "names": len(set(names)),
        "equal_pairs": number(meanings),
        "recognised": both,
        "wrongly_one": number(names) - both,
    }


def judged_walks(count: int) -> tuple[list[Program], list[int]]:
    """Generates programs by random walks whose updates stay finite; returns them with their oracle classes."""
    programs = walks(count)
    rows = np.array([oracle(program) for program in programs])
    finite = np.all(np.abs(rows) < 1e30, axis=1)
    kept = [program for program, good in zip(programs, finite, strict=True) if good]
    return kept, [int(label) for label in classes(rows[finite])]


def processor_ms(run: Callable[[], Any]) -> float:
    """Measures the processor time of one call over all threads, in milliseconds."""
    began = time.process_time()
    run()
    return 1000.0 * (time.process_time() - began)


def evaluations(steps: int, count: int, rounds: int) -> dict[str, Any]:
    """Measures the processor time of an evaluation, in milliseconds."""
    task = replace(get_task(TASK), name=f"{TASK}-{steps}", steps=steps)
    trainer, compiler = Trainer(task, method="interpret"), Trainer(task, method="compile")
    proxy = Trainer(get_task(TASK), method="interpret")
    candidates = evolved(TASK, Trainers(proxy), count) + random_live(proxy, count)
    sides: dict[str, Callable[[], Any]] = {
        "by_hand": lambda: compiler.run_optax(by_hand.adamw, 0),
        "adamw": lambda: trainer.run(LIBRARY["adamw"], 0),
        "lion": lambda: trainer.run(LIBRARY["lion"], 0),
    }
    # At a tiny learning rate, no candidate diverges and stops early, which would bias the times.
    for number, program in enumerate(candidates):
        sides[f"candidate {number}"] = lambda program=program: trainer.run(program, 0, rate=1e-3)
    for run in sides.values():
        run()
    with no_cache():
        first = median(processor_ms(lambda p=p: compiler.run(p, 0, rate=1e-3)) for p in candidates[:3])
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            times[name].append(processor_ms(run))
    of_candidates = [median(taken) for name, taken in times.items() if name.startswith("candidate")]
    low, middle, high = quantiles([t for name, taken in times.items() if name.startswith("candidate") for t in taken])
    return {
        "steps": steps,
        "candidates": len(candidates),
        "candidate_ms": round(middle, 1),
        "candidate_quartiles_ms": [round(low, 1), round(high, 1)],
        "candidates_per_second": round(1000.0 * len(of_candidates) / sum(of_candidates), 1),
        **{f"{name}_ms": round(median(times[name]), 1) for name in ("adamw", "lion", "by_hand")},
        "compiled_and_run_ms": round(first),
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=6, help="of each kind")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--programs", type=int, default=1000, help="of random walks")
    options = parser.parse_args()
    result: dict[str, Any] = {"evaluations": [], "machine": about_machine()}
    for steps in STEPS:
        result["evaluations"].append(evaluations(steps, options.candidates, options.rounds))
        print(result["evaluations"][-1], flush=True)
    result["children"] = children_rate(LIBRARY["adamw"])
    print(result["children"], flush=True)
    result["pairs"] = pairs()
    print(result["pairs"], flush=True)
    programs, meanings = judged_walks(options.programs)
    result["walk"] = {"programs": len(programs), **equal_pairs([fingerprint(p) for p in programs], meanings)}
    print(result["walk"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
