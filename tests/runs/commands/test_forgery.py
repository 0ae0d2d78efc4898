"""`verify` detects forged claims with recomputed checksums, and reports the parts that it did not check."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL, Command
from forged import forge

from optsearch.runs.commands.search import Campaign, load_named
from optsearch.runs.store.reader import RUN_FILE
from optsearch.runs.store.schema import checksum
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finalists import best_ticket, finalist_seeds


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small campaign with meta-validation."""
    folder = tmp_path_factory.mktemp("runs") / "validated"
    meta = ["meta_validation={task: digits, every_evaluations: 10, seeds: [1]}", "controls=[]", "budget.programs=30"]
    config, text = load_named("quickstart", [*SMALL[1::2], *meta])
    Campaign(config, text, folder).run(workers=0, quiet=True)
    return folder


def sum_up(folder: Path, table: str) -> None:
    """Gives the count of a table's records and the sum of their checksums the values that fit."""
    with closing(sqlite3.connect(folder / RUN_FILE)) as connection, connection:
        sums = connection.execute(" ".join(["SELECT count(*), coalesce(sum(checksum), 0) FROM", table])).fetchone()
        total = json.dumps(list(sums))
        connection.execute("REPLACE INTO meta VALUES (?, ?, ?)", (table, total, checksum("meta", (table, total))))


def run_sql(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / RUN_FILE)) as connection, connection:
        connection.execute(statement)


def losses_times(share: float) -> Callable[[Path], None]:
    """Makes the best program's losses on fresh seeds lower."""

    def change(folder: Path) -> None:
        with closing(sqlite3.connect(folder / RUN_FILE)) as connection:
            keys = connection.execute("SELECT contender, seed FROM finals WHERE seed >= 3000000").fetchall()
        for contender, seed in keys:
            if contender.isdigit() and contender != "0":
                forge(
                    folder,
                    "finals",
                    f"contender = '{contender}' AND seed = {seed}",
                    lambda row: row.__setitem__(4, row[4] * share),
                )
        sum_up(folder, "finals")

    return change


def last_ticket(folder: Path) -> None:
    """Makes the last program the best one."""
    forge(
        folder,
        "evaluations",
        "arm = 0 AND outcome = 'ok' ORDER BY ticket DESC",
        lambda row: row.__setitem__(4, 0.3),
    )


def delete(table: str, where: str = "1") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        run_sql(folder, " ".join(["DELETE FROM", table, "WHERE", where]))
        sum_up(folder, table)

    return change


def no_control(folder: Path) -> None:
    """Leaves the control out, with all that it was compared on."""
    for table in ("arms", "tickets", "evaluations", "totals"):
        run_sql(folder, " ".join(["DELETE FROM", table, "WHERE arm = 1"]))
    delete("finals", "contender LIKE 'c%'")(folder)
    value = "1"
    with closing(sqlite3.connect(folder / RUN_FILE)) as connection, connection:
        connection.execute("REPLACE INTO meta VALUES ('arms', ?, ?)", (value, checksum("meta", ("arms", value))))


def best_at_another_rate(folder: Path) -> None:
    """Lets the best program of the search claim another learning rate than the one that gave its fitness."""

    def change(row: list[Any]) -> None:
        details = json.loads(row[7]) if row[7] else []
        row[7] = json.dumps((details if isinstance(details, dict) else {"curves": details}) | {"rate": 3.0})

    forge(folder, "evaluations", "arm = 0 AND outcome = 'ok' ORDER BY fitness, ticket", change)


def warm_start_of_other_losses(folder: Path) -> None:
    """Gives the warm start losses on its tasks, against which scores are measured."""

    def change(row: list[Any]) -> None:
        details = json.loads(row[7]) if row[7] else []
        curves = details["curves"] if isinstance(details, dict) else details
        row[7] = json.dumps({"curves": curves, "losses": [9.0]})

    forge(folder, "evaluations", "arm = 0 AND ticket = 0", change)


