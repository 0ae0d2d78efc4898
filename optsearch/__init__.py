"""Symbolic discovery of optimization algorithms.

    import optsearch

    run = optsearch.search("quickstart")            # or optsearch.load("quickstart-seed0")
    optimizer = run.best.to_optax()                # at its own learning rate, or learning_rate=...
    optsearch.evaluate(run.best, "X_ae")            # compared with tuned baselines
    optsearch.simplify(run.best)
    optsearch.export(run.best, to="torch", path="found.py")

Public names are imported lazily, so that ``import optsearch`` takes milliseconds. The packages ``search`` and
``simplify`` are callable: ``optsearch.search(...)`` runs a campaign, ``optsearch.simplify(...)`` distils a program.

>>> import optsearch
>>> program = optsearch.parse('''def train(w, g, lr):
...     update = g * lr
...     return update''')
>>> program == optsearch.LIBRARY["sgd"]
True
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optsearch.dsl.library import LIBRARY as LIBRARY
    from optsearch.dsl.program import Program as Program
    from optsearch.dsl.syntax import parse as parse
    from optsearch.dsl.transform import to_optax as to_optax
    from optsearch.proxy_tasks.task import Task as Task
    from optsearch.runs.notebook import load_run as load
    from optsearch.runs.scripting import evaluate as evaluate
    from optsearch.runs.scripting import export as export
    from optsearch.runs.scripting import propose as propose
    from optsearch.runs.scripting import resume as resume
    from optsearch.runs.scripting import search as search  # pyright: ignore[reportAssignmentType]
    from optsearch.runs.scripting import select as select
    from optsearch.runs.scripting import simplify as simplify  # pyright: ignore[reportAssignmentType]
    from optsearch.runs.scripting import verify as verify
    from optsearch.runs.store.stream import StopSearch as StopSearch
    from optsearch.runs.trackers.by_name import track as track
    from optsearch.selection.scripts.script import load_script as load_script

    __version__: str

__all__ = [
    "LIBRARY",
    "Program",
    "StopSearch",
    "Task",
    "__version__",
    "evaluate",
    "export",
    "load",
    "load_script",
    "parse",
    "propose",
    "resume",
    "search",
    "select",
    "simplify",
    "to_optax",
    "track",
    "verify",
]

_HOMES = {
    "LIBRARY": ("dsl.library", "LIBRARY"),
    "Program": ("dsl.program", "Program"),
    "StopSearch": ("runs.store.stream", "StopSearch"),
    "Task": ("proxy_tasks.task", "Task"),
    "evaluate": ("runs.scripting", "evaluate"),
    "export": ("runs.scripting", "export"),
    "load": ("runs.notebook", "load_run"),
    "load_script": ("selection.scripts.script", "load_script"),
    "parse": ("dsl.syntax", "parse"),
    "propose": ("runs.scripting", "propose"),
    "resume": ("runs.scripting", "resume"),
    "select": ("runs.scripting", "select"),
    "to_optax": ("dsl.transform", "to_optax"),
    "track": ("runs.trackers.by_name", "track"),
    "verify": ("runs.scripting", "verify"),
}
"""Module and original name of every public name."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("optsearch")
    if name not in _HOMES:
        raise AttributeError(f"module 'optsearch' has no attribute '{name}'")
    module, original = _HOMES[name]
    value = getattr(import_module(f"optsearch.{module}"), original)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Callable(ModuleType):
    """A callable package; its name is also the name of a public function."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Calls the function of the same name in ``optsearch.runs.scripting``."""
        function = getattr(import_module("optsearch.runs.scripting"), self.__name__.rpartition(".")[2])
        return function(*args, **options)


_checkout = Path(__file__).parent.parent
if not (Path(__file__).parent / "dsl").is_dir() and (_checkout / "dsl").is_dir():
    # Found by its folder in the repository, as Ray's workers do when a command runs there: the packages are beside it.
    __path__.append(str(_checkout))

for _name in ("optsearch.search", "optsearch.simplify"):
    import_module(_name).__class__ = _Callable
