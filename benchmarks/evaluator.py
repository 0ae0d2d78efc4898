"""Speed of evaluating a candidate, relative to compiling it and to a hand-written optimizer.

    python benchmarks/evaluator.py               six minutes on one core
    python benchmarks/evaluator.py --quick       three minutes, fewer rounds and sizes
    python benchmarks/evaluator.py --matrices    three minutes, only what functions of matrices cost

Every figure is the median over rounds of a ratio of times; both sides are measured alternately in this process. Times
are processor times of this process, which runs on one thread, so that other load on the machine has little effect.
``wall_over_processor`` is the ratio of wall-clock to processor time, which is 1 on an idle machine. All sides run the
same task, gradient code, batches and loop.

- *candidates*: the programs that a search typically evaluates: distinct programs that train, half from the end of an
  evolution from AdamW on the quickstart proxy, half random programs without dead code. No program is excluded because
  of its time.
- *compiling*: the candidate's own training loop, jitted, compiled without cache, and run.
- *floor*: AdamW written by hand in JAX, with its training loop compiled in advance.
- *crossover*: on larger rungs, for AdamW and for a program of twenty instructions, the time of a run in both modes, and
  the number of steps from which compiling is faster. Times of whole runs are extrapolated from a few steps.
  ``automatic_over_best`` is the time of the mode that `Trainer` chooses, relative to the faster mode.
- *matrices*: programs without functions of matrices in an interpreter with their opcodes, relative to the one without,
  which is the one that runs them; and library programs that call such functions, relative to the same update written by
  hand in JAX and compiled in advance.

docs/evaluator.md has the figures and their discussion.

The last line is one JSON object. ``speedup_over_compiling`` and ``time_over_floor`` are medians over the candidates on
the quickstart proxy; ``adamw_over_floor`` is the time of interpreted AdamW, relative to the hand-written one.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

from candidates import evolved, random_live

from optsearch.dsl.dataflow import prune
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.runs.store.environment import about_machine
from optsearch.search.scoring.evaluate import InProcessEvaluator, Trainers, use_one_cpu_thread
from optsearch.search.scoring.fitness import Job, Setting

use_one_cpu_thread()

import by_hand  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax.experimental.compilation_cache import compilation_cache  # noqa: E402

from optsearch.proxy_tasks.compilation import pinned_settings  # noqa: E402
from optsearch.proxy_tasks.execution import engine  # noqa: E402
from optsearch.proxy_tasks.execution.batches import Batches, prepare_lanes  # noqa: E402
from optsearch.proxy_tasks.execution.encoding import encode  # noqa: E402
from optsearch.proxy_tasks.execution.loop import LoopResult  # noqa: E402
from optsearch.proxy_tasks.execution.script import scripts  # noqa: E402
from optsearch.proxy_tasks.hurdle import NO_HURDLE  # noqa: E402
from optsearch.proxy_tasks.models.model import MLP  # noqa: E402
from optsearch.proxy_tasks.registry import get_task  # noqa: E402
from optsearch.proxy_tasks.task import Task  # noqa: E402
from optsearch.proxy_tasks.trainer import Trainer  # noqa: E402

PROXY = "ae"
SMALL = ((64, 16, 8, 16, 64), (64, 48, 32, 8, 32, 48, 64), (64, 96, 64, 16, 64, 96, 64))
"""Widths of further models on the proxy's data, of 2,000 to 30,000 parameters; the proxy's size is in this range."""

LARGE = ((64, 256, 96, 16, 96, 256, 64), (64, 512, 256, 16, 256, 512, 64))


def timed(run: Callable[[], Any]) -> float:
    """Measures the processor time of one call, in seconds."""
    began = time.process_time()
    run()
    return time.process_time() - began


def wall_over_processor(run: Callable[[], Any], rounds: int) -> float:
    """Measures the ratio of wall-clock to processor time of a call; median over the rounds."""
    ratios: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        seconds = timed(run)
        ratios.append((time.perf_counter() - began) / seconds)
    return median(ratios)


def in_turns(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Measures the seconds of every side in every round, alternately; each side is called once for warm-up."""
    for run in sides.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            times[name].append(timed(run))
    return times


