"""All figures of an accelerator in one command with a time budget, on JAX's default device.

    python benchmarks/accelerator.py                       eight minutes; again continues where it stopped
    python benchmarks/accelerator.py --minutes 3           as far as three minutes reach
    python benchmarks/accelerator.py --only batched,torch  these groups of figures
    JAX_PLATFORMS=cpu python benchmarks/accelerator.py --small     tiny sizes: shows that everything runs

Every figure is stored in a JSON file (``--out``) as soon as it is measured. The same command leaves out what the file
holds; ``--again`` measures anew. A figure that fails, for example because the device runs out of memory, is a result
and is stored with the reason. Figures that do not apply are stored as skipped. The most informative figures come first;
the tables come last (`card.py`), with the predictions of `roofline.py` beside the measured figures.

Figures are measured in processes of their own (`figures/`), so that a process that dies costs one figure, and so that
JAX, PyTorch and Ray do not hold the device's memory at the same time. On an accelerator, several processes first
compile the training loops into a cache on disk, for a quarter of the time at most, and those of the CPU run beside the
others.

The script uses JAX 0.6 or newer.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import card
from figures.plan import Figure, Figures, Plan, report

SCHEMA = 1
"""Version of the file."""

AHEAD_SHARE = 0.25
"""Share of the time for compiling ahead, at most."""

LEAST_S = 5.0
"""No process is started when less time is left, in seconds."""

ON_CPU: Mapping[str, str] = {"JAX_PLATFORMS": "cpu"}
LITTLE: Mapping[str, str] = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""JAX takes memory as it needs it: other processes or libraries use the device too."""

ALL: Mapping[str, str] = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.9"}
"""JAX may use as much of the memory as a worker that has the device alone."""

GRACE_S = 10.0
"""Time that a process and its children have to end when the time is over, in seconds."""


@dataclass(frozen=True, slots=True)
class Group:
    """Figures that one process measures.

    Attributes:
        name: name of the group; the part before ``:`` is that on the command line.
        source: ``module:function`` of the figures.
        numbers: further arguments of the function.
        environment: variables of the process.
        aside: True for groups that do not use the accelerator and run beside the others.
    """

    name: str
    source: str
    numbers: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    aside: bool = False

    def figures(self, plan: Plan) -> Figures:
        """Names and calls of the figures; imports their module."""
        module, _, function = self.source.partition(":")
        return getattr(import_module(f"figures.{module}"), function)(plan, *self.numbers)


GROUPS = (
    Group("predicted", "batched:predicted_figures", environment=ON_CPU, aside=True),
    Group("core", "batched:core_figures", environment=ON_CPU, aside=True),
    Group("agreement:cpu", "agreement:cpu_figures", environment=ON_CPU, aside=True),
    Group("batched:first", "batched:first_figures", environment=ALL),
    Group("agreement:1", "agreement:device_figures", (1,), environment=ALL),
    Group("agreement:2", "agreement:device_figures", (2,), environment=ALL),
    Group("torch", "torch_steps:figures", environment=LITTLE),
    Group("sharing", "sharing:figures", environment=LITTLE),
    Group("matrices", "batched:matrix_figures", environment=ALL),
    Group("compiled", "compiled:figures", environment=ALL),
    Group("compiled:cpu", "compiled:cpu_figures", environment=ON_CPU, aside=True),
    Group("batched:all", "batched:figures", environment=ALL),
    Group("gpt", "gpt:figures", environment=ALL),
)
"""All groups in order."""

BY_NAME = {group.name: group for group in GROUPS}


