"""`evaluate`, `select` and `simplify` on a real local cluster with declared GPUs: shares, keys, and lost nodes.

The GPUs exist for Ray alone, so that JAX computes on the CPU. The imported module says the opposite in workers that
have one, as a real GPU would in the keys of kept training runs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

BEGIN = """
import json, os, sqlite3, subprocess, sys, time
from contextlib import closing
from pathlib import Path
from ray.cluster_utils import Cluster

COMMAND = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()"]

def begin(command, kept, *more):
    line = [*COMMAND, *command, "--json", "--import", "seen:Line", "--kept-in", kept, *more]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

def end(process):
    began = time.monotonic()
    out, err = process.communicate(timeout=300)
    seen = [json.loads(line) for line in Path("seen.jsonl").read_text().splitlines()]
    Path("seen.jsonl").write_text("")
    return {"code": process.returncode, "out": out, "err": err, "s": time.monotonic() - began, "seen": seen}

def keys(folder):
    try:
        with closing(sqlite3.connect(Path(folder, "trainings.sqlite"))) as connection:
            return [key for key, in connection.execute("SELECT key FROM trainings")]
    except sqlite3.Error:
        return []

def after(process, folder, runs):
    while process.poll() is None and len(keys(folder)) < runs:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()

def finish():
    print(json.dumps(said))
    sys.stdout.flush()
    os._exit(0)  # Ray's cluster utilities wait for a node that is gone

Path("seen.jsonl").write_text("")
EVALUATE = ["evaluate", "lion", "--task", "Line", "--baseline", "sgd", "--seeds", "4", "--replicates", "2"]
EVALUATE += ["--tune", "8"]
"""

SHARES = """
SELECT = ["select", "small", "--funnel", "small.yaml"]
SIMPLIFY = ["simplify", "sgd", "--task", "Line"]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 1})
second = cluster.add_node(num_cpus=2, num_gpus=1)
there = ["--address", cluster.address, "--gpus-per-worker"]

said = {"too many": end(begin(EVALUATE, "none", *there, "2"))}
said["here"] = end(begin(EVALUATE, "two", "--workers", "0"))
said["two"] = end(begin(EVALUATE, "two", *there, "1"))
said["keys"] = keys("two")
said["again"] = end(begin(EVALUATE, "two", *there, "1"))
said["select"] = end(begin(SELECT, "two", *there, "1", "--workers", "2"))
said["simplify here"] = end(begin(SIMPLIFY, "simple", "--workers", "0"))
said["simplify"] = end(begin(SIMPLIFY, "two", *there, "1"))
process = begin(EVALUATE, "half", *there, "0.5")
after(process, "half", 8)
cluster.remove_node(second, allow_graceful=False)
said["half"] = end(process)
finish()
"""

LOST = """
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1, num_gpus=1)
process = begin(EVALUATE, "lost", "--address", cluster.address, "--gpus-per-worker", "1")
after(process, "lost", 8)
cluster.remove_node(second, allow_graceful=False)
said = {"lost": end(process)}
finish()
"""

MODULE = """
import json, os, sys
import jax.numpy as jnp
import numpy as np
from jax._src import xla_bridge

if "ray" in sys.modules and sys.modules["ray"].is_initialized():
    from optsearch.proxy_tasks import machine
    names = ("CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_MEM_FRACTION", "JAX_PLATFORMS")
    about = {name: os.environ.get(name) for name in names}
    about["node"] = sys.modules["ray"].get_runtime_context().get_node_id()
    about["early"] = not xla_bridge.backends_are_initialized()
    with open("seen.jsonl", "a") as file:
        file.write(json.dumps(about) + "\\n")
    if about["CUDA_VISIBLE_DEVICES"]:
        machine.accelerator = lambda: "declared GPU"

class Line:
    '''A line through points.'''
    batch_size, steps = 8, 2000
    def __init__(self):
        rng = np.random.default_rng(0)
        self.train, self.validation, self.test = (
            [(x, x.sum() + 0.1 * rng.normal()) for x in rng.normal(size=(64, 3))] for _ in range(3)
        )
    def init(self, key):
        return {"slope": jnp.zeros(3)}
    def loss(self, params, batch):
        x, y = batch
        return jnp.mean((x @ params["slope"] - y) ** 2)
