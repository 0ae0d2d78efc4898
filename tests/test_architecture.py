"""Architecture rules, checked on import statements."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "optsearch"
RANKS = {"dsl": 0, "proxy_tasks": 1, "search": 2, "simplify": 3, "selection": 3, "runs": 4, "optsearch": 5}
"""Packages may import those of lower rank."""

ROOMS = {
    "runs": {
        "text": 0, "store": 1, "summary": 2, "library": 3, "report": 4, "terminal": 4, "commands": 5, "notebook": 5,
        "trackers": 5, "scripting": 6, "cli": 6, "reference": 7,
    },
    "proxy_tasks": {
        "data": 0, "datasets": 0, "hurdle": 0, "machine": 0, "models": 0, "outcome": 0, "seeds": 0,
        "imported": 0, "arithmetic": 0,
        "compilation": 1, "objectives": 1, "plugins": 1, "run": 1,
        "task": 2,
        "checkpoint": 3, "custom_task": 3, "execution": 3, "hub": 3, "ladder": 3, "measured": 3,
        "lowering": 4, "targets": 4, "trainer": 4,
        "contract": 5, "memory": 5, "registry": 5,
    },
    "search": {
        "budget": 0, "member": 0, "pool": 0, "settings": 0,
        "scoring": 1, "variation": 1, "warm_starts": 1,
        "algorithms": 2, "events": 2, "proposals": 2, "workers": 2,
        "meta_validation": 3, "population": 3,
        "config": 4, "evolution": 4,
        "session": 5,
    },
    "selection": {
        "scripts": 0, "space": 0, "statistics": 0,
        "baselines": 1, "behaviour": 1, "problem": 1,
        "optimizer_file": 2,
        "contender": 3,
        "tuning": 4,
        "comparison": 5,
        "funnel": 6,
    },
    "simplify": {"prune": 0, "rewriting": 1, "ablation": 2, "behaviour": 2, "distil": 3},
}  # fmt: skip
"""Folders and modules of a package; the same holds for them."""

FILES = sorted(path for package in RANKS for path in (ROOT / package).rglob("*.py"))


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[tuple[str, int], ...]:
    """Every imported module's full name, wherever in the file the statement stands."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            assert node.module is not None
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def module_of(path: Path) -> tuple[str, ...]:
    """The parts of a module's name below ``optsearch``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_ranks(path: Path) -> None:
    mine = module_of(path)
    for name, line in imports(path):
        top, *other = name.split(".")
        assert top not in RANKS or top == PACKAGE, f"{path}:{line}: packages are imported as optsearch.{top}"
        if top != PACKAGE or not other:
            continue
        if other[0] in RANKS and other[0] != mine[0]:
            assert RANKS[other[0]] < RANKS[mine[0]], f"{path}:{line}: {mine[0]} must not import {other[0]}"
        rooms = ROOMS.get(mine[0], {})
        inside = other[0] == mine[0] and len(mine) > 1 and len(other) > 1 and other[1] != mine[1]
        if inside and other[1] in rooms:
            assert rooms[other[1]] < rooms[mine[1]], f"{path}:{line}: {mine[1]} must not import {other[1]}"


def test_every_room_has_a_rank() -> None:
    for package, rooms in ROOMS.items():
        there = {path.stem if path.suffix else path.name for path in (ROOT / package).iterdir()} - {"__init__"}
        assert there - {"__pycache__"} == set(rooms)


def test_no_cycles_between_files() -> None:
    modules = {".".join((PACKAGE, *module_of(path))): path for path in FILES}
    graph = {name: {used for used, _ in imports(path) if used in modules} for name, path in modules.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"import cycle: {' -> '.join((*above, name))}"
        if name not in done:
            for used in sorted(graph[name]):
                visit(used, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("ray", {"search/workers/crew.py", "search/workers/ray_pool.py", "search/workers/ray_runtime.py"}),
        ("torch", {"selection/scripts/probe.py"}),  # runs in the interpreter of a training script
        ("scipy", {"selection/statistics/intervals.py", "selection/tuning/tuner.py"}),
        ("vl_convert", {"runs/report/render.py"}),
        ("jinja2", {"runs/report/html.py"}),
        ("sklearn", {"proxy_tasks/data/build.py"}),
    ],
)
def test_heavy_libraries_have_one_door(library: str, allowed: set[str]) -> None:
    users = {
        str(path.relative_to(ROOT)) for path in FILES for name, _ in imports(path) if name.split(".")[0] == library
    }
    assert users <= allowed


def test_tasks_of_users_are_imported_where_the_process_is_limited_first() -> None:
    doors = {
        str(path.relative_to(ROOT)) for path in FILES for name, _ in imports(path) if name.endswith("import_tasks")
    }
    assert doors == {"search/scoring/evaluate.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_program_text_is_never_run(path: Path) -> None:
    forbidden = {"eval", "exec", "compile", "__import__"}
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in forbidden, f"{path}:{node.lineno}: {node.func.id}"
    assert not {name for name, _ in imports(path)} & {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_why_it_exists(path: Path) -> None:
    if path.parent.name not in ("programs", "data", "campaigns", "funnels"):
        assert ast.get_docstring(syntax(path)), f"{path} has no docstring"


def test_packages_list_their_modules() -> None:
    for package in RANKS:
        for init in (ROOT / package).rglob("__init__.py"):
            table = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
            for path in init.parent.glob("*.py") if package != PACKAGE else ():
                if path.stem not in ("__init__", "build"):
                    assert path.stem in table, f"{init} does not mention {path.stem}"


def test_public_classes_have_names_of_their_own() -> None:
    homes: dict[str, list[str]] = {}
    for path in FILES:
        for node in syntax(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_no_two_test_files_share_a_name() -> None:
    """Pytest imports a folder's tests by file name alone and refuses the second of a name in one run."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))


def test_nothing_is_imported_from_a_conftest() -> None:
    """Every folder has one, all of one name: in a run of several folders, whichever was loaded last would be found."""
    users = [path for path in (ROOT / "tests").rglob("*.py") if "conftest" in {name for name, _ in imports(path)}]
    assert users == []


def test_the_documentation_lists_the_packages_in_order() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = [line.split("/")[0] for line in text.partition("```\n")[2].partition("```")[0].splitlines()]
    assert sorted(RANKS, key=RANKS.__getitem__) == sorted(RANKS, key=listed.index)
