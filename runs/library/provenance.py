"""Source and measured results of a program, as a few lines for exported files.

The lines contain no dates and no machine, so that they depend only on the program and its run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from optsearch.dsl.fingerprint import FINGERPRINT_VERSION, fingerprint
from optsearch.runs.library.description import lines as discovery_lines
from optsearch.runs.library.references import NamedProgram
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finals import values_of
from optsearch.runs.summary.run import fresh_runs, program_view, summary
from optsearch.selection.statistics import CONFIDENCE


def notes(named: NamedProgram) -> list[str]:
    """Describes a program: its source, fingerprint and losses.

    The losses are those of the program and its controls for programs of runs, and those on held-out tasks with tuned
    baselines for discovered programs.

    Args:
        named: a program as returned by ``load_program``.
    """
    meaning = fingerprint(named.program)
    lines = [f"{named.source}, fingerprint {meaning} (version {FINGERPRINT_VERSION}), optsearch {version('optsearch')}"]
    if named.discovery is not None:
        return [*lines, *discovery_lines(named.discovery)]
    if named.run is None:
        return lines
    if named.rate != 1.0:
        lines.append(
            f"Its learning rate is {named.rate:g} times that of the program as recorded: so the search scored it"
        )
    folder, program_id = named.run
    with RunStore.read(folder) as store:
        view, about = program_view(store, program_id), summary(store)
        fresh = fresh_runs(store, view["evaluated_as"], store.finals())
    return [*lines, *_measured(view, about, fresh)]


def _measured(view: Mapping[str, Any], about: Mapping[str, Any], fresh: Mapping[str, Any] | None) -> list[str]:
    found, several = view["evaluations"][0], len(about["tasks"]) > 1
    measure, task = ("score", "tasks") if several else ("validation loss", "task")
    result = f"{measure} {found['loss']:.6g}" if found["loss"] is not None else f"outcome {found['outcome']}"
    lines = [f"In the search: {result} on {task} {found['task']}, seeds {_seeds(found['seeds'])}"]
    if fresh is None:
        return lines
    lines.append(
        f"On {len(fresh['seeds'])} seeds that the search never used, mean {measure} with its "
        f"{CONFIDENCE:.0%} interval: {_mean(fresh)}"
    )
    lines += [f"Mean validation loss on {on['task']} there: {_mean(on)}" for on in fresh.get("tasks", ())]
    warm = about["warm_start"]
    controls = [(f"warm start {warm['name']}" if warm else "", warm)]
    controls += [(f"best of the control {control['name']}", control["best"]) for control in about["controls"]]
    beside = [f"{name} {_mean(entry['fresh'])}" for name, entry in controls if entry and entry["fresh"]]
    if beside:
        lines.append(f"Controls on the same seeds: {'; '.join(beside)}")
    return lines


def _mean(runs: Mapping[str, Any]) -> str:
    if runs["mean"] is None:
        trained = sum(value is not None for value in values_of(runs).values())
        return f"trained on {trained} of {len(runs['seeds'])} seeds only"
    low, high = runs["interval"]
    interval = "" if low is None or high is None else f" ({low:.6g} to {high:.6g})"
    return f"{runs['mean']:.6g}{interval}"


def _seeds(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds)) if len(seeds) <= 8 else f"{seeds[0]} to {seeds[-1]} ({len(seeds)} of them)"
