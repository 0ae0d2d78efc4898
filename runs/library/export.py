"""Export formats of programs: the implementation of ``export``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from optsearch.dsl.export.arguments import NO_ADVICE, Advice
from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.export.text import to_json, to_latex, to_pseudocode
from optsearch.dsl.export.torch import to_torch_source
from optsearch.dsl.program import Program
from optsearch.proxy_tasks.task import SCHEDULE_WORDS
from optsearch.runs.library.provenance import notes
from optsearch.runs.library.references import NamedProgram
from optsearch.runs.library.tuned import TunedProgram

_FILES: Mapping[str, Callable[[Program, str, Sequence[str], Advice], str]] = {
    "optax": to_optax_source,
    "torch": to_torch_source,
}

_TEXTS: Mapping[str, Callable[[Program, str, Sequence[str]], str]] = {
    "latex": to_latex,
    "pseudocode": to_pseudocode,
    "json": to_json,
}

FORMS = (*_FILES, *_TEXTS)
"""Names of the forms."""


def exported(named: NamedProgram, form: str, tuned: TunedProgram | None = None) -> str:
    """Exports a program in one of the forms, as text that ends with a line break.

    Args:
        named: the program.
        form: one of `FORMS`.
        tuned: the same program with tuned values, which are exported instead; None for its own.
    """
    said = notes(named) if tuned is None else [tuned.note, *notes(named)]
    program = named.program if tuned is None else tuned.program
    if form in _TEXTS:
        return _TEXTS[form](program, named.name, said).rstrip("\n") + "\n"
    advice = tuned.advice if tuned is not None else _found(named)
    return _FILES[form](program, named.name, said, advice).rstrip("\n") + "\n"


def _found(named: NamedProgram) -> Advice:
    """Programs of searches were found under the schedule of the tasks."""
    return Advice(f"It was found under {SCHEDULE_WORDS}.") if named.tasks else NO_ADVICE
