"""Tables of the figures that `accelerator.py` has stored, measured beside predicted.

python benchmarks/card.py accelerator.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from figures.agreement import compared

Figure = Mapping[str, Any]

_GB = 1e9

_NAMED = ("H200", "A100")
"""GPUs of the roofline, by a part of their names; other devices are compared with the first."""


def brief(figure: Figure) -> str:
    """A figure in a few words."""
    for key in ("failed", "skipped"):
        if key in figure:
            return f"{key}: {figure[key]}"
    shown = {name: value for name, value in figure.items() if not isinstance(value, list) and name != "took_s"}
    return ", ".join(f"{name} {number(value)}" for name, value in shown.items()) or "done"


def number(value: Any) -> str:
    """A number with four digits; other values as they are."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def tables(values: Mapping[str, Any]) -> str:
    """All tables of a file, as text."""
    figures, about = values["figures"], values["about"]
    parts = [f"{about['device']} ({about['platform']}), jax {about['jax']}"]
    if about["platform"] == "cpu":
        parts.append("This is a CPU: the figures only show that the code path works.")
    for title, rows in (
        ("Batches of candidates", list(_batches(figures, about))),
        ("Programs with functions of matrices, batched", list(_plain(figures, "matrices/", _BATCH))),
        ("Fitness on the device and on the CPU", list(_agreement(figures))),
        ("Compiled programs", list(_plain(figures, "compiled/", _COMPILED))),
        ("Compiled programs on one core of the CPU", list(_plain(figures, "cpu compiled/", _COMPILED))),
        ("PyTorch, milliseconds a step", list(_plain(figures, "torch/", ("ms_a_step", "parameters", "device")))),
        ("Workers that share a device", list(_plain(figures, "sharing/", _SHARING))),
        ("Language model of SymPy's source code", list(_plain(figures, "gpt/", _GPT))),
    ):
        if len(rows) > 1:
            parts.append(f"{title}\n{_aligned(rows)}")
    failed = [f"{name}: {brief(figure)}" for name, figure in figures.items() if "failed" in figure]
    if failed:
        parts.append("Failed\n" + "\n".join(failed))
    return "\n\n".join(parts)


_BATCH = ("candidates_per_second", "together_s", "gradients_s", "together_over_gradients", "memory_bytes")
_COMPILED = ("ms_a_step", "run_s", "parameters", "loss")
_SHARING = ("share_of_gpu", "evaluated", "seconds", "population_digest")
_GPT = ("loss", "test_loss", "outcome", "steps", "parameters", "seconds_with_compilation")


def _plain(figures: Mapping[str, Figure], prefix: str, keys: tuple[str, ...]) -> Iterator[list[str]]:
    """Figures whose names begin with a prefix, a row each, after the head."""
    yield ["", *keys]
    for name, figure in figures.items():
        if name.startswith(prefix):
            reason = next((f"{key}: {figure[key]}"[:60] for key in ("failed", "skipped") if key in figure), None)
            cells = [number(figure.get(key)) for key in keys]
            yield [name.removeprefix(prefix), *(cells if reason is None else [reason, *[""] * (len(keys) - 1)])]


def _batches(figures: Mapping[str, Figure], about: Mapping[str, str]) -> Iterator[list[str]]:
    """Measured beside predicted, by task and lanes."""
    device = next((name for name in _NAMED if name in about["device"]), _NAMED[0])
    predicted = {
        (row["task"], row["lanes"]): row
        for row in figures.get("predicted", {}).get("rows", ())
        if row["device"].startswith(device)
    }
    yield [
        "task",
        "lanes",
        "candidates/s",
        f"predicted ({device})",
        "over one core",
        "over gradients",
        f"predicted ({device})",
        "MB a lane",
        "by arithmetic",
        "peak GB so far",
    ]
    found = [(*name.split("/")[1:], figure) for name, figure in figures.items() if name.startswith("batched/")]
    for task, lanes, figure in sorted(found, key=lambda row: (row[0], int(row[1]))):
        told, core = predicted.get((task, int(lanes)), {}), figures.get(f"core/{task}", {}).get("seconds")
        rate = figure.get("candidates_per_second")
        if rate is None:
            yield [task, lanes, brief(figure)[:40], number(told.get("candidates_per_second")), *[""] * 6]
            continue
        yield [
            task,
            lanes,
            number(rate),
            number(told.get("candidates_per_second")),
            number(core and rate * core),
            number(figure["together_over_gradients"]),
            number(told.get("together_over_gradients")),
            number(figure["memory_bytes"] and figure["memory_bytes"] / int(lanes) / 1e6),
            number(figure["arithmetic_bytes"] / int(lanes) / 1e6),
            number(figure["peak_bytes"] and figure["peak_bytes"] / _GB),
        ]


def _agreement(figures: Mapping[str, Figure]) -> Iterator[list[str]]:
    """Two processes on the device, each beside the CPU."""
    yield ["", "programs", "same outcome", "loss within 2 %", "median gap", "within the bounds", "digest"]
    cpu = figures.get("fitness/cpu", {})
    for name in ("fitness/device 1", "fitness/device 2"):
        if "losses" in figures.get(name, {}) and "losses" in cpu:
            one = compared(dict(figures[name]), dict(cpu))
            keys = ("programs", "same_outcome", "loss_within_2_percent", "median_gap", "within_bounds")
            yield [name.removeprefix("fitness/"), *(number(one[key]) for key in keys), figures[name]["digest"]]


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


if __name__ == "__main__":
    print(tables(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
