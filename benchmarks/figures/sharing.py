"""Two workers that share a device through Ray, in a real search; one worker that has it alone; their populations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial

from figures.plan import Figure, Figures, Plan

LANES = 64


def figures(plan: Plan) -> Figures:
    """The same search with one and with two workers."""
    for workers in (1, 2):
        yield f"sharing/{workers} workers", partial(search, workers, plan.small)


def search(workers: int, small: bool) -> Figure:
    """Runs a search with shares of a device; on a CPU, with workers on cores."""
    import jax

    gpu = jax.default_backend() == "gpu"
    lanes = LANES if gpu and not small else 1
    settings = [
        f"lanes={lanes}",
        f"look_ahead={8 * lanes if gpu else 32}",
        f"budget.evaluations={40 if small else 16 * lanes if gpu else 200}",
        "population={size: 50, tournament: 4}",
        "first_stage=~",
        "controls=[]",
        "finalists={count: 2, seeds: 1}",
        "fresh_seeds=2",
    ]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "optsearch", "search", "quickstart", "--json", "--out", f"{folder}/run"]
        command += ["--workers", str(workers), *(part for setting in settings for part in ("--set", setting))]
        command += ["--gpus-per-worker", str(1 / workers)] if gpu else []
        environment = {name: value for name, value in os.environ.items() if not name.startswith("XLA_PYTHON_CLIENT")}
        began = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        seconds = time.perf_counter() - began
    if done.returncode:
        return {"failed": " ".join(done.stderr.split())[-300:]}
    view = json.loads(done.stdout)
    return {
        "share_of_gpu": 1 / workers if gpu else 0,
        "lanes": lanes,
        "evaluated": view["evaluated"],
        "seconds": seconds,
        "population_digest": view["population_digest"][:12],
    }
