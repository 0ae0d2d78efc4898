"""Predicted throughput of batched training on a GPU, from counts and data sheets alone: nothing is measured here.

    python benchmarks/roofline.py              the tables of docs/evaluator.md
    python benchmarks/roofline.py --json       the same as one JSON object

A step of training computes gradients and then executes the entries of a script one after the other
(`execution.script`). The prediction counts kernels, bytes and floating-point operations of the lowered loop
(`kernels.py`), and adds up:

- each kernel takes the longest of its launch, its bytes at the memory's rate, and its operations at the processors'
  rate; bytes and operations are in proportion to the lanes, launches are not;
- each iteration of a loop whose length is not known beforehand, and each choice of a branch, copies a number to the
  host, which decides what to launch next;
- the script's entries are those of the same candidates that `accelerator.py` trains;
- a candidate takes some time in Python, to encode its program and to read its result.

``accelerator.py`` prints these figures beside the measured ones.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from candidates import elementwise
from kernels import Region, counted

TASKS = ("ae", "lmmlp", "lm", "vit")
"""Tasks of the tables."""

LANES = (1, 16, 64, 256, 1024, 4096)
"""Numbers of lanes of the tables."""

LAUNCH_S = 4e-6
"""Assumed time from one kernel to the next, in seconds, if neither memory nor processors limit it: the launch, and
XLA's own work between two kernels."""

CHOICE_S = 10e-6
"""Assumed time to copy one number to the host and to wait for it, in seconds."""

PYTHON_S = 0.3e-3
"""Time of a candidate in Python, in seconds, as measured on a CPU (docs/evaluator.md)."""

MEMORY_SHARE, FLOAT_SHARE = 0.7, 0.3
"""Assumed shares of the peak rates that small kernels reach."""

COUNTED_LANES = 4
"""Number of lanes of the lowered loop; a single lane has another form."""


@dataclass(frozen=True, slots=True)
class Device:
    """Peak rates of a GPU, from its data sheet.

    Attributes:
        name: name.
        memory_rate: bytes per second.
        float_rate: single-precision operations per second, without tensor cores.
        memory: bytes of memory.
        source: where the rates are from.
    """

    name: str
    memory_rate: float
    float_rate: float
    memory: float
    source: str


DEVICES = (
    Device("H200 SXM", 4.8e12, 67e12, 141e9, "NVIDIA H200 Tensor Core GPU data sheet"),
    Device("A100 40GB SXM", 1.555e12, 19.5e12, 40e9, "NVIDIA A100 Tensor Core GPU data sheet"),
)
"""GPUs of the tables."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of one step of a task, and of the evaluation at the end.

    Attributes:
        gradients: kernels, bytes and operations outside the loop over entries.
        entry: those of an entry, but for its branch.
        branches: those of the branch of each opcode.
        evaluation: those of the evaluation at the end of a run.
    """

    gradients: Region
    entry: Region
    branches: tuple[Region, ...]
    evaluation: Region


@cache
def counts(task: str) -> Counts:
    """Counts the lowered loop of a task with ``COUNTED_LANES`` lanes."""
    from optsearch.proxy_tasks.lowering import trace_loop
    from optsearch.proxy_tasks.registry import get_task

    whole = counted(trace_loop(get_task(task), COUNTED_LANES).lower(lowering_platforms=("cuda",)))
    step = whole.loops[1].loops[0]  # after the schedule: spans between checkpoints, then steps
    (entry,) = step.loops
    return Counts(step, entry, tuple(entry.branches[0]), max(whole.branches[-1], key=lambda branch: branch.kernels))


@cache
def memory(task: str) -> Any:
    """The `LaneMemory` of a task."""
    from optsearch.proxy_tasks.memory import lane_memory
    from optsearch.proxy_tasks.registry import get_task

    return lane_memory(get_task(task))


