"""Reference of the command line: each command with its arguments and options, and the exit codes."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from optsearch.runs.cli.app import app
from optsearch.runs.cli.exit_codes import EXIT_CODES
from optsearch.runs.reference.markdown import code, page, prose, sentence, table

_WORDS = {int: "integer", float: "number", bool: ""}


class Parameter(NamedTuple):
    """A parameter of a command.

    Attributes:
        name: name in Python.
        kind: type of its value, or of each of its values.
        several: True if it may be repeated.
        info: what the command line is told about it.
        default: default in Python; `inspect.Parameter.empty` for a required one.
    """

    name: str
    kind: type
    several: bool
    info: ArgumentInfo | OptionInfo
    default: Any

    @property
    def written(self) -> str:
        """The argument or option as it is written."""
        if isinstance(self.info, ArgumentInfo):
            return str(self.info.metavar or self.name.upper())
        named = [text for text in (self.info.default, *(self.info.param_decls or ())) if isinstance(text, str)]
        return ", ".join(named or [f"--{self.name.replace('_', '-')}"]).replace("/", ", ")


def commands_page() -> str:
    """The page of all commands."""
    found = {one.name or one.callback.__name__: one.callback for one in app.registered_commands if one.callback}
    return page(
        "Commands",
        "`optsearch COMMAND --help` prints the same text. Runs are folders in `optsearch-runs/`; a run is named by its "
        "path or by its name there, a program of it as `RUN:ID` or `RUN:best`. `optsearch --version` prints the "
        "version.",
        *(block for name, callback in sorted(found.items()) for block in _command(name, callback)),
        "## Exit codes",
        table(("code", "meaning"), ((code(number), sentence(meaning)) for number, meaning in EXIT_CODES.items())),
    )


def parameters(command: Callable[..., Any]) -> Iterator[Parameter]:
    """The parameters of a command, in order."""
    hints = get_type_hints(command, include_extras=True)
    for name, one in inspect.signature(command).parameters.items():
        hint, info = hints[name], None
        if get_origin(hint) is Annotated:
            hint, info = get_args(hint)
        if not isinstance(info, ArgumentInfo | OptionInfo):
            raise TypeError(f"{command.__name__}: {name} has no typer.Option or typer.Argument")
        kind = _present(hint)
        several = get_origin(kind) is list
        yield Parameter(name, get_args(kind)[0] if several else kind, several, info, one.default)


def _command(name: str, command: Callable[..., Any]) -> Iterator[str]:
    found = list(parameters(command))
    arguments = [
        one.written if one.default is inspect.Parameter.empty else f"[{one.written}]"
        for one in found
        if isinstance(one.info, ArgumentInfo)
    ]
    yield f"## {name}"
    yield f"```\n{' '.join(('optsearch', name, '[OPTIONS]', *arguments))}\n```"
    yield prose(inspect.cleandoc(command.__doc__ or ""))
    yield table(("argument or option", "value", "default", "meaning"), map(_row, found))


def _row(one: Parameter) -> tuple[str, str, str, str]:
    if not one.info.help:
        raise ValueError(f"the option {one.written} has no help")
    return code(one.written), _value(one), _default(one), sentence(prose(one.info.help))


def _value(one: Parameter) -> str:
    if isinstance(one.info, ArgumentInfo) or one.kind is bool:
        return ""
    least, most = one.info.min, one.info.max
    between = f" {least:,g} to {most:,g}" if least is not None and most is not None else ""
    bounds = between or (f" ≥ {least:g}" if least is not None else "")
    return (code(one.info.metavar) if one.info.metavar else _WORDS.get(one.kind, "text")) + bounds


def _default(one: Parameter) -> str:
    if one.default is inspect.Parameter.empty:
        return "required"
    if isinstance(one.info.show_default, str):
        return one.info.show_default
    if one.kind is bool:
        return "on" if one.default else "off"
    return "" if one.default is None else code(one.default)


def _present(hint: Any) -> Any:
    """A type without None."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    return hint
