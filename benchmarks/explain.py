"""Time to explain each library program: `optsearch show NAME` without the start of Python.

    python benchmarks/explain.py

Times are processor seconds, each in its own process, so that no program profits from results kept for another. Programs
that call functions of rows, columns or the whole tree are compared with those that treat every parameter alike.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from optsearch.dsl.functions import FUNCTIONS, Scope
from optsearch.dsl.library import LIBRARY

TIMED = """
import sys, time
from optsearch.dsl.library import LIBRARY
from optsearch.runs.report.explain import explain
began = time.process_time()
explain(LIBRARY[sys.argv[1]])
print(time.process_time() - began)
"""


def seconds(name: str) -> float:
    """Processor seconds to explain a library program in a new process."""
    command = [sys.executable, "-c", TIMED, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - this script's own code
    return float(done.stdout)


def main() -> None:
    """Entry point."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for name, program in LIBRARY.items():
        whole = any(FUNCTIONS[statement.function].scope is not Scope.ELEMENT for statement in program.body)
        took = seconds(name)
        times[whole].append(took)
        print(f"{name:18} {'whole arrays' if whole else 'per parameter':14} {took:.2f} s", flush=True)
    ratio, slowest = statistics.median(times[True]) / statistics.median(times[False]), max(times[True] + times[False])
    print(f"medians: {ratio:.2f} times as long for functions of whole arrays; slowest {slowest:.2f} s")


if __name__ == "__main__":
    main()