def ratio(times: dict[str, list[float]], side: str, other: str) -> float:
    """Computes the ratio of one side's time to the other's; median over the rounds."""
    return median(a / b for a, b in zip(times[side], times[other], strict=True))


def sized(widths: Sequence[int], **changes: Any) -> Task:
    """Creates a variant of the proxy with another model or other settings."""
    model = MLP(tuple(widths), "tanh")
    return replace(get_task(PROXY), name=f"{model.parameters}-{changes}", model=model, **changes)


def against_the_floor(task: Task, candidates: Sequence[Program], rounds: int) -> dict[str, Any]:
    """Compares interpreted AdamW, interpreted candidates and compiled AdamW with hand-written AdamW."""
    interpreter, compiler = Trainer(task, method="interpret"), Trainer(task, method="compile")
    adamw = LIBRARY["adamw"]
    sides: dict[str, Callable[[], Any]] = {
        "floor": lambda: compiler.run_optax(by_hand.adamw, 0),
        "adamw": lambda: interpreter.run(adamw, 0),
        "compiled": lambda: compiler.run(adamw, 0),
    }
    # At a tiny learning rate, no candidate diverges and stops early on any size, which would bias the times.
    for number, program in enumerate(candidates):
        sides[f"candidate {number}"] = lambda program=program: interpreter.run(program, 0, rate=1e-3)
    times = in_turns(sides, rounds)
    over = sorted(ratio(times, f"candidate {number}", "floor") for number in range(len(candidates)))
    row = {
        "parameters": task.parameters,
        "floor_ms": round(1000 * median(times["floor"]), 2),
        "adamw_over_floor": round(ratio(times, "adamw", "floor"), 3),
        "compiled_over_floor": round(ratio(times, "compiled", "floor"), 3),
    }
    if over:
        row |= {"candidates_over_floor": round(median(over), 3), "slowest_candidate_over_floor": round(over[-1], 3)}
    return row


@contextmanager
def no_cache() -> Generator[None]:
    """Disables the persistent compilation cache."""
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # the enabled state is itself cached
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
        compilation_cache.reset_cache()


def against_compiling(task: Task, candidates: Sequence[Program]) -> dict[str, Any]:
    """Compares compiling and running each candidate with interpreting it."""
    interpreter = Trainer(task, method="interpret")
    interpreter.run(candidates[0], 0, rate=1e-3)
    compiler = Trainer(task, method="compile")
    compiler.run_optax(by_hand.adamw, 0)  # warm-up: loads data and initial weights
    pairs: list[tuple[float, float]] = []
    for program in candidates:
        compiled = timed(lambda program=program: compiler.run(program, 0, rate=1e-3))
        pairs.append((compiled, median(timed(lambda: interpreter.run(program, 0, rate=1e-3)) for _ in range(3))))  # noqa: B023
    return {
        "compiling_s": round(median(compiled for compiled, _ in pairs), 3),
        "interpreted_s": round(median(interpreted for _, interpreted in pairs), 5),
        "speedup_over_compiling": round(median(compiled / interpreted for compiled, interpreted in pairs), 1),
    }


def growth(rounds: int) -> dict[str, dict[str, float]]:
    """Measures the milliseconds of a run as one of instructions, parameters, steps and seeds grows."""
    proxy = get_task(PROXY)
    trainer = Trainer(proxy, method="interpret")
    result: dict[str, dict[str, float]] = {}
    programs = {str(count): chain(count) for count in (1, 5, 10, 20, 40)}
    sides = {name: (lambda program=program: trainer.run(program, 0)) for name, program in programs.items()}
    result["instructions"] = medians(in_turns(sides, rounds))
    adamw = LIBRARY["adamw"]
    tasks = [sized(widths) for widths in SMALL]
    trainers = {str(task.parameters): Trainer(task, method="interpret") for task in tasks}
    sides = {name: (lambda trainer=trainer: trainer.run(adamw, 0)) for name, trainer in trainers.items()}
    result["parameters"] = medians(in_turns(sides, rounds))
    trainers = {str(steps): Trainer(replace(proxy, steps=steps), method="interpret") for steps in (100, 300, 1000)}
    sides = {name: (lambda trainer=trainer: trainer.run(adamw, 0)) for name, trainer in trainers.items()}
    result["steps"] = medians(in_turns(sides, rounds))
    evaluators = {
        str(seeds): InProcessEvaluator(Setting(PROXY, tuple(range(seeds))), Trainers(trainer)) for seeds in (1, 2, 4)
    }

    def evaluate(evaluator: InProcessEvaluator) -> Any:
        evaluator.submit([Job(0, adamw)])
        return evaluator.collect(0.0)

    sides = {name: (lambda evaluator=evaluator: evaluate(evaluator)) for name, evaluator in evaluators.items()}
    result["seeds"] = medians(in_turns(sides, rounds))
    return result


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """Computes the median milliseconds of each side."""
    return {name: round(1000 * median(values), 2) for name, values in times.items()}


