"""The installed package: one top-level name, complete data, a fast import, and independence of the working folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from zipfile import ZipFile

import pytest

import optsearch
from optsearch.search.workers.cluster import PACKAGES

ROOT = Path(__file__).parent.parent
DATA = {
    "dsl/programs": {".txt"},
    "proxy_tasks/data": {".npz", ".md", ".json"},
    "runs/commands/campaigns": {".yaml"},
    "runs/commands/funnels": {".yaml"},
    "runs/library/discovered": {".csv", ".txt", ".yaml"},
    "runs/report/page": {".j2", ".css", ".js"},
}
"""Folders with data that the installed package reads, and the endings of all kinds there."""

HEAVY = ("jax", "numpy", "optax", "pydantic", "ray", "scipy", "typer")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in the wheel, built from a copy: a build leaves folders behind."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in ("optsearch", *PACKAGES):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", out, copy]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PIP_NO_INPUT": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = out.glob("*.whl")
    with ZipFile(file) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_one_package(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"optsearch"}


def test_the_wheel_holds_every_module(wheel: set[str]) -> None:
    """A new folder has to be listed in pyproject.toml."""
    own = {f"optsearch/{p.relative_to(ROOT)}" for name in PACKAGES for p in (ROOT / name).rglob("*.py")}
    own |= {str(path.relative_to(ROOT)) for path in (ROOT / "optsearch").rglob("*.py")}
    assert {name for name in wheel if name.endswith(".py")} == own


def test_the_wheel_holds_the_data_and_the_mark_of_types(wheel: set[str]) -> None:
    assert "optsearch/py.typed" in wheel
    for folder, endings in DATA.items():
        files = [path for path in (ROOT / folder).iterdir() if path.suffix not in (".py", "")]
        assert {path.suffix for path in files} == endings, "name new kinds of data here and in pyproject.toml"
        assert {f"optsearch/{path.relative_to(ROOT)}" for path in files} <= wheel


def python(code: str, folder: Path) -> str:
    """What a new process says that was started in a folder, as by a user there."""
    return run(folder, "-c", code)


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_import_loads_no_library(tmp_path: Path) -> None:
    code = f"import sys, optsearch; dir(optsearch); print([name for name in {HEAVY} if name in sys.modules])"
    assert python(code, tmp_path).strip() == "[]"


def test_public_names_are_there() -> None:
    assert set(optsearch.__all__) <= set(dir(optsearch))
    for name in optsearch.__all__:
        assert getattr(optsearch, name) is not None
    for name in ("search", "simplify"):
        assert callable(getattr(optsearch, name))
        assert import_module(f"optsearch.{name}") is getattr(optsearch, name)
    with pytest.raises(AttributeError, match="'optsearch' has no attribute 'optimise'"):
        optsearch.__getattr__("optimise")


@pytest.fixture
def users_folder(tmp_path: Path) -> Path:
    """A folder whose packages have our folders' names."""
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a package of the user was imported')\n")
    return tmp_path


def test_packages_of_the_user_do_no_harm(users_folder: Path) -> None:
    assert "search" in run(users_folder, "-m", "optsearch", "--help")
    assert "adamw" in run(users_folder, "-m", "optsearch", "library")
    assert "def train(w, g, lr):" in run(users_folder, "-m", "optsearch", "show", "sgd")
    code = "import optsearch; print(optsearch.to_optax(optsearch.LIBRARY['sgd'], 0.1).update is not None)"
    assert python(code, users_folder).strip() == "True"


def test_the_repository_is_importable_without_an_installation() -> None:
    """Ray's workers look into the working folder first, where a clone has the thin package alone."""
    code = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import optsearch.search.config as config, optsearch; print(config.__file__); optsearch.parse\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(ROOT / "search" / "config.py")
