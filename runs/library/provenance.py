"""Source and measured results of a program, as a few lines for exported files.

The lines contain no dates and no machine, so that they depend only on the program and its run.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from optsearch.dsl.fingerprint import FINGERPRINT_VERSION, fingerprint
from optsearch.runs.library.description import lines as discovery_lines
from optsearch.runs.library.references import NamedProgram
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finals import FurtherRuns
from optsearch.runs.summary.program import ProgramSummary, program_summary
from optsearch.runs.summary.run import ProgramEntry, RunSummary, further_runs, summary
from optsearch.selection.statistics.intervals import CONFIDENCE


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
        program, run = program_summary(store, program_id), summary(store)
        _, fresh = further_runs(store, program.evaluated_as, store.finals())
    return [*lines, *_measured(program, run, fresh)]


def _measured(program: ProgramSummary, run: RunSummary, fresh: FurtherRuns | None) -> list[str]:
    found, several = program.evaluations[0], len(run.tasks) > 1
    measure, task = ("score", "tasks") if several else ("validation loss", "task")
    result = f"{measure} {found.loss:.6g}" if found.loss is not None else f"outcome {found.outcome}"
    lines = [f"In the search: {result} on {task} {', '.join(found.tasks)}, seeds {_seeds(found.seeds)}"]
    if fresh is None:
        return lines
    lines.append(
        f"On {len(fresh.seeds)} seeds that the search never used, mean {measure} with its "
        f"{CONFIDENCE:.0%} interval: {_mean(fresh)}"
    )
    lines += [f"Mean validation loss on {name} there: {_mean(losses)}" for name, losses in fresh.tasks.items()]
    entries: list[tuple[str, ProgramEntry | None]] = [(f"warm start {run.warm_start_name}", run.warm_start)]
    entries += [(f"best of the control {control.name}", control.best) for control in run.controls]
    beside = [f"{name} {_mean(entry.fresh)}" for name, entry in entries if entry is not None and entry.fresh]
    if beside:
        lines.append(f"Controls on the same seeds: {'; '.join(beside)}")
    return lines


def _mean(runs: FurtherRuns) -> str:
    if runs.interval is None:
        return f"trained on {len(runs.trained)} of {len(runs.seeds)} seeds only"
    low, high = runs.interval.low, runs.interval.high
    interval = "" if low is None or high is None else f" ({low:.6g} to {high:.6g})"
    return f"{runs.interval.mean:.6g}{interval}"


def _seeds(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds)) if len(seeds) <= 8 else f"{seeds[0]} to {seeds[-1]} ({len(seeds)} of them)"