def chain(count: int) -> Program:
    """Creates a program of ``count`` instructions with minimal work."""
    return _repeated("x = abs({})", count)


def mixed(count: int) -> Program:
    """Creates a program of ``count`` instructions typical of optimizers that XLA cannot simplify."""
    return _repeated("x = interp({}, w, 0.9)", count)


def _repeated(statement: str, count: int) -> Program:
    names = ["g", *["x"] * (count - 1)]
    body = "".join(f"  {statement.format(name)}\n" for name in names[:-1])
    program = parse(f"def train(w, g, lr):\n{body}  update = {names[-1]} * 1e-9\n  return update\n")
    code = encode(program)
    assert code is not None
    assert len(code.step) == count
    return program


CROSSINGS = ("ae-x10", "lmmlp-x10", "teach-x10", "digits-x10", "ae-x100", "lmmlp-x100", "teach-x100", "digits-x100")
FEW_STEPS = 40


def crossover(quick: bool) -> list[dict[str, Any]]:
    """Measures, for new programs, a run in both modes, the crossover step, and the chosen mode."""
    tasks = [get_task(name) for name in (CROSSINGS[4:5] if quick else CROSSINGS)]
    tasks.append(replace(sized(LARGE[1], steps=3000), name=f"ae, {sized(LARGE[1]).parameters}"))
    return [row for task in tasks for row in crossings(task, {"adamw": LIBRARY["adamw"], "mixed 20": mixed(20)})]


def crossings(task: Task, programs: dict[str, Program]) -> list[dict[str, Any]]:
    """Computes the rows of one task."""
    short = replace(task, steps=FEW_STEPS)
    interpreter, compiler = Trainer(short, method="interpret"), Trainer(short, method="compile")
    interpreter.run(LIBRARY["sgd"], 0, rate=1e-3)  # compiled once for the task
    compiler.run(LIBRARY["sgd"], 0, rate=1e-3)
    rows: list[dict[str, Any]] = []
    for name, program in programs.items():
        with no_cache():
            first = timed(lambda program=program: compiler.run(program, 0, rate=1e-3))
        sides: dict[str, Callable[[], Any]] = {
            "compiled": lambda program=program: compiler.run(program, 0, rate=1e-3),
            "interpreted": lambda program=program: interpreter.run(program, 0, rate=1e-3),
        }
        times = in_turns(sides, 5)
        compiling = first - median(times["compiled"])
        step = {side: median(values) / FEW_STEPS for side, values in times.items()}
        saved = median(i - c for i, c in zip(times["interpreted"], times["compiled"], strict=True)) / FEW_STEPS
        whole = {"compile": compiling + task.steps * step["compiled"], "interpret": task.steps * step["interpreted"]}
        chosen = Trainer(task).method_for(program)
        rows.append(
            {
                "task": task.name,
                "parameters": task.parameters,
                "program": name,
                "compiling_s": round(compiling, 2),
                "saved_us_a_step": round(1e6 * saved, 1),
                "wins_from_step": round(compiling / saved) if saved > 0 else None,
                "steps": task.steps,
                "interpreted_s": round(whole["interpret"], 3),
                "compiled_s": round(whole["compile"], 3),
                "automatic": chosen,
                "automatic_over_best": round(whole[chosen] / min(whole.values()), 3),
            }
        )
    return rows


MATRIX_TASKS = ("ae", "lm")
"""A small model, and one with larger matrices."""