@cache
def entries(lanes: int) -> tuple[int, ...]:
    """Opcodes of the script of so many candidates."""
    from optsearch.proxy_tasks.execution.encoding import encode
    from optsearch.proxy_tasks.execution.script import scripts

    codes = [code for program in elementwise(lanes) if (code := encode(program)) is not None]
    step = scripts(codes, grouped=lanes > 1).step
    return tuple(step.opcodes[: int(step.length)].tolist())


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted figures of a batch.

    Attributes:
        task: name of the task.
        lanes: number of lanes.
        device: name of the GPU.
        entries: entries of the script.
        candidates_per_second: throughput; None if the batch does not fit into the memory.
        together_s: time of a batch, in seconds.
        gradients_s: time of the same loop without updates, in seconds.
        together_over_gradients: ratio of the two.
        limit: what most of the time goes to: ``launches``, ``bytes``, ``operations`` or ``Python``.
    """

    task: str
    lanes: int
    device: str
    entries: int
    candidates_per_second: float | None
    together_s: float
    gradients_s: float
    together_over_gradients: float
    limit: str


def predict(task: str, lanes: int, device: Device) -> Prediction:
    """Predicts a batch of training runs."""
    from optsearch.proxy_tasks.registry import get_task

    found, opcodes, steps = counts(task), entries(lanes), get_task(task).steps
    spent = dict.fromkeys(("launches", "bytes", "operations"), 0.0)

    def seconds(region: Region, times: float, choices: int = 0) -> float:
        scale = lanes / COUNTED_LANES
        parts = {
            "launches": region.kernels * LAUNCH_S,
            "bytes": scale * region.bytes / (MEMORY_SHARE * device.memory_rate),
            "operations": scale * region.operations / (FLOAT_SHARE * device.float_rate),
        }
        longest = max(parts, key=lambda part: parts[part])
        spent[longest] += times * parts[longest]
        spent["launches"] += times * choices * CHOICE_S
        return times * (parts[longest] + choices * CHOICE_S)

    gradients = seconds(found.gradients, steps, choices=1) + seconds(found.evaluation, 1)
    updates = sum(seconds(found.entry, steps, choices=2) + seconds(found.branches[opcode], steps) for opcode in opcodes)
    spent["Python"] = lanes * PYTHON_S
    together = gradients + updates + lanes * PYTHON_S
    fits = memory(task).total(lanes) <= 0.9 * device.memory
    return Prediction(
        task,
        lanes,
        device.name,
        len(opcodes),
        lanes / together if fits else None,
        together,
        gradients,
        together / gradients,
        max(spent, key=lambda part: spent[part]),
    )


def markdown(rows: list[list[str]]) -> str:
    """A table; the first row is its head."""
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, f"|{'---|' * len(rows[0])}", *body])


def per_lane(task: str) -> list[str]:
    """The row of a task in the table of what a lane takes; entries are averages over a script of 256 candidates."""
    from optsearch.proxy_tasks.registry import get_task

    found, chosen = counts(task), get_task(task)
    script = [found.branches[opcode] for opcode in entries(256)]
    entry_bytes = sum(found.entry.bytes + branch.bytes for branch in script) / len(script)
    return [
        f"`{task}`",
        f"{chosen.parameters:,}",
        str(found.gradients.kernels),
        f"{found.gradients.bytes / COUNTED_LANES / 1e3:,.0f}",
        f"{found.gradients.operations / COUNTED_LANES / 1e6:.1f}",
        f"{sum(found.entry.kernels + branch.kernels for branch in script) / len(script):.1f}",
        f"{entry_bytes / COUNTED_LANES / 1e3:,.0f}",
        f"{memory(task).lane / 1e6:.1f}",
    ]


LANE_HEAD = [
    "task",
    "parameters",
    "kernels of the gradients",
    "their kB a lane",
    "their million operations a lane",
    "kernels an entry",
    "its kB a lane",
    "memory, MB a lane",
]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--lanes", default=",".join(map(str, LANES)))
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    tasks, lanes = options.tasks.split(","), [int(number) for number in options.lanes.split(",")]
    found = {(d.name, task, n): predict(task, n, d) for d in DEVICES for task in tasks for n in lanes}
    if options.json:
        rows: dict[str, Any] = {"predicted": [asdict(one) for one in found.values()]}
        print(json.dumps(rows | {"entries": {n: len(entries(n)) for n in lanes}}))
        return
    print("One step of training, from the lowered loop:\n")
    print(markdown([LANE_HEAD, *map(per_lane, tasks)]))
    print("\nPredicted, not measured: candidates a second, and the time of a batch over that of its gradients alone:\n")
    rows = [["GPU", "task", *(f"{n:,} lanes" if n > 1 else "1 lane" for n in lanes)]]
    for device in DEVICES:
        for task in tasks:
            cells = [found[device.name, task, n] for n in lanes]
            rows.append([device.name, f"`{task}`", *map(cell, cells)])
    rows.append(["entries of the script", "", *(str(len(entries(n))) for n in lanes)])
    print(markdown(rows))


def cell(one: Prediction) -> str:
    """A prediction in a cell of the table."""
    if one.candidates_per_second is None:
        return "out of memory"
    return f"{one.candidates_per_second:,.3g}; {one.together_over_gradients:.1f}"


if __name__ == "__main__":
    main()