class Checkpoint:
    """The file of figures; written after every change, so that nothing is lost when the script ends.

    Args:
        path: the file.
        about: what all figures depend on: device, versions, sizes.

    Raises:
        SystemExit: the file is of another device or of other sizes.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]):
        self._path, self._lock = path, threading.Lock()
        self.values: dict[str, Any] = {"schema": SCHEMA, "about": dict(about), "figures": {}}
        if path.exists():
            there = json.loads(path.read_text(encoding="utf-8"))
            changed = [key for key, value in about.items() if there.get("about", {}).get(key) != value]
            if there.get("schema") != SCHEMA or changed:
                raise SystemExit(f"{path} has another {', '.join(changed) or 'schema'}: choose another --out")
            self.values = there

    @property
    def figures(self) -> dict[str, Figure]:
        """All figures by name."""
        return self.values["figures"]

    def add(self, name: str, figure: Figure) -> None:
        """Stores a figure."""
        with self._lock:
            self.figures[name] = figure
            self._write()

    def drop(self, chosen: Callable[[str], bool]) -> None:
        """Forgets figures by name."""
        with self._lock:
            for name in list(filter(chosen, self.figures)):
                del self.figures[name]
            self._write()

    def _write(self) -> None:
        beside = self._path.with_suffix(".part")
        beside.write_text(json.dumps(self.values, indent=1), encoding="utf-8")
        beside.replace(self._path)


class Session:
    """Runs groups of figures until the time is over.

    Args:
        plan: what is measured.
        checkpoint: the file.
        ends: when the time is over, on the clock of `time.monotonic`.
        command: command of the process of a group, to which the plan is added; that of this script by default.
    """

    def __init__(
        self,
        plan: Plan,
        checkpoint: Checkpoint,
        ends: float,
        command: Callable[[str], list[str]] = lambda name: [sys.executable, str(Path(__file__)), "--group", name],
    ):
        self._plan, self._checkpoint, self._ends, self._command = plan, checkpoint, ends, command

    def run(self, group: Group, *, ends: float | None = None) -> None:
        """Measures a group; a process that dies is followed by another one for the rest.

        Args:
            group: the group.
            ends: when the process is stopped. Defaults to the end of the session.
        """
        ends = min(ends or self._ends, self._ends)
        while ends - time.monotonic() > LEAST_S and not self._process(group, ends):
            pass

    def _process(self, group: Group, ends: float) -> bool:
        """Starts a process and stores what it reports; returns True unless it died at a figure."""
        plan = replace(self._plan, done=tuple(self._checkpoint.figures))
        process = subprocess.Popen(  # noqa: S603 - this script
            [*self._command(group.name), "--plan", plan.to_json()],
            env=os.environ | group.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that its children end with it
        )
        over = threading.Event()

        def stop() -> None:
            over.set()
            _end(process)

        timer = threading.Timer(max(ends - time.monotonic(), 0), stop)
        timer.start()
        try:
            errors: list[str] = []
            reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()))
            reader.start()
            begun = self._read(process)
            process.wait()
            reader.join()
        finally:
            timer.cancel()
        if over.is_set() or begun is None:
            if process.returncode and not over.is_set():
                self._checkpoint.add(group.name, {"failed": " ".join("".join(errors[-3:]).split())[-300:]})
            return True
        reason = " ".join("".join(errors[-3:]).split())[-300:]
        self._checkpoint.add(begun, {"failed": f"the process ended with {process.returncode}: {reason}"})
        return False

    def _read(self, process: subprocess.Popen[str]) -> str | None:
        """Stores the figures of a process; returns the name of one that began and did not end."""
        begun: str | None = None
        for line in process.stdout or ():
            if not line.startswith("{"):
                continue
            said = json.loads(line)
            begun = said.get("begins")
            if "figure" in said:
                name = said.pop("figure")
                self._checkpoint.add(name, said)
                sys.stderr.write(f"{name}: {card.brief(said)}\n")
        return begun

    def ahead(self, processes: int) -> None:
        """Compiles the loops into the cache on disk, in several processes at once."""
        ends = time.monotonic() + AHEAD_SHARE * (self._ends - time.monotonic())
        groups = [Group(f"ahead:{part}:{processes}", "batched:ahead_figures") for part in range(processes)]
        with ThreadPoolExecutor(processes) as pool:
            list(pool.map(partial(self.run, ends=ends), groups))


def _end(process: subprocess.Popen[str]) -> None:
    """Ends a process and its children: politely first, so that a search stops its Ray."""
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal_)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
            return


def named(name: str) -> Group:
    """The group of a name, those that compile ahead included."""
    if name.startswith("ahead:"):
        _, part, parts = name.split(":")
        return Group(name, "batched:ahead_figures", (int(part), int(parts)), LITTLE)
    return BY_NAME[name]


def device() -> dict[str, str]:
    """Describes JAX's default device and the versions, in a process of its own."""
    code = (
        "import json, jax; from optsearch.runs.store.environment import about_machine\n"
        "d = jax.devices()[0]; about = {'device': d.device_kind, 'platform': d.platform}\n"
        "about['memory'] = str((d.memory_stats() or {}).get('bytes_limit', ''))\n"
        "print(json.dumps(about | about_machine()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"JAX cannot use a device: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def chosen_groups(only: str) -> Iterator[Group]:
    """The groups of a list of names with commas between; all if it is empty."""
    wanted = set(filter(None, only.split(",")))
    unknown = wanted - {group.name.partition(":")[0] for group in GROUPS}
    if unknown:
        raise SystemExit(f"unknown groups {', '.join(sorted(unknown))}")
    return (group for group in GROUPS if not wanted or group.name.partition(":")[0] in wanted)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--minutes", type=float, default=8.0, help="time budget (default 8)")
    made.add_argument("--out", type=Path, default=Path("accelerator.json"), help="file of the figures")
    made.add_argument("--small", action="store_true", help="tiny sizes")
    made.add_argument("--again", action="store_true", help="measure the chosen figures anew")
    made.add_argument("--retry", action="store_true", help="measure again what failed")
    made.add_argument("--only", default="", help="groups of figures, with commas between")
    made.add_argument("--tasks", help="tasks, with commas between")
    made.add_argument("--lanes", help="numbers of lanes, the most informative first, with commas between")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--compilers", type=int, help="processes that compile ahead; 0 for none")
    made.add_argument("--group", help=argparse.SUPPRESS)
    made.add_argument("--plan", help=argparse.SUPPRESS)
    return made


def plan_of(options: argparse.Namespace, platform: str) -> Plan:
    """What the options ask for, on a platform."""
    plan = Plan(small=options.small, rounds=options.rounds)
    if platform == "cpu":
        plan = replace(plan, lanes=(4, 16, 1), programs=16)
    if options.small:
        plan = replace(plan, tasks=("ae",), lanes=(4, 1), rounds=1, programs=4)
    if options.tasks:
        plan = replace(plan, tasks=tuple(options.tasks.split(",")))
    if options.lanes:
        plan = replace(plan, lanes=tuple(int(number) for number in options.lanes.split(",")))
    return plan


def main() -> None:
    """Entry point."""
    options = parser().parse_args()
    if options.group:
        plan = Plan.from_json(options.plan)
        report(named(options.group).figures(plan), plan.done)
        return
    ends = time.monotonic() + 60 * options.minutes
    about = device()
    checkpoint = Checkpoint(options.out, about | {"small": options.small})
    plan, groups = plan_of(options, about["platform"]), list(chosen_groups(options.only))
    if options.again:
        checkpoint.drop(lambda name: True)
    if options.retry:
        checkpoint.drop(lambda name: "failed" in checkpoint.figures[name])
    session = Session(plan, checkpoint, ends)
    on_cpu = about["platform"] == "cpu"
    aside = [] if on_cpu else [group for group in groups if group.aside]
    compilers = options.compilers
    if compilers is None:
        compilers = 0 if on_cpu else min(max((os.cpu_count() or 1) - 2, 0), 12)
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(lambda: [session.run(group) for group in aside])
        if compilers and any(group.name.startswith("batched") for group in groups):
            session.ahead(compilers)
        for group in groups:
            if group not in aside:
                session.run(group)
        waiting.result()
    print(card.tables(checkpoint.values))
    print(f"\n{options.out} has {len(checkpoint.figures)} figures; the same command continues.")


if __name__ == "__main__":
    main()
