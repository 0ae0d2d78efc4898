"""What the script measures, and the lines by which a measuring process reports to it.

A process prints one JSON object a line: ``{"begins": NAME}`` before a figure and ``{"figure": NAME, ...}`` after it.
A failure, such as running out of memory, is a result too: ``{"figure": NAME, "failed": REASON}``. If the process dies,
the last name that began has failed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

Figure = dict[str, Any]
"""Values of a figure; ``failed`` or ``skipped`` with the reason if there are none."""

Figures = Iterable[tuple[str, Callable[[], Figure]]]
"""Names of figures and the calls that measure them."""

ROUND_S = 5.0
"""Time after which a figure takes no further rounds, in seconds."""


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        small: True for tiny sizes, which only show that the script runs.
        tasks: names of the tasks.
        lanes: numbers of lanes.
        rounds: number of rounds, of which the median counts.
        programs: number of programs whose fitness is compared with that on the CPU.
        done: names of the figures that are known.
    """

    small: bool = False
    tasks: tuple[str, ...] = ("ae", "lmmlp", "lm", "vit")
    lanes: tuple[int, ...] = (256, 1024, 4096, 64, 16, 1)
    rounds: int = 3
    programs: int = 64
    done: tuple[str, ...] = field(default=(), compare=False)

    def to_json(self) -> str:
        """The plan as an argument of a process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan of an argument."""
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(text).items()})


def report(figures: Figures, done: Iterable[str]) -> None:
    """Measures figures one after the other and prints their lines; those in ``done`` are left out."""
    known = set(done)
    for name, measure in figures:
        if name in known:
            continue
        _say({"begins": name})
        began = time.perf_counter()
        try:
            figure = measure()
        except Exception as error:  # noqa: BLE001 - that a figure cannot be measured is a result
            figure = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        _say({"figure": name, **figure, "took_s": round(time.perf_counter() - began, 2)})


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def in_turns(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each side, measured alternately; each is called once before.

    There is at least one round, and no further one after ``ROUND_S``.
    """
    for run in sides.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in sides}
    ends = time.perf_counter() + ROUND_S
    for number in range(rounds):
        if number and time.perf_counter() > ends:
            break
        for name, run in sides.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return {name: median(seconds) for name, seconds in times.items()}
