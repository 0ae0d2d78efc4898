"""Validation of stored records: a run file is untrusted input.

Checksums detect damage, but the author of a file can forge them. Therefore every cell is checked against the type of
its column, every JSON text against a model, and every compressed text against a size limit. A violation raises
``DamagedRunError``, which names the table, the record and the rule.
"""

from __future__ import annotations

import json
import math
import sys
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from optsearch.runs.store.errors import DamagedRunError, RunError

Cell = str | int | float | bytes | None

LARGEST_TEXT = 64_000_000
"""Maximum number of characters of a JSON text."""

LARGEST_PROGRAM = 1_000_000
"""Maximum number of bytes of a program's text; 200 statements need far fewer."""

_LARGEST = sys.float_info.max
_KINDS: dict[str, tuple[tuple[type, ...], tuple[float, float] | None]] = {
    "TEXT": ((str,), None),
    "BLOB": ((bytes,), None),
    "INTEGER": ((int,), (0, math.inf)),
    "REAL": ((int, float), (-_LARGEST, _LARGEST)),
}
"""Types of a column's cells, and the range of its numbers."""

_Count = Annotated[int, Field(ge=0)]
_Loss = Annotated[float, Field(allow_inf_nan=False)] | None
_STRICT = ConfigDict(strict=True)


@cache
def _columns(declaration: str) -> tuple[tuple[str, frozenset[type], tuple[float, float] | None], ...]:
    """Name, types and range of each column of a table; a nullable column has the type of None, too."""
    found: list[tuple[str, frozenset[type], tuple[float, float] | None]] = []
    for name, kind, *rest in (column.split() for column in declaration.split(", ")):
        types, span = _KINDS[kind]
        found.append((name, frozenset(types if rest else (*types, type(None))), span))
    return tuple(found)


def check_cells(table: str, declaration: str, row: Sequence[Any]) -> None:
    """Checks a record against the types of its columns; numbers must be finite, integers non-negative.

    Args:
        table: name of the table.
        declaration: column definitions of the table in SQL, from ``schema.TABLES``.
        row: cells of the record.

    Raises:
        DamagedRunError: a cell violates its column definition.
    """
    for (name, types, span), cell in zip(_columns(declaration), row, strict=False):
        fits = type(cell) in types and (span is None or cell is None or span[0] <= cell <= span[1])
        if not fits:
            raise DamagedRunError(f"table {table}: {name} of a record is {_short(cell)}, which is no value of it")


def refuse_links(folder: Path, name: str) -> None:
    """Checks that an SQLite file and its auxiliary files, where they exist, are regular files.

    Args:
        folder: folder of the file.
        name: name of the file.

    Raises:
        RunError: a file is a symbolic link, or not a regular file.
    """
    for path in (folder / f"{name}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")):
        if path.is_symlink():
            raise RunError(f"{folder}: {path.name} is a symbolic link, and none is followed: put the file itself there")
        if path.exists() and not path.is_file():
            raise RunError(f"{folder}: {path.name} is no file: remove it")


def read_json(table: str, record: object, text: str, adapter: TypeAdapter[Any]) -> Any:
    """Parses a JSON text and validates it against a model.

    Args:
        table: name of the table.
        record: key of the record in the table.
        text: the JSON text.
        adapter: the model.

    Raises:
        DamagedRunError: the text is not JSON, too long, too deeply nested, or does not match the model.
    """
    if len(text) > LARGEST_TEXT:
        raise DamagedRunError(f"table {table}: record ({record}) holds a text of {len(text):,} characters, too many")
    try:
        value = json.loads(text, parse_constant=_no_constant)
        adapter.validate_python(value)
    except ValidationError as error:
        raise DamagedRunError(f"table {table}: record ({record}) is not what it must be: {fault(error)}") from None
    except (ValueError, RecursionError) as error:
        raise DamagedRunError(f"table {table}: record ({record}) is no JSON: {error}") from None
    return value


def fault(error: ValidationError) -> str:
    """The first fault that a model has found, with its place."""
    first = error.errors(include_url=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))


def inflate(packed: bytes, dictionary: bytes) -> str:
    """Decompresses a text.

    Args:
        packed: raw deflate data.
        dictionary: compression dictionary.

    Raises:
        DamagedRunError: the data are invalid, or the text exceeds the maximum length of a program.
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
    """Further values of a result besides its fitness; later versions may add fields."""

    curves: _Curves
    losses: list[_Loss] = []
    rate: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    loss_so_far: _Loss = None
    cases: list[Annotated[float, Field(allow_inf_nan=False)]] = []


DETAILS: TypeAdapter[Any] = TypeAdapter(_Curves | _Details)


class _Named(BaseModel):
    name: str


class _Candidate(_Named):
    fingerprint: str
    fitness: _Loss
    program: str


class _Funnel(_Named):
    description: str = ""
    stages: list[_Named]


class _EvaluationSettings(BaseModel):
    tasks: dict[str, str]
    seeds: _Count
    trials: _Count
    constants: bool
    skipped_seeds: _Count = 0
    shared: bool = False


class _StudySettings(BaseModel):
    """Validated settings of a study; further settings are only displayed."""

    runs: list[str]
    candidates: list[_Candidate]
    funnel: _Funnel | None = None
    evaluation: _EvaluationSettings | None = None


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


class _Bias(BaseModel):
    mean: float
    interval: Annotated[list[_Loss], Field(min_length=2, max_length=2)]
    count: _Count
    programs: dict[str, float]


class _StageResult(_Named):
    """Head of a stage of a study; ``summary.stage_record`` decodes the whole."""

    tasks: list[str]
    seeds: list[_Count]
    verdicts: list[_Verdict]
    cost: _Cost
    bias: _Bias | None
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
} | dict.fromkeys(("validations", "finals", "studies", "stages", "proposals"), _TOTAL)
"""Models of the named values of the table ``meta``; the campaign model validates ``settings``."""