COMPILATIONS = 3
"""Number of times that each form of the interpreter is compiled."""


def opcodes(task: Task, candidates: Sequence[Program], rounds: int) -> dict[str, Any]:
    """Compares interpreters with and without the opcodes of matrices, on programs that have none.

    A `Trainer` runs such programs without the opcodes, which is checked: its losses are those of that interpreter.
    """
    run, seconds = interpreters(task)
    programs = [prune(program) for program in (LIBRARY["adamw"], *candidates)]
    trainer = Trainer(task, method="interpret")
    sides: dict[str, Callable[[], Any]] = {}
    equal = 0
    for number, program in enumerate(programs):
        for matrices in (False, True):
            sides[f"{number} {matrices}"] = lambda program=program, matrices=matrices: run[matrices](program)
        losses = [run[matrices](program).train_losses.tobytes() for matrices in (False, True)]
        assert np.float32(trainer.run(program, 0, rate=1e-3).train_losses).tobytes() == losses[0]
        equal += losses[0] == losses[1]
    times = in_turns(sides, rounds)
    over = [ratio(times, f"{number} True", f"{number} False") for number in range(len(programs))]
    compiling = {matrices: median(values) for matrices, values in seconds.items()}
    return {
        "task": task.name,
        "adamw_ms": round(1000 * median(times["0 False"]), 2),
        "adamw_with_opcodes": round(over[0], 3),
        "candidates_with_opcodes": round(median(over[1:]), 3),
        "slowest_with_opcodes": round(max(over[1:]), 3),
        "equal_losses": f"{equal} of {len(programs)}",
        "compiling_s": round(compiling[False], 2),
        "compiling_with_opcodes": round(compiling[True] / compiling[False], 2),
    }


def interpreters(task: Task) -> tuple[dict[bool, Callable[[Program], LoopResult]], dict[bool, list[float]]]:
    """Compiles the interpreter without and with the opcodes of matrices.

    Returns:
        For each, the training run of a program, and the seconds of each compilation.
    """

    def arguments(program: Program) -> tuple[Any, ...]:
        code = encode(program)
        assert code is not None
        return scripts([code], grouped=False), batches, np.float32(1e-3) * task.schedule()[None], limits

    limits = NO_HURDLE.at(task.checkpoints)[None]
    splits = (task.data.train, task.data.validation, task.data.test)
    loops: dict[bool, Any] = {}
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with pinned_settings(), no_cache():
        weights, order = jax.jit(lambda seeds: prepare_lanes(task, seeds))(np.zeros(1, np.uint32))
        batches = Batches(weights, order, *(tuple(jnp.asarray(array) for array in split) for split in splits))
        for _ in range(COMPILATIONS):
            for matrices in (False, True):
                loop = jax.jit(partial(engine.run, task, matrices=matrices))
                began = time.process_time()
                loops[matrices] = loop.lower(*arguments(LIBRARY["adamw"])).compile()
                seconds[matrices].append(time.process_time() - began)

    def run(matrices: bool, program: Program) -> LoopResult:
        with pinned_settings():
            return jax.tree.map(np.asarray, loops[matrices](*arguments(program)))

    return {matrices: partial(run, matrices) for matrices in loops}, seconds


def with_matrices(task: Task, name: str, rounds: int) -> dict[str, Any]:
    """Compares a library program with functions of matrices to the same update written by hand in JAX.

    A second form by hand multiplies all matrices of equal shape in one product, which changes no result.
    """
    interpreter, compiler = Trainer(task, method="interpret"), Trainer(task, method="compile")
    program, hand, grouped = LIBRARY[name], by_hand.WITH_MATRICES[name], by_hand.BY_SHAPE.get(name)
    sides: dict[str, Callable[[], Any]] = {
        "by hand": lambda: compiler.run_optax(hand, 0),
        "interpreted": lambda: interpreter.run(program, 0),
        "compiled": lambda: compiler.run(program, 0),
    }
    if grouped is not None:
        sides["by shape"] = lambda: compiler.run_optax(grouped, 0)
    losses = [run().train_losses[:2] for run in sides.values()]
    np.testing.assert_allclose(losses, [losses[0]] * len(losses), rtol=1e-4)  # the same update
    times = in_turns(sides, rounds)
    return {
        "task": task.name,
        "program": name,
        "by_hand_us_a_step": round(1e6 * median(times["by hand"]) / task.steps, 1),
        "interpreted_us_a_step": round(1e6 * median(times["interpreted"]) / task.steps, 1),
        "interpreted_over_hand": round(ratio(times, "interpreted", "by hand"), 3),
        "compiled_over_hand": round(ratio(times, "compiled", "by hand"), 3),
        "by_shape_over_hand": None if grouped is None else round(ratio(times, "by shape", "by hand"), 3),
        "interpreted_over_by_shape": None if grouped is None else round(ratio(times, "interpreted", "by shape"), 3),
    }


