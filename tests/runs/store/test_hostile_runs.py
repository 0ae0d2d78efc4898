"""Run files are untrusted data: for any content with valid checksums, commands end with an error message."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from made_up_run import made_up_run
from made_up_selection import selected_run

from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.runs.store.errors import DamagedRunError, RunError
from optsearch.runs.store.reader import RUN_FILE
from optsearch.runs.store.schema import COLUMNS, TABLES, checksum
from optsearch.runs.store.writer import RunStore
from optsearch.search.scoring.fitness import Fitness

COMMANDS = [
    ["show", "run"],
    ["show", "run:best"],
    ["report", "run", "--out", "r.html"],
    ["verify", "run", "--sample", "1"],
    ["export", "run:best", "--to", "optax"],
    ["watch", "run", "--plain"],
]


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_run(tmp_path_factory.mktemp("made") / "run", programs=40)


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run with a study."""
    return selected_run(tmp_path_factory.mktemp("selected") / "run", programs=40)


@pytest.fixture
def run(made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, in the working folder."""
    monkeypatch.chdir(tmp_path)
    made = TrainingResult(Outcome.OK, 0.5, 0.5, None, 300, ())  # made-up losses cannot be made again
    monkeypatch.setattr("optsearch.runs.commands.verify.evaluate", lambda *_: Fitness(0.5, "ok", 300, 0.0))
    monkeypatch.setattr("optsearch.runs.commands.verify.train_alone", lambda asked: made)
    return Path(shutil.copytree(made_up, tmp_path / "run"))


def change(run: Path, table: str, row: int, column: str, value: Any) -> None:
    """Replaces a cell, and signs the record and what counts it again."""
    columns = COLUMNS[table].split(", ")
    with closing(sqlite3.connect(run / RUN_FILE)) as connection, connection:
        rowid, *cells = connection.execute(f"SELECT rowid, * FROM {table} LIMIT 1 OFFSET {row}").fetchone()
        old = cells[-1]
        cells[columns.index(column)] = value
        cells[-1] = checksum(table, cells[:-1])
        places = ", ".join(f"{name} = ?" for name in columns)
        connection.execute(f"UPDATE {table} SET {places} WHERE rowid = ?", (*cells, rowid))
        if table in ("tickets", "evaluations"):
            name = f"{table[:-1]}_sum"
            search, *totals = connection.execute("SELECT * FROM totals WHERE arm = ?", (cells[0],)).fetchone()
            found = [search, *totals[:-1]]
            place = COLUMNS["totals"].split(", ").index(name)
            found[place] += cells[-1] - old
            connection.execute("DELETE FROM totals WHERE arm = ?", (search,))
            connection.execute("INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?)", (*found, checksum("totals", found)))
        elif table in ("finals", "validations", "studies", "stages"):
            total = json.dumps(list(connection.execute(f"SELECT count(*), sum(checksum) FROM {table}").fetchone()))
            signed = checksum("meta", (table, total))
            connection.execute("UPDATE meta SET value = ?, checksum = ? WHERE key = ?", (total, signed, table))


def said(optsearch: Command, command: list[str]) -> str:
    """What a command says of a run that is not as it must be: one sentence, exit code 1 or 2, no traceback."""
    done = optsearch(*command)
    text = done.err + done.out
    assert done.code in (1, 2), f"{command}: exit code {done.code}\n{text}"
    assert "Traceback" not in text
    return text


def bomb() -> bytes:
    packer = zlib.compressobj(level=9, wbits=-15)
    return packer.compress(bytes(50_000_000)) + packer.flush()


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "says"),
    [
        ("tickets", 3, "parent", 3, "has the parent 3"),
        ("tickets", 3, "parent", 30, "has the parent 30"),
        ("tickets", 3, "owner", 30, "and the owner 30"),
        ("tickets", 3, "parent", -1, "parent of a record is -1"),
        ("tickets", 39, "program", bomb(), "more than 1,000,000 bytes"),
        ("tickets", 3, "mutation", b"insert", "mutation of a record is b'insert'"),
        ("evaluations", 2, "outcome", "fine", "has the outcome 'fine'"),
        ("evaluations", 2, "fitness", float("inf"), "fitness of a record is inf"),
        ("evaluations", 2, "fitness", "low", "fitness of a record is 'low'"),
        ("evaluations", 0, "curves", '{"curves": 3}', "record (0) is not what it must be"),
        ("evaluations", 0, "curves", "[" * 100_000, "record (0) is no JSON"),
        ("arms", 0, "settings", "[]", "table arms: record (0) is not what it must be"),
        ("arms", 0, "settings", '{"algorithm": "magic"}', "algorithm: Input should be"),
        ("sessions", 0, "machine", "7", "table sessions: record (1)"),
        ("totals", 0, "tickets", "many", "tickets of a record is 'many'"),
        ("finals", 0, "loss", "low", "loss of a record is 'low'"),
    ],
)
def test_records_are_held_to_their_models(
    table: str, row: int, column: str, value: Any, says: str, run: Path, optsearch: Command
) -> None:
    change(run, table, row, column, value)
    texts = [optsearch(*command) for command in COMMANDS]
    assert not any("Traceback" in done.err + done.out for done in texts)
    assert says in said(optsearch, ["verify", "run"])


@pytest.mark.parametrize("key", ["settings", "about", "campaign", "status", "tasks", "arms", "finals", "created"])
@pytest.mark.parametrize(
    "value", ["null", "7", "{", *(pytest.param(v, marks=pytest.mark.slow) for v in ('"x"', "[]", "{}", "NaN"))]
)
def test_named_values_are_held_to_their_models(key: str, value: str, run: Path, optsearch: Command) -> None:
    with closing(sqlite3.connect(run / RUN_FILE)) as connection:
        keys = [found for (found,) in connection.execute("SELECT key FROM meta ORDER BY rowid")]
    change(run, "meta", keys.index(key), "value", value)
    for command in COMMANDS:
        done = optsearch(*command)
        assert done.code in (0, 1, 2), done.err
        assert "Traceback" not in done.err + done.out


def test_the_version_of_the_tables_is_theirs(run: Path, optsearch: Command) -> None:
    with closing(sqlite3.connect(run / RUN_FILE)) as connection:
        connection.execute("PRAGMA user_version = 2")
    for command in COMMANDS:
        assert "has not the tables of format 2" in said(optsearch, command)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON finals BEGIN UPDATE finals SET loss = 0; END", "trigger t"),
        ("CREATE VIEW v AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x FROM n", "view v"),
        ("CREATE INDEX i ON finals (loss)", "index i"),
        ("CREATE TABLE t (x)", "table t"),
        ("DROP TABLE stages", "table stages"),
    ],
)
def test_nothing_but_the_tables_is_in_a_file(statement: str, says: str, run: Path, optsearch: Command) -> None:
    with closing(sqlite3.connect(run / RUN_FILE)) as connection, connection:
        connection.execute(statement)
    for command in COMMANDS:
        assert says in said(optsearch, command)
    with pytest.raises(DamagedRunError, match=says):
        RunStore.amend(run, {})


def test_a_view_in_the_place_of_a_table_is_not_asked(run: Path, optsearch: Command) -> None:
    with closing(sqlite3.connect(run / RUN_FILE)) as connection, connection:
        connection.execute("DROP TABLE stages")
        connection.execute(
            "CREATE VIEW stages AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
            "SELECT x AS study, x AS stage, x AS name, x AS result, x AS checksum FROM n"
        )
    assert "view stages" in said(optsearch, ["show", "run"])


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
def test_a_lock_leads_nowhere(kind: str, run: Path) -> None:
    lock, mine = run / "run.lock", run.parent / "mine.txt"
    lock.unlink(missing_ok=True)
    mine.write_text("precious")
    {
        "link": lambda: lock.symlink_to(mine),
        "hard link": lambda: os.link(mine, lock),
        "pipe": lambda: os.mkfifo(lock),
        "folder": lock.mkdir,
    }[kind]()
    with pytest.raises(RunError, match=r"symbolic link|no lock of a run|cannot write"):
        RunStore.amend(run, {})
    assert mine.read_text() == "precious"


@pytest.mark.parametrize("name", [RUN_FILE, f"{RUN_FILE}-wal"])
def test_no_link_of_a_run_is_followed(name: str, run: Path, optsearch: Command) -> None:
    elsewhere = run.parent / "elsewhere"
    (run / name).rename(elsewhere) if (run / name).exists() else elsewhere.write_bytes(b"")
    (run / name).symlink_to(elsewhere)
    assert "is a symbolic link, and none is followed" in said(optsearch, ["show", "run"])


def _strange(draws: random.Random, cell: Any) -> Any:
    strange: list[Callable[[], Any]] = [
        lambda: None, lambda: -1, lambda: 2**62, lambda: 0, lambda: 1e308, lambda: "", lambda: "\x1b[31m",
        lambda: b"\0", lambda: "[]", lambda: "{}", lambda: "null", lambda: '{"a": [1, {}]}', lambda: "9" * 5000,
    ]  # fmt: skip
    if isinstance(cell, str) and cell[:1] in ("[", "{") and draws.random() < 0.7:
        return json.dumps(_altered(draws, json.loads(cell)))
    return draws.choice(strange)()


def _altered(draws: random.Random, value: Any) -> Any:
    """The value with one part of it left out, or of another kind."""
    if isinstance(value, dict) and value and draws.random() < 0.8:
        key = draws.choice(sorted(value))
        if draws.random() < 0.3:
            return {name: part for name, part in value.items() if name != key}
        return value | {key: _altered(draws, value[key])}
    if isinstance(value, list) and value and draws.random() < 0.8:
        place = draws.randrange(len(value))
        return [*value[:place], _altered(draws, value[place]), *value[place + 1 :]]
    return draws.choice([None, -1, 1e308, "x", [], {}, True, 2**70])


def damage(run: Path, draws: random.Random) -> str:
    """Replaces one cell by something strange; says what."""
    table = draws.choice([name for name in TABLES if name != "failures"])
    columns = COLUMNS[table].split(", ")[:-1]
    column = draws.choice(columns)
    with closing(sqlite3.connect(run / RUN_FILE)) as connection:
        rows = list(connection.execute(f"SELECT {column} FROM {table}"))
    if not rows:
        return "nothing"
    row = draws.randrange(len(rows))
    value = _strange(draws, rows[row][0])
    try:
        change(run, table, row, column, value)
    except (sqlite3.Error, OverflowError, TypeError) as error:
        return f"nothing: {error}"
    return f"{table}.{column}[{row}] = {value!r:.80}"


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(12, 200))])
def test_strange_records_end_in_a_sentence(seed: int, run: Path, selected: Path, optsearch: Command) -> None:
    if seed % 2:
        shutil.copytree(selected, run, dirs_exist_ok=True)
    what = damage(run, random.Random(seed))
    for command in COMMANDS:
        done = optsearch(*command)
        assert done.code in (0, 1, 2), f"{what}: {command}: {done.err}"
        assert "Traceback" not in done.err + done.out, f"{what}: {command}"
        assert "\x1b" not in done.err + done.out, f"{what}: {command}"
