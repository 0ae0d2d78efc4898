"""Digests of reproducible results, one record for each environment that decides the last bits of a training run.

``digests.json`` holds them; ``benchmarks/reproduce.py --record`` adds those of this machine and these versions.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from optsearch.runs.store.environment import made_with

PATH = Path(__file__).parent / "digests.json"


@dataclass(frozen=True, slots=True)
class Small:
    """Result of the small version of an entry.

    Attributes:
        digest: first 12 characters of its digest.
        near: values of its JSON by dotted key that are nearly equal on all kinds of machines.
    """

    digest: str
    near: dict[str, float]


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests that were made in one environment.

    Attributes:
        made_with: the environment: versions of fingerprint and search, processor, numerical packages.
        full: first 12 characters of the digests of entries, by name.
        small: results of small versions, by name of the entry.
    """

    made_with: str
    full: dict[str, str] = field(default_factory=dict[str, str])
    small: dict[str, Small] = field(default_factory=dict[str, Small])

    @property
    def versions(self) -> str:
        """Versions of fingerprint and search, without machine and packages."""
        return "; ".join(self.made_with.split("; ")[:2])


def read() -> list[Digests]:
    """Reads all records, oldest first."""
    return [
        Digests(record["made_with"], record["full"], {name: Small(**small) for name, small in record["small"].items()})
        for record in json.loads(PATH.read_text(encoding="utf-8"))
    ]


def here(records: list[Digests]) -> Digests:
    """Finds the record of this environment, or makes an empty one, which is not in the list."""
    return next((one for one in records if one.made_with == made_with()), Digests(made_with()))


def latest(records: list[Digests], name: str, *, small: bool = False) -> tuple[str, Digests] | None:
    """The digest of an entry, or of its small version, recorded last, and its record; None if there is none."""
    for one in reversed(records):
        found = {key: row.digest for key, row in one.small.items()} if small else one.full
        if name in found:
            return found[name], one
    return None


def write(records: list[Digests]) -> None:
    """Writes all records."""
    PATH.write_text(json.dumps([asdict(one) for one in records], indent=1) + "\n", encoding="utf-8")