def matrices(candidates: Sequence[Program], quick: bool, rounds: int) -> dict[str, Any]:
    """Measures what functions of matrices cost programs without and with them, and prints it."""
    tasks = [get_task(name) for name in (MATRIX_TASKS[:1] if quick else MATRIX_TASKS)]
    without = [opcodes(task, candidates[::4], rounds) for task in tasks]
    show("Programs without functions of matrices, in an interpreter with their opcodes", without)
    called = [with_matrices(task, name, rounds) for task in tasks for name in by_hand.WITH_MATRICES]
    show("Functions of matrices, against the same update by hand", called)
    return {
        "with_opcodes": max(row["candidates_with_opcodes"] for row in without),
        "orthogonalize_over_hand": max(r["interpreted_over_hand"] for r in called if r["program"] in by_hand.BY_SHAPE),
        "without": without,
        "called": called,
    }


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Prints a table of figures."""
    print(f"\n{title}")
    names = list(rows[0])
    widths = [max(len(name), *(len(str(row[name])) for row in rows)) for name in names]
    print("  ".join(name.rjust(width) for name, width in zip(names, widths, strict=True)))
    for row in rows:
        print("  ".join(str(row[name]).rjust(width) for name, width in zip(names, widths, strict=True)), flush=True)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, candidates and sizes")
    parser.add_argument("--matrices", action="store_true", help="only what functions of matrices cost")
    options = parser.parse_args()
    count, rounds = (3, 7) if options.quick else (8, 15)
    proxy = get_task(PROXY)
    trainer = Trainer(proxy, method="interpret")
    candidates = evolved(PROXY, Trainers(trainer), count) + random_live(trainer, count)
    lengths = [len(code.step) for code in map(encode, candidates) if code is not None]
    print(f"{len(candidates)} candidates of {min(lengths)} to {max(lengths)} instructions, median {median(lengths)}")
    if options.matrices:
        print(json.dumps({**matrices(candidates, options.quick, rounds), "machine": about_machine()}))
        return

    with no_cache():
        compiling = against_compiling(proxy, candidates)
    show("Against compiling each candidate, quickstart proxy", [compiling])
    tasks = [proxy] if options.quick else [sized(SMALL[0]), proxy, *(sized(widths) for widths in SMALL[1:])]
    floors = [against_the_floor(task, candidates, rounds) for task in tasks]
    show("Against the floor", floors)
    large = [] if options.quick else [against_the_floor(sized(widths), (), max(rounds // 3, 3)) for widths in LARGE]
    if large:
        show("Larger models", large)
    grown = growth(rounds)
    for name, times in grown.items():
        show(f"Milliseconds of a run by {name}", [times])
    chosen = crossover(options.quick)
    show("A program, first met: where compiling wins", chosen)
    with_and_without = matrices(candidates, options.quick, rounds)
    (own,) = [row for row in floors if row["parameters"] == proxy.parameters]
    result = {
        **compiling,
        "wall_over_processor": round(wall_over_processor(lambda: trainer.run(LIBRARY["adamw"], 0), rounds), 3),
        "time_over_floor": own["candidates_over_floor"],
        "adamw_over_floor": own["adamw_over_floor"],
        "compiled_over_floor": large[-1]["compiled_over_floor"] if large else own["compiled_over_floor"],
        "automatic_over_best": max(row["automatic_over_best"] for row in chosen),
        "floors": floors,
        "large": large,
        "growth_ms": grown,
        "crossover": chosen,
        "matrices": with_and_without,
        "machine": about_machine(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
