"""Records that are changed and have right checksums again, for tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from optsearch.runs.store.reader import RUN_FILE
from optsearch.runs.store.schema import COLUMNS, checksum


def forge(folder: Path, table: str, where: str, change: Callable[[list], None]) -> None:
    """Changes a record and gives it, and the sums over the records, right checksums again."""
    connection = sqlite3.connect(folder / RUN_FILE)
    rowid, *row = connection.execute(f"SELECT rowid, {COLUMNS[table]} FROM {table} WHERE {where}").fetchone()
    change(row)
    row[-1] = checksum(table, row[:-1])
    columns = [name.strip() for name in COLUMNS[table].split(",")]
    sets = ", ".join(f"{name} = ?" for name in columns)
    with connection:
        connection.execute(f"UPDATE {table} SET {sets} WHERE rowid = ?", (*row, rowid))
        for search, *_ in connection.execute("SELECT arm FROM totals").fetchall():
            sums = [
                connection.execute(f"SELECT count(*), sum(checksum) FROM {name} WHERE arm = ?", (search,)).fetchone()
                for name in ("tickets", "evaluations")
            ]
            cells = (search, *sums[0], *sums[1])
            connection.execute("REPLACE INTO totals VALUES (?, ?, ?, ?, ?, ?)", (*cells, checksum("totals", cells)))
    connection.close()