"""

FUNNEL = """
name: small
candidates: {per_run: 20, most: 2}
stages:
  - {name: fresh, tasks: [search], trials: 0, seeds: 4, baselines: [], keep: {best: 2}}
  - {name: other, tasks: [Line], trials: 4, replicates: 2, seeds: 2, baselines: [sgd], keep: {beats: [sgd]}}
"""


def on_cluster(script: str, folder: Path) -> dict[str, Any]:
    (folder / "seen.py").write_text(MODULE)
    root = str(Path(__file__).parents[3])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_", "CUDA_"))}
    environment["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script],
        cwd=folder,
        env={**environment, "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def found(said: dict[str, Any]) -> Any:
    """What does not depend on clocks and on what was kept."""
    assert said["code"] == 0, said["err"]
    view = json.loads(said["out"])
    if "rows" in view:
        return [{**row, "seconds": 0} for row in view["rows"]], view["comparisons"]
    return ([stage["verdicts"] for stage in view["stages"]], view["survivors"]) if "stages" in view else view


def runs(said: dict[str, Any]) -> tuple[int, int]:
    view = json.loads(said["out"])
    return view["trained_runs"], view["known_runs"]


def check_shares(seen: Sequence[dict[str, Any]], on_each: int, fraction: str) -> None:
    """Each worker had its share before the task was imported: so many on each of two nodes."""
    nodes = [about.pop("node") for about in seen]
    assert sorted(map(nodes.count, set(nodes))) == [on_each] * 2
    assert all(
        about
        == {
            "CUDA_VISIBLE_DEVICES": "0",
            "XLA_PYTHON_CLIENT_MEM_FRACTION": fraction,
            "JAX_PLATFORMS": "",
            "early": True,
        }
        for about in seen
    )


@pytest.mark.slow
def test_workers_on_two_nodes_have_their_shares(tmp_path: Path, small_run: Path) -> None:
    for folder in ("small", "whole/small"):
        shutil.copytree(small_run, tmp_path / folder)
    (tmp_path / "small.yaml").write_text(FUNNEL)
    said = on_cluster(SHARES, tmp_path)

    assert said["too many"]["code"] == 1
    assert "each worker requests 2 GPUs, and no node has more than 1: --gpus-per-worker" in said["too many"]["err"]
    assert said["too many"]["s"] < 30.0

    here, two = found(said["here"]), found(said["two"])
    assert two == here
    check_shares(said["two"]["seen"], 1, "0.900")
    (trained, _), on_gpus = runs(said["two"]), [key for key in said["keys"] if "accelerator declared GPU" in key]
    assert runs(said["here"]) == runs(said["two"]), "results of the CPU are not those of a GPU"
    assert len(on_gpus) == trained
    assert len(said["keys"]) == 2 * trained
    assert (found(said["again"]), runs(said["again"])[0]) == (here, 0), "they are found again"

    from optsearch.runs.cli.json_selections import selection_json
    from optsearch.runs.commands.select import run_selection

    check_shares(said["select"]["seen"], 1, "0.900")
    selected = json.loads(said["select"]["out"])
    sys.path.insert(0, str(tmp_path))
    try:
        whole = run_selection(
            [str(tmp_path / "whole" / "small")],
            str(tmp_path / "small.yaml"),
            folder=tmp_path,
            workers=0,
            imports=("seen:Line",),
            quiet=True,
        )
    finally:
        sys.path.remove(str(tmp_path))
    assert found(said["select"]) == found({"code": 0, "out": json.dumps(selection_json(whole))})
    assert selected["trained_runs"] + selected["known_runs"] == whole.trained + whole.known

    assert found(said["simplify"]) == found(said["simplify here"])
    check_shares(said["simplify"]["seen"], 1, "0.900")

    assert found(said["half"]) == here
    check_shares(said["half"]["seen"][:4], 2, "0.450")


@pytest.mark.slow
def test_the_loss_of_all_gpus_is_said(tmp_path: Path) -> None:
    lost = on_cluster(LOST, tmp_path)["lost"]
    assert lost["code"] == 1
    assert "error: the nodes that can run a worker have been lost; recorded results are safe" in lost["err"]
    assert "Traceback" not in lost["err"]
