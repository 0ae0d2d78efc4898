"""Throughput of batched training, in candidates per second by batch size, on JAX's default device.

    python benchmarks/accelerator.py                        all batch sizes that suit the device
    python benchmarks/accelerator.py --lanes 64,256,1024    these batch sizes
    JAX_PLATFORMS=cpu python benchmarks/accelerator.py      the same code on a CPU

Three quantities are measured alternately in one process; figures are medians over the rounds:

- *together*: a batch of candidates in one call of the trainer. All programs differ (half of them 30 mutations away from
  AdamW, half random), and each has its own weights, state and register file;
- *gradients*: the same loop with programs that do nothing, which isolates the cost of the batched gradients;
- *one core*: the same candidates one by one on one CPU thread, in a separate process.

``together_over_gradients`` measures the cost of the updates: at 2, updates cost as much as gradients. The last line is
one JSON object. This benchmark was written without access to an accelerator: its throughput with 256 and more
candidates has not been measured. On a CPU, the figures only show that the code path works; ``missing`` in the JSON
lists the figures that require an accelerator, and is empty on one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from candidates import drifted

from optsearch.runs.store.environment import about_machine

RATE = 1e-4
"""Factor on every candidate's learning rate; small, so that few candidates diverge and stop early."""

ON_CPU, ON_ACCELERATOR = (1, 4, 16), (1, 16, 64, 256, 1024)

NEED_ACCELERATOR = (
    "candidates_per_second with 256 and more lanes",
    "together_over_gradients with 256 and more lanes (aim: at most 2)",
    "over_one_core: an accelerator against one core of the CPU",
    "--order grouped against --order serial",
)
"""Figures that require an accelerator."""


def seconds(run: Callable[[], Any]) -> float:
    """Measures the wall-clock time of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def one_core(task: str, count: int) -> float:
    """Measures the seconds per candidate, trained one by one; JAX must not be initialised in this process."""
    from optsearch.search.evaluate import use_one_cpu_thread

    use_one_cpu_thread()
    from optsearch.proxy_tasks.registry import get_task
    from optsearch.proxy_tasks.trainer import Trainer

    trainer, programs = Trainer(get_task(task), method="interpret"), drifted(count)
    trainer.run(programs[0], 0, rate=RATE)
    return median(seconds(lambda program=program: trainer.run(program, 0, rate=RATE)) for program in programs)


def measure(task: str, lanes: int, rounds: int, grouped: bool | None) -> dict[str, Any]:
    """Measures batched candidates, and gradients alone.

    Args:
        task: name of the task.
        lanes: batch size.
        rounds: number of rounds.
        grouped: True if lanes execute equal statements together; None for the device's default.
    """
    import jax
    import numpy as np

    from optsearch.proxy_tasks.execution import engine
    from optsearch.proxy_tasks.execution.encoding import CODE_WIDTH, COLUMNS, Code
    from optsearch.proxy_tasks.execution.loop import Batches, prepare_lanes
    from optsearch.proxy_tasks.execution.script import scripts
    from optsearch.proxy_tasks.registry import get_task
    from optsearch.proxy_tasks.run import TrainingRun
    from optsearch.proxy_tasks.trainer import Trainer

    chosen = get_task(task)
    trainer = Trainer(chosen, method="interpret", lanes=lanes, grouped=grouped)
    runs = [TrainingRun(program, 0, RATE) for program in drifted(lanes)]
    nothing = np.zeros((0, CODE_WIDTH), np.int32)
    idle = scripts([Code(nothing, nothing, np.zeros(COLUMNS, np.float32))] * lanes, grouped=trainer.grouped)
    splits = [tuple(map(jax.numpy.asarray, split)) for split in (chosen.data.train, chosen.data.validation)]
    weights, order = jax.jit(lambda seeds: prepare_lanes(chosen, seeds))(np.zeros(lanes, np.uint32))
    batches = Batches(weights, order, splits[0], splits[1], splits[1])
    rates = np.broadcast_to(chosen.schedule(), (lanes, chosen.steps))
    limits = np.full((lanes, len(chosen.checkpoints)), np.inf, np.float32)
    alone = jax.jit(lambda *arguments: engine.run(chosen, *arguments, matrices=False))
    sides: dict[str, Callable[[], Any]] = {
        "together": lambda: trainer.run_all(runs),
        "gradients": lambda: jax.block_until_ready(alone(idle, batches, rates, limits)),
    }
    for run in sides.values():
        run()
    times = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            times[name].append(seconds(run))
    ended = [result.steps for result in trainer.run_all(runs)]
    together = median(times["together"])
    return {
        "lanes": lanes,
        "candidates_per_second": round(lanes / together, 1),
        "together_s": round(together, 4),
        "gradients_s": round(median(times["gradients"]), 4),
        "together_over_gradients": round(median(map(float.__truediv__, times["together"], times["gradients"])), 3),
        "ran_to_the_end": sum(steps == chosen.steps for steps in ended),
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="ae")
    parser.add_argument("--lanes", help="numbers of candidates at once, with commas between")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--order", choices=["auto", "serial", "grouped"], default="auto", help="see execution/script")
    parser.add_argument("--one-core", type=int, metavar="N", help="only time N candidates on one core, one by one")
    options = parser.parse_args()
    if options.one_core:
        print(json.dumps(one_core(options.task, options.one_core)))
        return
    command = [sys.executable, str(Path(__file__)), "--task", options.task, "--one-core", "16"]
    ended = subprocess.run(  # noqa: S603 - this file
        command, env=os.environ | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=True
    )
    core = float(json.loads(ended.stdout.splitlines()[-1]))
    import jax

    device = jax.devices()[0]
    sizes = ON_CPU if device.platform == "cpu" else ON_ACCELERATOR
    if options.lanes:
        sizes = tuple(int(number) for number in options.lanes.split(","))
    grouped = None if options.order == "auto" else options.order == "grouped"
    print(f"{device.device_kind} ({device.platform}); one core of the CPU: {1 / core:.1f} candidates a second")
    rows: list[dict[str, Any]] = []
    for lanes in sizes:
        row = measure(options.task, lanes, options.rounds, grouped)
        row["over_one_core"] = round(row["candidates_per_second"] * core, 2)
        rows.append(row)
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    best = max(rows, key=lambda row: row["candidates_per_second"])
    missing = NEED_ACCELERATOR if device.platform == "cpu" else ()
    if missing:
        print(f"This is a CPU. Figures that need an accelerator: {'; '.join(missing)}.")
    result = {
        "device": device.device_kind,
        "platform": device.platform,
        "task": options.task,
        "order": options.order,
        "one_core_candidates_per_second": round(1 / core, 2),
        "best_lanes": best["lanes"],
        "best_candidates_per_second": best["candidates_per_second"],
        "together_over_gradients": best["together_over_gradients"],
        "sizes": rows,
        "missing": list(missing),
        "machine": about_machine(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
