"""Export formats of programs: the implementation of ``export``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from optsearch.dsl.errors import UserError
from optsearch.dsl.export.arguments import NO_ADVICE, Advice
from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.export.text import to_json, to_latex, to_pseudocode
from optsearch.dsl.export.torch import to_torch_source
from optsearch.dsl.program import Program
from optsearch.dsl.verify import nearest
from optsearch.proxy_tasks import plugins
from optsearch.proxy_tasks.plugins import plug_ins
from optsearch.proxy_tasks.task import SCHEDULE_WORDS
from optsearch.runs.library.provenance import notes
from optsearch.runs.library.references import NamedProgram
from optsearch.runs.library.tuned import TunedProgram, tuned_program
from optsearch.runs.store.errors import RunError
from optsearch.runs.summary.evaluation_result import EvaluationResult

Write = Callable[[Program, str, Sequence[str]], str]
"""A format: takes a verified program, a title and notes of its origin and results, and returns the text of a file. The
type of the plug-ins of the group ``optsearch.exports``."""

_FILES: Mapping[str, Callable[[Program, str, Sequence[str], Advice], str]] = {
    "optax": to_optax_source,
    "torch": to_torch_source,
}

_TEXTS: Mapping[str, Write] = {
    "latex": to_latex,
    "pseudocode": to_pseudocode,
    "json": to_json,
}

FORMS = (*_FILES, *_TEXTS)
"""Names of the shipped forms."""


class ExportError(UserError, ValueError):
    """An export that is asked for in the wrong way."""


def write_export(
    named: NamedProgram,
    form: str,
    path: Path | None,
    tuned: str | EvaluationResult | None = None,
    task: str | None = None,
    *,
    force: bool = False,
) -> str:
    """Exports a program and writes a file.

    Args:
        named: the program.
        form: one of `FORMS`, or the name of a plug-in.
        path: file to write; None for none.
        tuned: evaluation whose tuned values are exported, as for `tuned_program`; None for the program's own values.
        task: task of that evaluation; None if it has one task only.
        force: if True, replaces an existing file.

    Returns:
        The text.

    Raises:
        ExportError: there is no such form, or a task is given without an evaluation.
        PlugInError: the form is that of a plug-in, which fails.
        RunError: the evaluation has no values of the program, or the file cannot be written.
    """
    if task is not None and tuned is None:
        raise ExportError(f"task '{task}' names a task of an evaluation: give that too, as tuned")
    source = exported(named, form, None if tuned is None else tuned_program(named, tuned, task))
    if path is None:
        return source
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(source)
    except FileExistsError:
        raise RunError(f"{path}: the file exists: choose another name, or replace it (--force)") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error
    return source


def exported(named: NamedProgram, form: str, tuned: TunedProgram | None = None) -> str:
    """Exports a program in one of the forms, as text that ends with a line break.

    Args:
        named: the program.
        form: one of `FORMS`, or the name of a plug-in.
        tuned: the same program with tuned values, which are exported instead; None for its own.

    Raises:
        ExportError: there is no such form.
        PlugInError: the form is that of a plug-in, which fails.
    """
    write = None if form in _FILES else _TEXTS.get(form) or _plugged(form)
    said = notes(named) if tuned is None else [tuned.note, *notes(named)]
    program = named.program if tuned is None else tuned.program
    if write is not None:
        return write(program, named.name, said).rstrip("\n") + "\n"
    advice = tuned.advice if tuned is not None else _found(named)
    return _FILES[form](program, named.name, said, advice).rstrip("\n") + "\n"


def _found(named: NamedProgram) -> Advice:
    """Programs of searches were found under the schedule of the tasks."""
    return Advice(f"It was found under {SCHEDULE_WORDS}.") if named.tasks else NO_ADVICE


def _plugged(form: str) -> Write:
    installed = plug_ins(plugins.EXPORTS, FORMS)
    if form.lower() not in installed:
        names = [*FORMS, *(one.name for one in installed.values())]
        raise ExportError(f"'{form}' is not an export format{nearest(form, names)}; there are {', '.join(names)}")
    found = installed[form.lower()]
    write = found.load().made

    def checked(program: Program, title: str, notes: Sequence[str]) -> str:
        try:
            text = write(program, title, notes)
        except Exception as error:
            raise found.fault(f"fails: {type(error).__name__}: {error}") from error
        if not isinstance(text, str):
            raise found.fault(f"returns {type(text).__name__} instead of a text")
        return text

    return checked