def lucky_seed(folder: Path) -> None:
    """Gives the best program a run on a seed that no campaign trains on."""
    with closing(sqlite3.connect(folder / RUN_FILE)) as connection, connection:
        query = "SELECT * FROM finals WHERE seed >= 3000000 AND contender NOT IN ('0') AND contender NOT LIKE 'c%'"
        cells = list(connection.execute(query).fetchone())[:-1]
        cells[2], cells[4] = 3_900_000, 0.001
        connection.execute("INSERT INTO finals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*cells, checksum("finals", cells)))
    sum_up(folder, "finals")


def another_finalist(folder: Path) -> None:
    """Makes the finalist that was chosen a better one on the seeds that choose, and its fresh losses stay true."""
    with RunStore.read(folder) as store:
        chosen, seeds = best_ticket(store)[1], finalist_seeds(store)
    for seed in seeds:
        where = f"contender = '{chosen}' AND seed = {seed}"
        forge(folder, "finals", where, lambda row: row.__setitem__(4, row[4] * 0.5))
    sum_up(folder, "finals")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (losses_times(0.8), "FAIL finalists and fresh seeds: program"),
        (last_ticket, "FAIL evaluations of search: program"),
        (delete("finals"), "is missing"),
        (delete("finals", "seed = 3000001"), "with seed 3000001 is missing"),
        (no_control, "its searches or controls are incomplete"),
        (best_at_another_rate, "FAIL evaluations of search: program"),
        (warm_start_of_other_losses, "FAIL evaluations of search: program 0"),
        (lucky_seed, "seed 3900000, which the run does not train on"),
        (another_finalist, "FAIL finalists and fresh seeds: program"),
    ],
)
def test_forged_headlines_are_found(
    change: Callable[[Path], None], says: str, small_run: Path, optsearch: Command, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_run, tmp_path / "forged"))
    change(folder)
    said = optsearch("verify", folder, "--sample", "0")
    assert said.code == 1
    assert "ok   checksums" in said.out
    assert says in said.out


@pytest.mark.parametrize("change", [None, "better", "missing"])
def test_meta_validations_are_made_again(
    change: str | None, validated: Path, optsearch: Command, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(validated, tmp_path / "forged"))
    if change == "better":
        forge(folder, "validations", "1 ORDER BY ticket DESC", lambda row: row.__setitem__(4, 0.01))
        sum_up(folder, "validations")
    elif change == "missing":
        delete("validations", "ticket = (SELECT max(ticket) FROM validations)")(folder)
    said = optsearch("verify", folder, "--sample", "2")
    line = next(line for line in said.out.splitlines() if "meta-validation" in line)
    assert said.code == (change is not None)
    assert {None: "repeated, all equal", "better": "was ('ok', 0.01", "missing": "is missing"}[change] in line


def test_what_was_not_checked_is_said(small_run: Path, optsearch: Command, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small_run, tmp_path / "run"))
    value = '"interrupted"'
    with closing(sqlite3.connect(folder / RUN_FILE)) as connection, connection:
        connection.execute("REPLACE INTO meta VALUES ('status', ?, ?)", (value, checksum("meta", ("status", value))))
    said = optsearch("verify", folder, "--sample", "0")
    assert said.code == 0
    assert "--   not checked: completeness of the last records, since the status of the run is" in said.out
    assert "a checksum is not a signature" in said.out


def test_samples_differ(small_run: Path, optsearch: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forger cannot know which records are looked at."""
    from optsearch.runs.commands import verify as verification

    looked_at: list[int] = []
    evaluate = verification.evaluate

    def noted(trainers: object, setting: object, job: object) -> object:
        looked_at.append(job.ticket)  # type: ignore[attr-defined]
        return evaluate(trainers, setting, job)  # type: ignore[arg-type]

    monkeypatch.setattr(verification, "evaluate", noted)
    monkeypatch.setattr(verification, "_finals", lambda *_: verification.Check("", True, ""))
    draws = []
    for _ in range(2):
        looked_at.clear()
        assert optsearch("verify", small_run, "--sample", "5").code == 0
        draws.append(list(looked_at))
    assert draws[0] != draws[1]
