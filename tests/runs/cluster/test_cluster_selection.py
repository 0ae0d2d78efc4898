"""`evaluate` and `select` on a real local cluster of two nodes: loss of one node, then of the whole cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import json, os, sqlite3, subprocess, sys, time
from pathlib import Path
from ray.cluster_utils import Cluster

PYTHON = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()"]
EVALUATE = ["evaluate", "lion", "--task", "digits", "--baseline", "sgd", "--seeds", "8", "--tune", "12"]
SELECT = ["select", "small", "--funnel", "small.yaml"]

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
there = ["--address", cluster.address]

def begin(command, kept, *more):
    line = [*PYTHON, *command, "--json", "--kept-in", kept, *more]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

def end(process):
    out, err = process.communicate(timeout=900)
    return {"code": process.returncode, "out": out, "err": err}

def kept(folder):
    try:
        connection = sqlite3.connect(Path(folder, "trainings.sqlite"))
        try:
            return connection.execute("SELECT count(*) FROM trainings").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error:
        return 0

def after(process, folder, runs):
    while process.poll() is None and kept(folder) < runs:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()

said = {"here": end(begin(EVALUATE, "here", "--workers", "0")), "two": end(begin(EVALUATE, "two", *there))}
process = begin(EVALUATE, "one", *there)
after(process, "one", 8)
cluster.remove_node(second, allow_graceful=False)
said["node lost"] = end(process)
process = begin(SELECT, "lost", *there)
after(process, "lost", 20)
began = time.monotonic()
cluster.remove_node(cluster.head_node, allow_graceful=False)
said["cluster lost"] = end(process)
said["noticed after"] = time.monotonic() - began
said["kept"] = kept("lost")
said["again"] = end(begin(SELECT, "lost", *there))
said["resumed"] = end(begin(SELECT, "lost", "--workers", "0"))
print(json.dumps(said))
os._exit(0)  # Ray's cluster utilities wait for a node that is gone
"""

FUNNEL = """
name: small
candidates: {per_run: 20, most: 2}
stages:
  - {name: fresh, tasks: [search], trials: 0, seeds: 4, baselines: [], keep: {best: 2}}
  - {name: other, tasks: [digits], trials: 24, replicates: 2, seeds: 8, baselines: [sgd], keep: {beats: [sgd]}}
"""


def found(view: dict[str, Any]) -> Any:
    """What does not depend on clocks and on who has trained what."""
    if "rows" in view:
        return [{**row, "seconds": 0} for row in view["rows"]], view["comparisons"]
    return [stage["verdicts"] for stage in view["stages"]], view["survivors"]


@pytest.mark.slow
def test_a_lost_node_changes_nothing_and_a_lost_cluster_is_said(tmp_path: Path, small_run: Path) -> None:
    from optsearch.runs.cli.json_selections import selection_json
    from optsearch.runs.commands.select import run_selection
    from optsearch.search.workers.ray_runtime import LOST

    for folder in ("small", "whole/small"):
        shutil.copytree(small_run, tmp_path / folder)
    (tmp_path / "small.yaml").write_text(FUNNEL)
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            **os.environ,
            "RAY_worker_niceness": "0",
            "PYTHONPATH": f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.strip().splitlines()[-1])
    here = json.loads(said["here"]["out"])
    for name in ("two", "node lost"):
        assert said[name]["code"] == 0, said[name]["err"]
        assert found(json.loads(said[name]["out"])) == found(here)
    assert "joined without token authentication" in " ".join(said["two"]["err"].split())

    lost = said["cluster lost"]
    assert lost["code"] == 1
    assert f"error: {LOST}" in lost["err"]
    assert "Traceback" not in lost["err"]
    assert (said["again"]["code"], "cannot be joined" in said["again"]["err"]) == (1, True)

    result = run_selection(
        [str(tmp_path / "whole" / "small")], str(tmp_path / "small.yaml"), folder=tmp_path, workers=0, quiet=True
    )
    whole = selection_json(result)
    resumed = json.loads(said["resumed"]["out"])
    assert found(resumed) == found(whole)
    assert resumed["trained_runs"] + said["kept"] == whole["trained_runs"], "nothing is repeated"
