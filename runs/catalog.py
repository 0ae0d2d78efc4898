"""What there is: tasks, functions, library programs and shipped campaigns, as rows for tables and JSON."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

Row = dict[str, Any]


def tasks() -> list[Row]:
    """Every task with its size and what it may be used for."""
    from proxy_tasks.registry import TASKS

    return [
        {
            "name": task.name,
            "parameters": task.parameters,
            "steps": task.steps,
            "batch": task.batch_size,
            "use": "search" if task.searchable else "held out",
            "version": task.version[:12],
            "description": task.description,
        }
        for task in TASKS.values()
    ]


def functions() -> list[Row]:
    """Every function of the language with its signature and laws."""
    from dsl.functions import FUNCTIONS

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
    """Every shipped program with its size."""
    from dsl.library import DESCRIPTIONS, LIBRARY

    return [
        {
            "name": name,
            "statements": len(program.body),
            "state": list(program.state),
            "description": DESCRIPTIONS[name],
            "text": str(program),
        }
        for name, program in LIBRARY.items()
    ]


def campaigns() -> list[Row]:
    """Every shipped campaign with what it does."""
    from search.config import load_campaign

    rows: list[Row] = []
    for file in sorted(files("runs.campaigns").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            config = load_campaign(file.read_text(encoding="utf-8"), source=file.name)
            rows.append(
                {
                    "name": config.name,
                    "task": config.task,
                    "programs": config.budget.programs,
                    "population": config.population.size,
                    "description": config.description,
                }
            )
    return rows
