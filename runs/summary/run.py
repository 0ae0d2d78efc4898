"""Summary of a run as plain values: the source of the text and JSON output of ``show``.

All values are read from the run file, so that running, finished and crashed runs can be inspected.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from optsearch.dsl.dataflow import prune
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.rate import at_rate
from optsearch.runs.store.lock import is_locked
from optsearch.runs.store.reader import RUN_FILE, RunReader, has_log
from optsearch.runs.store.records import Arm, Final
from optsearch.runs.summary.arms import SEARCH, controls, first_stage
from optsearch.runs.summary.finalists import best, finalist_seeds
from optsearch.runs.summary.finals import compare, measure_of, summarize
from optsearch.search.events import Evaluated, Progress, Settled
from optsearch.search.population import redundancy


def best_ticket(store: RunReader) -> tuple[Arm, int]:
    """The best program of the search, selected by ``finalists.best``.

    Raises:
        RunError: no program has trained yet.
    """
    arm = store.arm(SEARCH)
    return arm, best(store, arm, store.finals()).ticket


INCOMPLETE = (
    f"This is a copy of {RUN_FILE} alone, made while the run went on: its latest records were in {RUN_FILE}-wal and "
    "are missing here. Copy the whole folder."
)
"""Message for runs whose status is ``incomplete``."""


def status(store: RunReader) -> str:
    """Status of a run.

    One of ``running``, ``finished``, ``interrupted`` (by Ctrl-C), ``failed``, ``crashed`` (the process was killed), or
    ``incomplete`` (a copy of the run file without its write-ahead log). A killed process leaves the log behind, whereas
    a process that closes the file has recorded another status before.
    """
    recorded = str(store.meta("status"))
    if is_locked(store.folder) or not (recorded == "running" or (recorded == "new" and not store.sessions())):
        return recorded
    return "crashed" if has_log(store.folder) else "incomplete"


def current_arm(store: RunReader) -> Arm | None:
    """The current or last search; None before the first one."""
    return next(reversed(store.arms()), None)


def snapshot(store: RunReader) -> dict[str, Any]:
    """Progress of a run, as a JSON object."""
    arm = current_arm(store)
    seen: dict[str, Any] = {"name": store.config.name, "status": status(store), "search": arm and arm.name}
    if arm is None:
        return seen | _counts(Progress(0, 0, 0)) | {"redundant_share": None, "best": None, "warm_start": None}
    progress = store.progress(arm)
    best = progress.best and {"id": arm.program_id(progress.best.ticket), "fitness": progress.best.fitness}
    validation = meta_validation(store, store.arm(SEARCH)) if arm.name == SEARCH else None
    return {
        **seen,
        **_counts(progress),
        "redundant_share": redundant_share(store.population(arm, store.config.population.size)),
        "best": best,
        "warm_start": progress.warm_start,
        "meta_validation": validation and {key: validation[key] for key in ("task", "carry_forward", "overfitting")},
        "seconds": round(store.seconds(), 2),
    }


def rivals(store: RunReader, arm: Arm) -> dict[str, float]:
    """Best fitness of the searches before an arm, by name."""
    found: dict[str, float] = {}
    for other in store.arms():
        for entry in store.leaderboard(other, 1) if other.number < arm.number else ():
            if entry.fitness.value is not None:
                found[other.name] = entry.fitness.value
    return found


@dataclass(frozen=True, slots=True)
class Glance:
    """Values of a live view that are queried rarely, besides the counts.

    Attributes:
        redundancy: fraction of redundant statements in the population; None if there are no statements.
        program: the best program; None if not known yet.
        validation: description of the meta-validation; empty without.
    """

    redundancy: float | None = None
    program: Program | None = None
    validation: str = ""


def glance(store: RunReader, arm: Arm, progress: Progress, redundant: float | None) -> Glance:
    """Reads the values of a live view besides the counts: redundancy, best program and meta-validation."""
    program = None
    if progress.best is not None and progress.best.ticket < store.settled(arm):
        program = store.ticket(arm, progress.best.ticket).candidate.program
    validation = meta_validation(store, arm) if arm.name == SEARCH else None
    words = ""
    if validation and validation["carry_forward"] is not None:
        latest = validation["programs"][-1]
        loss = "does not train" if latest["loss"] is None else f"{latest['loss']:.5f}"
        words = f"{validation['task']}: latest {loss}, best program {validation['carry_forward']}"
    return Glance(redundant, program, words)


def summary(store: RunReader) -> dict[str, Any]:
    """Summary of a run, as printed by ``show RUN --json``."""
    config = store.config
    about: dict[str, Any] = {
        "name": config.name,
        "run": str(store.folder),
        "status": status(store),
        "task": config.task,
        "tasks": config.fitness_task_names,
        "seed": config.seed,
        "seconds": round(store.seconds(), 2),
    }
    names = [arm.name for arm in store.arms()]
    if SEARCH not in names:
        empty = {"redundant_share": None, "best": None, "warm_start": None, "controls": [], "comparison": []}
        stages = [_first_stage(store, stage) for stage in first_stage(store)]
        return about | _counts(Progress(0, 0, 0)) | empty | {"first_stage": stages, "meta_validation": None}
    arm, finals = store.arm(SEARCH), store.finals()
    size = config.population.size
    members = store.population(arm, size)
    progress = store.progress(arm)
    about |= _counts(progress)
    about["redundant_share"] = redundant_share(members)
    about["best"] = _best_entry(store, arm, progress, finals)
    about["warm_start"] = None
    if store.settled(arm):
        first = store.arms()[0]
        name = config.warm_start if config.warm_start in LIBRARY else "the warm start"
        about["warm_start"] = {"name": name, **_entry(store, first, store.evaluation(first, 0), finals)}
    about["controls"] = [_control(store, control, finals) for control in controls(store)]
    about["comparison"] = _comparison(about)
    about["first_stage"] = [_first_stage(store, stage) for stage in first_stage(store)]
    about["meta_validation"] = meta_validation(store, arm)
    about["population_digest"] = store.population_digest(arm, size, members)
    return about


def redundant_share(members: Iterable[Settled]) -> float | None:
    """Fraction of the members' statements that cannot influence the update; None if there are no statements."""
    return redundancy(item.candidate.program for item in members)


