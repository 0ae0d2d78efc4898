"""Lists of tasks, functions, library programs and shipped campaigns, as rows for tables and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optsearch.proxy_tasks.task import Task

Row = dict[str, Any]


def tasks(own: Sequence[Task] = ()) -> list[Row]:
    """Lists all tasks with their size, permitted use and measured values.

    Args:
        own: user-defined tasks, listed after the shipped ones.
    """
    from optsearch.proxy_tasks.measured import measured
    from optsearch.proxy_tasks.registry import TASKS

    rows: list[Row] = []
    for task in (*TASKS.values(), *own):
        found = measured(task)
        rows.append(
            {
                "name": task.name,
                "family": task.family,
                "rung": task.rung,
                "parameters": task.parameters,
                "steps": task.steps,
                "batch": task.batch_size,
                "compute": task.compute,
                "examples": [len(split[0]) for split in task.data.splits],
                "objective": task.objective.name,
                "use": task.use,
                "version": task.version,
                "adamw": None if found is None else asdict(found),
                "description": task.description,
            }
        )
    return rows


def check_task(name: str) -> Iterator[Row]:
    """Checks a task against each law of the contract; stops early if later checks would be meaningless.

    Args:
        name: name of a shipped or imported task.

    Raises:
        TaskError: the task does not exist, or its data cannot be read.
    """
    from optsearch.proxy_tasks.contract import LAWS, Subject
    from optsearch.proxy_tasks.registry import get_task, reference_of

    task = get_task(name)
    subject = Subject(task, reference=reference_of(task))
    for law in LAWS:
        fault = law.check(subject)
        yield {"law": law.name, "sentence": law.sentence, "kept": fault is None, "says": fault}
        if fault is not None and law.decides:
            return


def functions() -> list[Row]:
    """Lists all functions of the language with signature and laws."""
    from optsearch.dsl.functions import FUNCTIONS

    return [
        {
            "name": row.name,
            "operator": row.infix,
            "signature": row.signature,
            "operation": row.operation.value,
            "formula": row.latex.format("x", "y", "a"),
        }
        for row in FUNCTIONS.values()
    ]


def library() -> list[Row]:
    """Lists all shipped programs with their size: known optimizers, then discovered ones with their records."""
    from optsearch.dsl.library import DESCRIPTIONS, LIBRARY
    from optsearch.runs.library.discovery import DISCOVERED

    known = [(name, program, DESCRIPTIONS[name], None) for name, program in LIBRARY.items()]
    found = [(one.name, one.program, one.record.description, one.as_values()) for one in DISCOVERED.values()]
    return [
        {
            "name": name,
            "statements": len(program.body),
            "state": list(program.state),
            "description": description,
            "text": str(program),
            "discovery": discovery,
        }
        for name, program, description, discovery in (*known, *found)
    ]


def campaigns() -> list[Row]:
    """Lists all shipped campaigns with their descriptions."""
    from optsearch.search.config import load_campaign

    rows: list[Row] = []
    for file in sorted(files("optsearch.runs.commands.campaigns").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            config = load_campaign(file.read_text(encoding="utf-8"), source=file.name)
            rows.append(
                {
                    "name": config.name,
                    "tasks": ", ".join(task.task for task in config.setting.tasks),
                    "programs": config.budget.programs,
                    "population": config.population.size,
                    "description": config.description,
                }
            )
    return rows
