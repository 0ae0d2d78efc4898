"""The help of the command line: options without a value show no type, such as ``--help <bool>``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

Function = TypeVar("Function", bound=Callable[..., Any])


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))


class _Group(TyperGroup):
    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))


def _without_types(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


class Commands(typer.Typer):
    """A command line whose help shows no type of options without a value.

    Args:
        options: as for `typer.Typer`.
    """

    def __init__(self, **options: Any):
        super().__init__(cls=_Group, **options)

    def command(self, *args: Any, **options: Any) -> Callable[[Function], Function]:
        """Registers a command; see `typer.Typer.command`."""
        return super().command(*args, **{"cls": _Command} | options)
