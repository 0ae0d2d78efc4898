"""Export formats of programs: the implementation of ``export``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.export.text import to_json, to_latex, to_pseudocode
from optsearch.dsl.export.torch import to_torch_source
from optsearch.dsl.program import Program
from optsearch.runs.library.provenance import notes
from optsearch.runs.library.references import NamedProgram

FORMS: Mapping[str, Callable[[Program, str, Sequence[str]], str]] = {
    "optax": to_optax_source,
    "torch": to_torch_source,
    "latex": to_latex,
    "pseudocode": to_pseudocode,
    "json": to_json,
}
"""Exporters by name of the form; each takes a program, a title and notes."""


def exported(named: NamedProgram, form: str) -> str:
    """Exports a program in one of the forms, as text that ends with a line break."""
    return FORMS[form](named.program, named.name, notes(named)).rstrip("\n") + "\n"
