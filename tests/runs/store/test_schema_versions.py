"""The current version reads files of every earlier schema version.

``version-N.sqlite`` is a small finished run. These tests do not train, so they are independent of the machine.
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from command_line import Command

from optsearch.runs.store.compatibility import version_fault
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.reader import RUN_FILE
from optsearch.runs.store.schema import SCHEMA_VERSION
from optsearch.runs.store.writer import RunStore
from optsearch.search.config import CampaignConfig

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = range(1, SCHEMA_VERSION + 1)
DIGESTS = {
    1: "219e6617e4c474b656438ca80a9b2a5bb4b75398d586c46d4a18d86a0cef73dc",
    2: "482c8ab1729e5797ab9aba0bae0e66b789c8505a00fb3d0be9eff5cc67ca225c",
    3: "0bd8b61698b45f08837b021a26ad451a147976f79daf1399065749bd5d5001da",
    4: "8fc7fc50f99b0d05a1f0bd1b8895fc7748be7d0f5b00edbdcefe1c2cffa38dac",
}


@pytest.fixture(params=VERSIONS)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[int, Path]:
    shutil.copy(GOLDEN / f"version-{request.param}.sqlite", tmp_path / RUN_FILE)
    return request.param, tmp_path


def test_old_files_are_read(golden: tuple[int, Path], optsearch: Command) -> None:
    version, folder = golden
    before = (folder / RUN_FILE).read_bytes()
    assert sqlite3.connect(folder / RUN_FILE).execute("PRAGMA user_version").fetchone() == (version,)
    view = optsearch("show", folder, "--json").json()
    assert view["population_digest"] == DIGESTS[version]
    assert view["status"] == "finished"
    assert view["evaluated"] + view["cache_hits"] == view["generated"]
    assert view["best"]["fresh"]["mean"] is not None
    assert optsearch("show", f"{folder}:best").code == 0
    assert optsearch("watch", folder, "--json").json()["status"] == "finished"
    with RunStore.read(folder) as reader:
        assert sum(reader.verify_records().values()) > 100
        assert [study.status for study in reader.studies()] == (["finished"] if version >= 3 else [])
        proposed = [proposal.source for proposal in reader.proposals(reader.search("search")).values()]
        assert proposed == (["golden", "golden"] if version >= 4 else [])
    assert (folder / RUN_FILE).read_bytes() == before


def test_old_files_are_brought_up_to_date_when_resumed(golden: tuple[int, Path]) -> None:
    _, folder = golden
    with RunStore.read(folder) as reader:
        recorded, fault = reader.meta("settings"), version_fault(reader)
    config = CampaignConfig.model_validate(recorded)
    settings = config.model_dump(mode="json")

    def resume() -> RunStore:
        return RunStore.resume(
            folder,
            settings=settings,
            about={},
            tasks={},
            complete=lambda s: CampaignConfig.model_validate(dict(s)).model_dump(),
        )

    if fault is not None:
        with pytest.raises(RunError, match="go on with the version that started it"):
            resume()
        return
    for _ in range(2):
        with resume() as store:
            search = store.search("search")
            assert (
                store.history(search, config.population.size + config.look_ahead).settled == store.settled(search) - 1
            )
            assert store.validations(search) is not None
            assert store.studies() is not None
    assert sqlite3.connect(folder / RUN_FILE).execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_every_version_has_its_file() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"version-{version}.sqlite" for version in VERSIONS}
