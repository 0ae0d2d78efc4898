"""Lists of tasks, functions, library programs and shipped campaigns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optsearch.dsl.functions import Function
    from optsearch.dsl.program import Program
    from optsearch.proxy_tasks.measured import Measured
    from optsearch.proxy_tasks.task import Task
    from optsearch.runs.library.discovery import Discovery
    from optsearch.search.config import CampaignConfig


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A task with its measurements.

    Attributes:
        task: the task.
        adamw: measurements of AdamW on this version of the task; None if there are none.
        fault: reason why the optional package of the task's data cannot be used, with the command that installs it;
            None if it can, or there is none. Its files are not read for it.
    """

    task: Task
    adamw: Measured | None
    fault: str | None


@dataclass(frozen=True, slots=True)
class CheckedLaw:
    """Result of checking a task against one law of the contract.

    Attributes:
        law: name of the law.
        sentence: statement of the law.
        fault: description of the violation; None if the task keeps the law.
    """

    law: str
    sentence: str
    fault: str | None


@dataclass(frozen=True, slots=True)
class LibraryEntry:
    """A shipped program.

    Attributes:
        name: name of the program.
        program: the program.
        description: short description.
        discovery: record of a discovered program; None for a known optimizer.
    """

    name: str
    program: Program
    description: str
    discovery: Discovery | None


def tasks(own: Sequence[Task] = ()) -> list[TaskEntry]:
    """Lists all tasks.

    Args:
        own: user-defined tasks, listed after the shipped ones.
    """
    from optsearch.proxy_tasks.measured import measured
    from optsearch.proxy_tasks.registry import TASKS

    return [
        TaskEntry(task, measured(task), task.packaged.package.fault() if task.packaged else None)
        for task in (*TASKS.values(), *own)
    ]


def check_task(name: str) -> Iterator[CheckedLaw]:
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
        yield CheckedLaw(law.name, law.sentence, fault)
        if fault is not None and law.decides:
            return


def functions() -> list[Function]:
    """Lists all functions of the language."""
    from optsearch.dsl.functions import FUNCTIONS

    return list(FUNCTIONS.values())


def library() -> list[LibraryEntry]:
    """Lists all shipped programs: known optimizers, then discovered ones with their records."""
    from optsearch.dsl.library import DESCRIPTIONS, LIBRARY
    from optsearch.runs.library.discovery import DISCOVERED

    known = [LibraryEntry(name, program, DESCRIPTIONS[name], None) for name, program in LIBRARY.items()]
    found = [LibraryEntry(one.name, one.program, one.record.description, one) for one in DISCOVERED.values()]
    return [*known, *found]


def campaigns() -> list[CampaignConfig]:
    """Lists the settings of all shipped campaigns."""
    from optsearch.search.config import load_campaign

    return [
        load_campaign(file.read_text(encoding="utf-8"), source=file.name)
        for file in sorted(files("optsearch.runs.commands.campaigns").iterdir(), key=lambda entry: entry.name)
        if file.name.endswith(".yaml")
    ]