def meta_validation(store: RunReader, arm: Arm) -> dict[str, Any] | None:
    """Results of successive best programs on the larger task, and the selected program; None without meta-validation.

    The program with the lowest loss on the larger task is carried forward. The excess loss of the last program measures
    how far the search has overfitted its proxy.
    """
    config = store.config.meta_validation
    if config is None:
        return None
    rows: list[dict[str, Any]] = [
        {
            "id": arm.program_id(item.ticket),
            "evaluations": item.evaluations,
            "fitness": store.evaluation(arm, item.ticket).fitness.value,
            "outcome": item.fitness.outcome,
            "loss": item.fitness.value,
        }
        for item in store.validations(arm)
    ]
    trained = [row for row in rows if row["loss"] is not None]
    carry: dict[str, Any] | None = min(trained, key=lambda row: (row["loss"], row["evaluations"]), default=None)
    overfitting = None
    if carry is not None and rows[-1]["loss"] is not None:
        overfitting = rows[-1]["loss"] - carry["loss"]
    return {
        "task": config.task,
        "seeds": list(config.seeds),
        "programs": rows,
        "carry_forward": carry and carry["id"],
        "overfitting": overfitting,
    }


def _first_stage(store: RunReader, arm: Arm) -> dict[str, Any]:
    progress = store.progress(arm)
    best = progress.best and {"id": arm.program_id(progress.best.ticket), "fitness": progress.best.fitness}
    return {"name": arm.name, **_counts(progress), "best": best}


def leaderboard(store: RunReader, count: int) -> list[dict[str, Any]]:
    """The best distinct programs of the search, with their size and number of rediscoveries."""
    arm = store.arm(SEARCH)
    rows: list[dict[str, Any]] = []
    for entry in store.leaderboard(arm, count):
        program = store.ticket(arm, entry.ticket).candidate.program
        pruned = prune(program)
        rows.append(
            {
                "id": arm.program_id(entry.ticket),
                "fitness": entry.fitness.value,
                "statements": len(program.body),
                "live_statements": len(pruned.body),
                "state": list(pruned.state),
            }
        )
    return rows


