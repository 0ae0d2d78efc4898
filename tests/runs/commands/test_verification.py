"""`verify` accepts unmodified runs in every state, and names manipulated records."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from command_line import Command
from forged import forge

from optsearch.runs.store.reader import RUN_FILE


def test_an_honest_run_agrees(small_run: Path, optsearch: Command) -> None:
    said = optsearch("verify", small_run, "--sample", "3", "--json")
    assert said.code == 0
    checks = said.json()
    assert [check["check"] for check in checks] == [
        "checksums", "history of search", "history of control", "evaluations of search", "evaluations of control",
        "finalists and fresh seeds", "not checked",
    ]  # fmt: skip
    assert "60 programs reproduced" in checks[1]["says"]


@pytest.mark.parametrize(
    ("table", "where", "place", "value", "said"),
    [
        ("evaluations", "arm = 0 AND outcome = 'ok' AND ticket > 0", 4, 0.001, "history of search|evaluations of"),
        ("tickets", "arm = 0 AND ticket = 30", 2, 0, "program 30: its parent is recorded as 0"),
        ("tickets", "arm = 0 AND ticket = 30", 3, "insert line 2: nothing", "program 30: its mutation is recorded"),
    ],
)  # fmt: skip
def test_forged_records_are_named(
    small_run: Path, optsearch: Command, tmp_path: Path, table: str, where: str, place: int, value: object, said: str
) -> None:
    folder = tmp_path / "forged"
    shutil.copytree(small_run, folder)
    forge(folder, table, where, lambda row: row.__setitem__(place, value))
    found = optsearch("verify", folder, "--sample", "100")
    assert found.code == 1
    failures = [line for line in found.out.splitlines() if line.startswith("FAIL")]
    assert any(word in line for line in failures for word in said.split("|"))


def test_a_damaged_record_is_named(small_run: Path, optsearch: Command, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(small_run, folder)
    with sqlite3.connect(folder / RUN_FILE) as connection:
        connection.execute("UPDATE finals SET loss = 0.0 WHERE seed = 3000001 AND contender = '0'")
    connection.close()
    found = optsearch("verify", folder, "--json")
    assert found.code == 1
    assert "table finals, record (0, ae, 3000001)" in found.json()[0]["says"]
