"""The recipes of docs/cluster.md: the SLURM script runs with a stub of SLURM, and the KubeRay file has known fields."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from optsearch.runs.cli.app import app

ROOT = Path(__file__).parents[3]
SLURM, KUBERAY = ROOT / "examples" / "slurm.sh", ROOT / "examples" / "kuberay.yaml"

SRUN = """#!/bin/bash
# Runs a step on this machine: without the options of srun, in the environment of a task of SLURM.
echo "$@" >> "$STUB_LOG"
while [[ "$1" == --* ]]; do shift; done
exec "$@"
"""

SCONTROL = """#!/bin/bash
echo "$@" >> "$STUB_LOG"
[ "$1" = requeue ] || printf 'localhost\\nlocalhost\\n'
"""

OPTSEARCH = """#!{python}
import sys
sys.argv[0] = "optsearch"
from optsearch.runs.cli.app import main
main()
"""

SEARCH = ["search", "quickstart", "--workers", "2", "--set", "controls=[]", "--set", "finalists.count=1"]
SEARCH += ["--set", "finalists.seeds=1", "--set", "fresh_seeds=2", "--set", "population.size=20"]
SEARCH += ["--set", "first_stage=~"]


def environment(folder: Path) -> dict[str, str]:
    """Commands of SLURM and of this Python on the path, and the variables of a job of two nodes."""
    stubs = folder / "bin"
    stubs.mkdir()
    scripts = {"srun": SRUN, "scontrol": SCONTROL, "optsearch": OPTSEARCH.format(python=sys.executable)}
    scripts["ray"] = (
        scripts["optsearch"].replace("optsearch.runs.cli.app", "ray.scripts.scripts").replace("optsearch", "ray")
    )
    scripts["python"] = f'#!/bin/bash\nexec {sys.executable} "$@"\n'
    for name, text in scripts.items():
        (stubs / name).write_text(text)
        (stubs / name).chmod(0o755)
    job = {"SLURM_JOB_ID": str(random.randrange(1, 10_000_000)), "SLURM_JOB_NODELIST": "localhost[1-2]"}
    job |= {"SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "2", "STUB_LOG": str(folder / "slurm.log")}
    return {**os.environ, **job, "PATH": f"{stubs}{os.pathsep}{os.environ['PATH']}"}


def start(arguments: list[str], folder: Path, variables: dict[str, str]) -> subprocess.Popen[str]:
    with (folder / "job.out").open("a") as out:
        return subprocess.Popen(
            ["bash", str(SLURM), *arguments], cwd=folder, env=variables, text=True, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip


def digest(folder: Path, variables: dict[str, str]) -> str:
    shown = subprocess.run(
        ["optsearch", "show", str(folder), "--json"], env=variables, capture_output=True, text=True, check=True
    )
    return str(json.loads(shown.stdout)["population_digest"])


def running(job: str) -> list[str]:
    """Command lines of processes that were started with the job's folder of Ray."""
    lines = [path.read_bytes().replace(b"\0", b" ").decode() for path in Path("/proc").glob("[0-9]*/cmdline")]
    return [line for line in lines if f"/tmp/ray-{job}" in line]  # noqa: S108 - the folder that the script names


@pytest.mark.slow
def test_the_slurm_script_searches_on_two_nodes_and_resumes_after_its_time_limit(tmp_path: Path) -> None:
    variables = environment(tmp_path)
    log = tmp_path / "slurm.log"
    command = [*SEARCH, "--set", "budget.programs=300", "--out", "there"]
    job = start(command, tmp_path, variables)
    try:
        end = time.monotonic() + 240
        while not re.search(r"search: +\d+% +[1-9]", (tmp_path / "job.out").read_text()) and job.poll() is None:
            assert time.monotonic() < end, (tmp_path / "job.out").read_text()
            time.sleep(0.2)
        assert job.poll() is None, (tmp_path / "job.out").read_text()
        job.send_signal(signal.SIGTERM)  # what SLURM sends five minutes before the limit
        assert job.wait(120) == 130, (tmp_path / "job.out").read_text()
        assert f"requeue {variables['SLURM_JOB_ID']}" in log.read_text()
        job = start(command, tmp_path, variables)
        assert job.wait(400) == 0, (tmp_path / "job.out").read_text()
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
    assert log.read_text().count("requeue") == 1
    assert "--exclude=localhost" in log.read_text()
    subprocess.run(
        ["optsearch", *command[:-1], "here", "--workers", "0"], cwd=tmp_path, env=variables, check=True, timeout=400
    )
    assert digest(tmp_path / "there", variables) == digest(tmp_path / "here", variables)
    end = time.monotonic() + 30
    while (left := running(variables["SLURM_JOB_ID"])) and time.monotonic() < end:
        time.sleep(0.5)
    assert left == []


JOB = {"activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint"}
JOB |= {"entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata"}
JOB |= {"rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode", "submitterConfig"}
JOB |= {"submitterPodTemplate", "suspend", "ttlSecondsAfterFinished"}
CLUSTER = {"authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec"}
CLUSTER |= {"headServiceAnnotations", "managedBy", "rayVersion", "suspend", "workerGroupSpecs"}
HEAD = {"enableIngress", "headService", "labels", "rayStartParams", "resources", "serviceType", "template"}
WORKERS = {"groupName", "idleTimeoutSeconds", "labels", "maxReplicas", "minReplicas", "numOfHosts", "rayStartParams"}
WORKERS |= {"replicas", "resources", "scaleStrategy", "suspend", "template"}
"""Fields of the custom resources, from the API reference of KubeRay: https://ray-project.github.io/kuberay/reference/api/"""

POD = {"containers", "nodeSelector", "tolerations", "volumes"}
CONTAINER = {"image", "name", "resources", "volumeMounts", "workingDir"}
"""Fields of pods and containers that the file uses, from the API reference of Kubernetes."""


def groups(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_the_kuberay_file_has_known_fields() -> None:
    job = yaml.safe_load(KUBERAY.read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job["spec"]) <= JOB
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) <= CLUSTER
    assert cluster["authOptions"] == {"mode": "token"}
    assert set(cluster["headGroupSpec"]) <= HEAD
    for workers in cluster["workerGroupSpecs"]:
        assert set(workers) <= WORKERS
        assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in groups(job):
        pod = group["template"]["spec"]
        assert set(pod) <= POD
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for container in pod["containers"]:
            assert set(container) <= CONTAINER
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
            assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_kuberay_file_starts_ray_and_optsearch_with_options_that_they_have() -> None:
    scripts = pytest.importorskip("ray.scripts.scripts")
    job = yaml.safe_load(KUBERAY.read_text())
    options = {option.lstrip("-") for parameter in scripts.start.params for option in parameter.opts}
    for group in groups(job):
        assert set(group["rayStartParams"]) <= options
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    program, command, *rest = job["spec"]["entrypoint"].split()
    assert program == "optsearch"
    made = typer.main.get_command(app).commands[command].make_context(command, rest)
    mounted = {mount["mountPath"] for mount in groups(job)[0]["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert str(made.params["out"].parent) in mounted, "the run folder outlives the pod"
    assert made.params["gpus"] > 0


@pytest.mark.parametrize(("path", "language"), [(SLURM, "sh"), (KUBERAY, "yaml")])
def test_the_page_shows_the_files(path: Path, language: str) -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    assert f"```{language}\n{path.read_text()}```" in page
