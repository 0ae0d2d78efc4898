"""`evaluate --script` on a real local cluster of two nodes with declared GPUs: resources, and the loss of a node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CLUSTER = """
import json, os, subprocess, sys, time
from pathlib import Path
from ray.cluster_utils import Cluster

COMMAND = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()", "evaluate", "lion", "--json"]
COMMAND += ["--script", "train.py", "--steps", "10", "--baseline", "adamw", "--seeds", "6", "--tune", "0"]

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 1})
second = cluster.add_node(num_cpus=2, num_gpus=1)
there = ["--address", cluster.address]

def begin(kept, *more):
    line = [*COMMAND, "--kept-in", kept, *more]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

def end(process):
    out, err = process.communicate(timeout=300)
    return {"code": process.returncode, "out": out, "err": err}

said = {"here": end(begin("here", "--workers", "0")), "too many": end(begin("none", *there, "--gpus-per-run", "2"))}
said["two"] = end(begin("two", *there, "--gpus-per-run", "1"))
process = begin("lost", *there, "--gpus-per-run", "0.5")
while process.poll() is None and len(list(Path("lost").glob("script-logs/*"))) < 3:
    time.sleep(0.05)
assert process.poll() is None, process.communicate()
cluster.remove_node(second, allow_graceful=False)
said["lost"] = end(process)
print(json.dumps(said))
sys.stdout.flush()
cluster.shutdown()
os._exit(0)
"""

TRAIN = """
import json, os, time

steps, seed = int(os.environ["OPTSEARCH_STEPS"]), int(os.environ["OPTSEARCH_SEED"])
print("sees GPUs", os.environ.get("CUDA_VISIBLE_DEVICES"))
for step in range(1, steps + 1):
    time.sleep(0.1)
    print(json.dumps({"step": step, "train_loss": 1.0 / step, "validation_loss": 1.0 / step}))
print(json.dumps({"test_loss": seed % 11 / 10}))
"""


@pytest.mark.slow
def test_runs_get_gpus_and_a_lost_node_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", CLUSTER], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=550
    )
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    assert said["too many"]["code"] == 1
    assert "each run requests 2 GPUs, and no node has more than 1" in " ".join(said["too many"]["err"].split())
    results = {}
    for name in ("here", "two", "lost"):
        assert said[name]["code"] == 0, said[name]["err"]
        result = json.loads(said[name]["out"])
        assert result["trained_runs"] == 12
        results[name] = [(row["contender"], row["seed"], row["outcome"], row["test_loss"]) for row in result["rows"]]
    assert results["two"] == results["lost"] == results["here"]
    seen = {name: {line for log in (tmp_path / name / "script-logs").iterdir() for line in log.read_text().splitlines()
                   if line.startswith("sees GPUs")} for name in results}  # fmt: skip
    assert seen == {"here": {"sees GPUs "}, "two": {"sees GPUs 0"}, "lost": {"sees GPUs 0"}}
