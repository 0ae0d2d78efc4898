"""What a stored record must be before anything reads it: a run file is data of a stranger.

A checksum notices damage, but whoever writes a file can compute checksums too. So every cell is held to the type of its
column, every JSON text to a model, and every compressed text to a size. Whatever does not fit is a ``DamagedRunError``
that names the table, the record and the rule.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from optsearch.runs.store.errors import DamagedRunError, RunError

Cell = str | int | float | bytes | None

LARGEST_TEXT = 64_000_000
"""Characters of a JSON text, at most."""

LARGEST_PROGRAM = 1_000_000
"""Bytes of a program's text, at most; 200 statements are far below it."""

_TYPES: dict[str, tuple[type, ...]] = {"TEXT": (str,), "INTEGER": (int,), "REAL": (int, float), "BLOB": (bytes,)}

_Count = Annotated[int, Field(ge=0)]
_Loss = Annotated[float, Field(allow_inf_nan=False)] | None
_STRICT = ConfigDict(strict=True)


@cache
def _columns(declaration: str) -> tuple[tuple[str, tuple[type, ...], bool], ...]:
    """Name, types and whether NULL is allowed, of each column of a table."""
    columns = [column.split() for column in declaration.split(", ")]
    return tuple((name, _TYPES[kind], not rest) for name, kind, *rest in columns)


def check_cells(table: str, declaration: str, row: Sequence[Any]) -> None:
    """Holds a record to the types of its columns; numbers are finite, whole numbers not negative.

    Args:
        table: its table.
        declaration: the table's columns in SQL, as ``schema.TABLES`` has them.
        row: the cells.

    Raises:
        DamagedRunError: one is not what its column says.
    """
    for (name, types, nullable), cell in zip(_columns(declaration), row, strict=False):
        if cell is None:
            fits = nullable
        else:
            fits = isinstance(cell, types) and (isinstance(cell, (str, bytes)) or cell >= 0 or types != (int,))
            fits = fits and not (isinstance(cell, float) and not math.isfinite(cell))
        if not fits:
            raise DamagedRunError(f"table {table}: {name} of a record is {_short(cell)}, which is no value of it")


def refuse_links(folder: Path, name: str) -> None:
    """Holds an SQLite file and the files that SQLite keeps beside it to be files, where they exist.

    Args:
        folder: where it is.
        name: its name.

    Raises:
        RunError: one is a symbolic link, or no file.
    """
    for path in (folder / f"{name}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")):
        if path.is_symlink():
            raise RunError(f"{folder}: {path.name} is a symbolic link, and none is followed: put the file itself there")
        if path.exists() and not path.is_file():
            raise RunError(f"{folder}: {path.name} is no file: remove it")


def read_json(table: str, record: object, text: str, adapter: TypeAdapter[Any]) -> Any:
    """The value of a JSON text, as a model says it must be.

    Args:
        table: where it stands.
        record: key of the record there.
        text: the text.
        adapter: the model.

    Raises:
        DamagedRunError: it is no JSON, too long, too deep, or another value.
    """
    if len(text) > LARGEST_TEXT:
        raise DamagedRunError(f"table {table}: record ({record}) holds a text of {len(text):,} characters, too many")
    try:
        value = json.loads(text, parse_constant=_no_constant)
        adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DamagedRunError(
            f"table {table}: record ({record}) is not what it must be: {place}{': ' if place else ''}{first['msg']}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DamagedRunError(f"table {table}: record ({record}) is no JSON: {error}") from None
    return value


def inflate(packed: bytes, dictionary: bytes) -> str:
    """A compressed text.

    Args:
        packed: raw deflate.
        dictionary: what it was compressed with.

    Raises:
        DamagedRunError: it is no such text, or longer than a program can be.
    """
    unpacker = zlib.decompressobj(wbits=-15, zdict=dictionary)
    try:
        text = unpacker.decompress(packed, LARGEST_PROGRAM)
        if unpacker.unconsumed_tail:
            raise DamagedRunError(f"a stored program has more than {LARGEST_PROGRAM:,} bytes")
        return text.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise DamagedRunError(f"a stored program cannot be unpacked: {error}") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"it holds {name}")


def _short(cell: object) -> str:
    text = repr(cell)
    return text if len(text) <= 40 else f"{text[:37]}..."


ABOUT: TypeAdapter[Any] = TypeAdapter(dict[str, str], config=_STRICT)

_Curves = list[list[_Loss]]


class _Details(BaseModel):
    """What is known of a result beside its fitness; a later version may know more."""

    curves: _Curves
    losses: list[_Loss] = []
    rate: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    loss_so_far: _Loss = None


DETAILS: TypeAdapter[Any] = TypeAdapter(_Curves | _Details)


class _Named(BaseModel):
    name: str


class _Candidate(_Named):
    fingerprint: str
    fitness: _Loss
    program: str


class _Funnel(_Named):
    stages: list[_Named]


class _StudySettings(BaseModel):
    """What a study began with; what was asked for beside it is only shown."""

    runs: list[str]
    candidates: list[_Candidate]
    funnel: _Funnel | None = None


class _Verdict(BaseModel):
    contender: str
    baseline: bool
    passed: bool
    why: str
    score: _Loss
    losses: dict[str, _Loss]


class _Comparison(BaseModel):
    task: str
    contender: str
    baseline: str
    verdict: str


class _Evaluation(BaseModel):
    comparisons: list[_Comparison]


class _Cost(BaseModel):
    runs: _Count
    steps: _Count
    seconds: float


class _StageResult(_Named):
    """What a stage of a study found."""

    tasks: list[str]
    seeds: list[_Count]
    verdicts: list[_Verdict]
    cost: _Cost
    bias: dict[str, Any] | None
    rank_correlation: dict[str, Any] | None
    evaluation: _Evaluation


STUDY: TypeAdapter[Any] = TypeAdapter(_StudySettings)

STAGE: TypeAdapter[Any] = TypeAdapter(_StageResult)

_TOTAL: TypeAdapter[Any] = TypeAdapter(
    Annotated[list[_Count | None], Field(min_length=2, max_length=2)], config=_STRICT
)

META: dict[str, TypeAdapter[Any]] = {
    "campaign": TypeAdapter(str, config=_STRICT),
    "about": ABOUT,
    "status": TypeAdapter(str, config=_STRICT),
    "created": TypeAdapter(str, config=_STRICT),
    "fingerprint_version": TypeAdapter(_Count, config=_STRICT),
    "search_version": TypeAdapter(_Count, config=_STRICT),
    "tasks": ABOUT,
    "arms": TypeAdapter(_Count, config=_STRICT),
    "worker_machines": TypeAdapter(list[str], config=_STRICT),
} | dict.fromkeys(("validations", "finals", "studies", "stages"), _TOTAL)
"""What named values of the table ``meta`` are; ``settings`` are held to the model of campaigns."""
