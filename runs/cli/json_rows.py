"""Rows of the commands that list what ships with optsearch, and of `doctor`, as JSON; tables have the same columns."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from optsearch.dsl.functions import Function
from optsearch.runs.cli.options import Json
from optsearch.runs.library.catalog import CheckedLaw, LibraryEntry, TaskEntry
from optsearch.runs.library.discovery import Discovery
from optsearch.runs.summary.diagnosis import Diagnosis
from optsearch.search.config import CampaignConfig

if TYPE_CHECKING:
    from optsearch.runs.store.work import Work
    from optsearch.runs.summary.listing import ListedRun


def task_row(entry: TaskEntry) -> Json:
    """A task with its size, permitted use and measurements."""
    task = entry.task
    return {
        "name": task.name,
        "family": task.family,
        "rung": task.rung,
        "parameters": task.parameters,
        "steps": task.steps,
        "batch": task.batch_size,
        "compute": task.compute,
        "examples": list(task.examples),
        "epochs": task.epochs,
        "origin": sorted(task.origins),
        "package": task.packaged.package.requirement if task.packaged else None,
        "installed": entry.fault is None,
        "trivial_loss": task.trivial_loss,
        "objective": task.objective.name,
        "use": task.use,
        "version": task.version,
        "adamw": None if entry.adamw is None else asdict(entry.adamw),
        "description": task.description,
    }


def law_row(law: CheckedLaw) -> Json:
    """A law with the result of its check."""
    return {"law": law.law, "sentence": law.sentence, "kept": law.fault is None, "says": law.fault}


def function_row(function: Function) -> Json:
    """A function of the language with its signature and formula."""
    return {
        "name": function.name,
        "operator": function.infix,
        "signature": function.signature,
        "operation": function.operation.value,
        "formula": function.latex.format("x", "y", "a"),
    }


def library_row(entry: LibraryEntry) -> Json:
    """A shipped program with its size; a discovered one with its record."""
    return {
        "name": entry.name,
        "statements": len(entry.program.body),
        "state": list(entry.program.state),
        "description": entry.description,
        "text": str(entry.program),
        "discovery": None if entry.discovery is None else discovery_json(entry.discovery),
    }


def discovery_json(found: Discovery) -> Json:
    """The record of a discovered program, with its headline and the commands that reproduce it."""
    return found.record.model_dump(mode="json") | {"headline": found.headline, "commands": found.commands}


def campaign_row(config: CampaignConfig) -> Json:
    """A campaign with its tasks and size."""
    return {
        "name": config.name,
        "tasks": ", ".join(task.task for task in config.setting.tasks),
        "programs": config.budget.programs,
        "population": config.population.size,
        "description": config.description,
    }


def diagnosis_json(found: Diagnosis) -> Json:
    """The facts about a machine and a campaign, and the findings; memory in bytes."""
    return {
        "machine": {**asdict(found.machine), "cache": str(found.machine.cache)},
        "campaign": None if found.campaign is None else asdict(found.campaign),
        "findings": [asdict(finding) for finding in found.findings],
    }


def listed_row(row: ListedRun) -> Json:
    """A line of the listing of runs."""
    return asdict(row) | {"tasks": list(row.tasks)}


def work_row(work: Work) -> Json:
    """A version of the work of `evaluate`, `select` or `simplify`."""
    return {"name": work.name} | asdict(work)