def program_entries(store: RunReader, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds program, parent program and mutation to the rows of a leaderboard."""
    entries: list[dict[str, Any]] = []
    for row in rows:
        arm, ticket = store.find(row["id"])
        item = store.ticket(arm, ticket).candidate
        parent = None if item.parent is None else store.ticket(arm, item.parent).candidate
        entry = {"program": item.program, "mutation": item.mutation, "parent": None, "parent_id": None}
        if parent is not None:
            entry |= {"parent": parent.program, "parent_id": arm.program_id(parent.ticket)}
        entries.append(dict(row) | entry)
    return entries


def json_text(value: object) -> str:
    """Converts values of a summary that JSON does not support: programs become text.

    Raises:
        TypeError: the value has another type.
    """
    if isinstance(value, Program):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def text_view(program: Program, rate: float = 1.0) -> dict[str, Any]:
    """Views of a program: ``text``, as recorded, and ``pruned``, without dead statements.

    The pruned program has the learning rate of its evaluation. JSON output shows both as text.

    Args:
        program: the recorded program.
        rate: factor on the learning rate.
    """
    return {"text": program, "rate": rate, "pruned": prune(at_rate(program, rate))}


def program_view(store: RunReader, program_id: str) -> dict[str, Any]:
    """One program of a run: text, evaluated program, lineage from the warm start, and all evaluations."""
    arm, ticket = best_ticket(store) if program_id == "best" else store.find(program_id)
    line = store.lineage(arm, ticket)
    settled = line[0]
    owner = settled.candidate.owner
    return {
        "id": arm.program_id(ticket),
        "arm": arm.name,
        **text_view(settled.candidate.program, settled.fitness.rate),
        "fitness": settled.fitness.value,
        "outcome": settled.fitness.outcome,
        "fingerprint": settled.candidate.fingerprint,
        "evaluated_as": arm.program_id(owner),
        "evaluations": _evaluations(store, arm, settled),
        "lineage": [
            {
                "id": arm.program_id(item.candidate.ticket),
                "mutation": item.candidate.mutation,
                "fitness": item.fitness.value,
                "outcome": item.fitness.outcome,
            }
            for item in line
        ],
    }


def _counts(progress: Progress) -> dict[str, Any]:
    return {
        "generated": progress.generated,
        "evaluated": progress.evaluated,
        "cache_hits": progress.cache_hits,
        "outcomes": dict(sorted(progress.outcomes.items())),
    }


def _entry(
    store: RunReader, arm: Arm, evaluated: Evaluated, finals: Sequence[Final], *, text: bool = False
) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": arm.program_id(evaluated.ticket), "fitness": evaluated.fitness.value}
    if text:
        entry |= text_view(store.ticket(arm, evaluated.ticket).candidate.program, evaluated.fitness.rate)
    chosen_on = finalist_seeds(store)
    mine = [final for final in finals if final.contender == entry["id"] and final.seed in chosen_on]
    entry["finalist"] = summarize(mine, measure_of(store))
    entry["fresh"] = fresh_runs(store, entry["id"], finals)
    return entry


def _best_entry(store: RunReader, arm: Arm, progress: Progress, finals: Sequence[Final]) -> dict[str, Any] | None:
    if progress.best is None:
        return None
    return _entry(store, arm, best(store, arm, finals), finals, text=True)


def fresh_runs(store: RunReader, program_id: str, finals: Sequence[Final]) -> dict[str, Any] | None:
    """Results of a program on fresh seeds, as returned by `finals.summarize`; None if there are none."""
    chosen_on = finalist_seeds(store)
    mine = [final for final in finals if final.contender == program_id and final.seed not in chosen_on]
    return summarize(mine, measure_of(store))


def _control(store: RunReader, arm: Arm, finals: Sequence[Final]) -> dict[str, Any]:
    progress = store.progress(arm)
    best = _best_entry(store, arm, progress, finals)
    return {"name": arm.settings["algorithm"], **_counts(progress), "best": best}


def _comparison(about: dict[str, Any]) -> list[dict[str, Any]]:
    """Comparisons of the best program with each control on the same fresh seeds, as returned by `finals.compare`."""
    best = about["best"] and about["best"]["fresh"]
    contenders = [("warm start", about["warm_start"])]
    contenders += [(control["name"], control["best"]) for control in about["controls"]]
    both = [(name, entry["fresh"]) for name, entry in contenders if best and entry and entry["fresh"]]
    return [compare(name, best, fresh) for name, fresh in both]


def _evaluations(store: RunReader, arm: Arm, settled: Settled) -> list[dict[str, Any]]:
    """Search evaluation and runs on fresh seeds of the program or its equivalents."""
    config = store.config
    owner = arm.program_id(settled.candidate.owner)
    rows: list[dict[str, Any]] = [
        {
            "of": owner,
            "purpose": "search",
            "task": ", ".join(config.fitness_task_names),
            "seeds": list(config.training_seeds),
            "outcome": settled.fitness.outcome,
            "rate": settled.fitness.rate,
            "loss": settled.fitness.value,
            "loss_so_far": settled.fitness.loss_so_far,
            "steps": settled.fitness.steps,
        }
    ]
    if settled.fitness.losses:  # here the loss is the score over the reached tasks
        rows[0]["losses"] = dict(zip(config.fitness_task_names, settled.fitness.losses, strict=False))
        rows[0]["task"] = ", ".join(rows[0]["losses"])
    rows += [
        {
            "of": owner,
            "purpose": "finalist" if final.seed in finalist_seeds(store) else "fresh seed",
            "task": final.task,
            "seeds": [final.seed],
            "outcome": final.outcome,
            "rate": settled.fitness.rate,
            "loss": final.loss,
            "loss_so_far": None,
            "steps": final.steps,
        }
        for final in store.finals()
        if final.contender == owner
    ]
    return rows


def campaign_file(settings: dict[str, Any]) -> str:
    """All explicit settings, as YAML that ``search`` accepts."""
    given = {key: value for key, value in settings.items() if value is not None}
    return yaml.safe_dump(given, sort_keys=False, allow_unicode=True, width=110)
