"""Reference of tasks, baselines and the ranges of hyperparameters."""

from __future__ import annotations

from collections.abc import Iterable

from optsearch.proxy_tasks.task import Task
from optsearch.runs.library import catalog
from optsearch.runs.reference.markdown import code, page, sentence, table
from optsearch.selection.baselines.table import BASELINES, FAMILIES
from optsearch.selection.baselines.torch_optimizers import TORCH_BASELINES
from optsearch.selection.space import KINDS


def catalogs_page() -> str:
    """The page of tasks and baselines."""
    return page(
        "Tasks and baselines",
        "## Tasks",
        "Programs are trained on these tasks. [tasks.md](tasks.md) explains families, rungs and uses, and how to add "
        "your own. A search may use those for `search`, and in sets those for `set`; the others are held out. "
        "`optsearch tasks` also lists AdamW's loss and its noise; with `--json` everything.",
        _tasks(entry.task for entry in catalog.tasks()),
        "## Library programs",
        "Programs by name, for `show`, `evaluate`, `simplify`, `export` and as the `warm_start` of a campaign.",
        table(
            ("program", "statements", "state", "description"),
            (
                (
                    code(row.name),
                    str(len(row.program.body)),
                    ", ".join(map(code, row.program.state)),
                    sentence(row.description),
                )
                for row in catalog.library()
            ),
        ),
        "## Baselines",
        "Optimizers of optax with declared spaces, for `--baseline` and `baselines`. "
        "[selection.md](selection.md#baselines) explains their use. The tuned numbers stand with their defaults.",
        _baselines(),
        "The families:",
        table(("family", "members"), ((code(name), sentence(text)) for name, text in FAMILIES.items())),
        "## Baselines of PyTorch",
        "For [training scripts](scripts.md#baselines) with `--framework torch`.",
        table(
            ("baseline", "reference rate", "tuned besides", "family", "description"),
            (
                (code(row.name), f"{row.reference:g}", _numbers(row.numbers), _family(row.family), row.description)
                for row in TORCH_BASELINES.values()
            ),
        ),
        "## Ranges of hyperparameters",
        "Declared for all contenders alike; `--space KIND=LOW:HIGH` replaces one.",
        table(
            ("kind", "from", "to", "meaning"),
            (
                (code(name), f"{kind.low:.3g}", f"{kind.high:g}", sentence(kind.description))
                for name, kind in KINDS.items()
            ),
        ),
    )


def _tasks(tasks: Iterable[Task]) -> str:
    return table(
        ("task", "use", "parameters", "steps", "batch", "description"),
        (
            (
                code(task.name),
                task.use,
                f"{task.parameters:,}",
                f"{task.steps:,}",
                str(task.batch_size),
                task.description,
            )
            for task in tasks
        ),
    )


def _baselines() -> str:
    return table(
        ("baseline", "reference rate", "tuned besides", "family", "description"),
        (
            (
                code(row.name),
                f"{row.reference:g}",
                _numbers(row.arguments.items()),
                _family(row.family),
                row.description,
            )
            for row in BASELINES.values()
        ),
    )


def _numbers(pairs: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in pairs)


def _family(name: str) -> str:
    return code(name) if name else ""
