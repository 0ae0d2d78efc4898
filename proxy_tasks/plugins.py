"""Objects of installed distributions by name, from their entry points.

A distribution announces an object in a group of entry points, such as in its ``pyproject.toml``:

    [project.entry-points."optsearch.tasks"]
    spirals = "my_package.tasks:Spirals"

Names are read when a name that optsearch does not ship is looked up; an object is imported when it is used.

Source: https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from optsearch.dsl.errors import UserError
from optsearch.proxy_tasks.imported import Imported, code_of, folder_of

TASKS = "optsearch.tasks"
BASELINES = "optsearch.baselines"
EXPORTS = "optsearch.exports"
TRACKERS = "optsearch.trackers"


class PlugInError(UserError, RuntimeError):
    """A plug-in cannot be used."""


@dataclass(frozen=True, slots=True)
class PlugIn:
    """An object that a distribution announces.

    Attributes:
        group: group of entry points.
        name: its name.
        reference: where it is, as ``module:object``.
        distribution: name and version of its distribution.
    """

    group: str
    name: str
    reference: str
    distribution: str

    def load(self) -> Imported:
        """Imports the object.

        Raises:
            PlugInError: the import fails; the message names the distribution.
        """
        entry = EntryPoint(self.name, self.reference, self.group)
        try:
            made = entry.load()
        except Exception as error:
            raise self.fault(f"cannot be imported: {type(error).__name__}: {error}") from error
        module = sys.modules[entry.module]
        return Imported(self.name, made, code_of(module, self.reference), folder_of(module))

    def fault(self, reason: str) -> PlugInError:
        """An error that names the plug-in and its distribution."""
        return PlugInError(
            f"plug-in '{self.name}' ({self.group}) of the distribution {self.distribution} {reason}. Repair or remove "
            f"the distribution (entry point {self.reference})"
        )


def plug_ins(group: str, shipped: Collection[str] = ()) -> dict[str, PlugIn]:
    """Returns the plug-ins of a group by name, in lower case; imports none.

    Args:
        group: group of entry points.
        shipped: names of optsearch itself, which a plug-in must not have.

    Raises:
        PlugInError: a plug-in has the name of something shipped, or two distributions have the same name.
    """
    taken = {name.lower() for name in shipped}
    found: dict[str, PlugIn] = {}
    for entry in entry_points(group=group):
        about = "unknown" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
        one = PlugIn(group, entry.name, entry.value, about)
        if entry.name.lower() in taken:
            raise one.fault("has the name of something that ships with optsearch, and is refused")
        other = found.setdefault(entry.name.lower(), one)
        if other != one:
            raise one.fault(f"has the name of one of {other.distribution}, and is refused")
    return found
