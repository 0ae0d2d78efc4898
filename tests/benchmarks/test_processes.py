"""Processes of a benchmark end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

SCRIPT = """
import os, sys, time
from processes import processes

if __name__ == "__main__":
    with processes(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


def test_a_killed_benchmark_leaves_no_process_behind(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(SCRIPT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
    command = [sys.executable, "study.py"]
    study = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert study.stdout is not None
    worker = int(study.stdout.readline())
    study.send_signal(signal.SIGKILL)
    study.wait()
    for _ in range(300):
        if not is_running(worker):
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    raise AssertionError("the process goes on without its parent")


def is_running(process: int) -> bool:
    """True if a process exists and is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return False
