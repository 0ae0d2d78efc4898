"""A real local cluster of two nodes gives equal results, even if a node dies during the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from optsearch.search.workers.cluster import unauthenticated

SCRIPT = """
import json, os, sys, threading, time
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "resources": {"head": 1}})
second = cluster.add_node(num_cpus=1, num_gpus=1)

from made_up import Ledger, make_evolution
from optsearch.search.scoring.evaluate import InProcessEvaluator, use_one_cpu_thread
from optsearch.search.scoring.fitness import Setting
from optsearch.search.scoring.reference import HurdleConfig, ReferenceRule
from optsearch.search.budget import Budget
from optsearch.search.session import Session
from optsearch.search.workers.ray_evaluator import RayEvaluator

use_one_cpu_thread()
PROGRAMS = int(sys.argv[1])

def search(evaluator, stop=None):
    evolution = make_evolution(budget=Budget(programs=PROGRAMS))
    steps = (tuple(range(30, 301, 30)),)
    session = Session(evolution, evaluator, Ledger(), rule=ReferenceRule(HurdleConfig(), None, steps), batch_size=2)
    session.run(should_stop=stop, progress=lambda progress: seen.append(progress.evaluated))
    return evolution.population_digest()

seen = []
said = {"here": search(InProcessEvaluator(Setting("ae", (0,))))}
evaluator = RayEvaluator(Setting("ae", (0,)), 1, address=cluster.address, gpus=0.5)
said["with a share of a GPU"] = search(evaluator)
import ray
said["GPUs left"] = ray.available_resources()["GPU"]
evaluator.close()
evaluator = RayEvaluator(Setting("ae", (0,)), 2, address=cluster.address)
said["two nodes"] = search(evaluator)
killed = []

def kill_a_node():
    if not killed and len(evaluator._starting) == 0 and seen and seen[-1] > PROGRAMS // 8:
        cluster.remove_node(second, allow_graceful=False)
        killed.append(seen[-1])
    return False

seen = []
said["one node lost"] = search(evaluator, kill_a_node)
said["killed"], said["replaced"] = killed, evaluator.statistics.replaced
said["machines"] = len(evaluator.statistics.machines)
evaluator.close()
print(json.dumps(said))
os._exit(0)  # Ray's cluster utilities wait for a node that is gone
"""

TOKENS = """
import json, os, subprocess, sys

os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}  # Ray reads them when it is imported
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
command = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()", "search", "quickstart", "--json",
           "--set", "controls=[]", "--set", "finalists.count=1", "--set", "finalists.seeds=1", "--set", "fresh_seeds=2"]
size = ["--set", "budget.programs=60", "--set", "population.size=20"]
there = ["--address", cluster.address, "--workers", "1"]
bare = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}

def search(name, environment, *more):
    done = subprocess.run([*command, *size, "--out", f"{sys.argv[1]}/{name}", *more], env=environment,
                          capture_output=True, text=True)
    digest = json.loads(done.stdout)["population_digest"] if done.returncode == 0 else None
    return {"code": done.returncode, "digest": digest, "said": done.stderr}

said = {
    "here": search("here", bare, "--workers", "0"),
    "token": search("token", dict(os.environ), *there),
    "wrong token": search("wrong", {**os.environ, "RAY_AUTH_TOKEN": "b" * 64}, *there),
    "no token": search("none", bare, *there),
}
cluster.shutdown()
print(json.dumps(said))
"""


def run(script: str, argument: str) -> dict[str, Any]:
    tests = str(Path(__file__).parent)
    path = os.pathsep.join([tests, str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", script, argument],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
def test_two_nodes_and_the_loss_of_one_change_nothing() -> None:
    said = run(SCRIPT, "400")
    assert said["with a share of a GPU"] == said["here"]
    assert said["GPUs left"] == 0.5
    assert said["two nodes"] == said["here"]
    assert said["one node lost"] == said["here"]
    assert said["killed"]
    assert said["replaced"] == 1
    assert said["machines"] == 1


@pytest.mark.slow
def test_tokens_let_in_who_has_them(tmp_path: Path) -> None:
    said = run(TOKENS, str(tmp_path))
    warning = "joined without token authentication"
    assert (said["token"]["code"], said["token"]["digest"]) == (0, said["here"]["digest"])
    assert warning not in said["token"]["said"]
    for name in ("wrong token", "no token"):
        assert said[name]["code"] == 1
        assert "cannot be joined" in said[name]["said"]
        assert "docs/cluster.md" in said[name]["said"]
        assert "Traceback" not in said[name]["said"]
        assert (warning in said[name]["said"]) == (name == "no token")


@pytest.mark.parametrize(("mode", "open_to_all"), [(None, True), ("disabled", True), ("token", False)])
def test_a_cluster_without_tokens_is_open_to_all(
    monkeypatch: pytest.MonkeyPatch, mode: str | None, open_to_all: bool
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    assert unauthenticated() is open_to_all
