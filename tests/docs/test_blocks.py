"""Every block of code in the documentation is parsed by what it is written for.

Commands are parsed by the real command line and not executed; settings are validated by the loaders of `search` and
`select`; Python is compiled, and what it imports and takes from optsearch has to exist.
"""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import typer
import yaml
from blocks import FENCE, PAGES, ROOT, Block, all_blocks, blocks, words

import optsearch
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify
from optsearch.proxy_tasks import plugins
from optsearch.runs.cli.app import app
from optsearch.search.config import load_campaign
from optsearch.search.settings.config_errors import ConfigError
from optsearch.search.settings.settings import load_settings
from optsearch.selection.funnel import FunnelConfig

COMMANDS = typer.main.get_command(app).commands
LEAST = {"name": "example", "task": "ae", "budget": {"programs": 100}}
"""Keys that an excerpt of a campaign may leave out."""

OTHERS = {"cd", "done", "export", "pip", "pre-commit", "ray", "sbatch", "scp", "ssh", "tensorboard"}
"""Other programs that a block may call."""


def identify(block: Block) -> str:
    return str(block)


def check(command: list[str]) -> None:
    """Parses a command; raises for an unknown command, option, script or module."""
    while command and (command[0] in ("do", "then", "nice") or re.fullmatch(r"[A-Z_]+=.*", command[0])):
        command = command[1:]
    if not command or command[0] in ("for", "if") or command[0] in OTHERS:
        return
    program, *rest = command
    assert program in ("optsearch", "python", "bash"), f"neither parsed nor known: {' '.join(command)}"
    if program == "optsearch":
        if rest[0] not in ("--help", "--version"):
            COMMANDS[rest[0]].make_context(rest[0], rest[1:])
    elif program == "bash":
        assert (ROOT / rest[0]).is_file(), rest[0]
    elif rest[0] == "-m":
        if rest[1].startswith("optsearch"):
            assert import_module(rest[1].removesuffix(".__main__")), rest[1]
        else:
            assert rest[1] in ("pip", "pytest", "mkdocs", "venv"), rest[1]
    elif (ROOT / rest[0]).exists() or rest[0].startswith("benchmarks/"):
        text = (ROOT / rest[0]).read_text(encoding="utf-8")
        assert all(f'"{option}"' in text for option in rest if option.startswith("--")), " ".join(command)


@pytest.mark.parametrize("block", all_blocks("bash"), ids=identify)
def test_commands(block: Block) -> None:
    for line in block.commands:
        for command in words(line):
            check(command)


def test_wrong_commands_are_noticed() -> None:
    for line in (
        "optsearch serch quickstart",
        "optsearch search quickstart --worker 2",
        "optsearch show",
        "frobnicate",
    ):
        with pytest.raises((Exception, SystemExit)):
            check(next(iter(words(line))))


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=identify)
def test_settings(block: Block, tmp_path: Path) -> None:
    given = yaml.safe_load(block.text)
    if "apiVersion" in given:
        return  # not settings of optsearch: see tests/runs/cluster/test_cluster_recipes.py
    if "stages" in given:
        assert load_settings(FunnelConfig, block.text, str(block)).stages
        return
    least = {key: value for key, value in LEAST.items() if key not in given}
    text = (yaml.safe_dump(least) if least else "") + block.text
    assert load_campaign(text, str(block)).name


def test_wrong_settings_are_noticed() -> None:
    with pytest.raises(ConfigError):
        load_campaign("name: a\ntask: ae\nbudget: {program: 1}\n", "a text")


@pytest.mark.parametrize("block", all_blocks("toml"), ids=identify)
def test_entry_points(block: Block) -> None:
    groups = tomllib.loads(block.text)["project"]["entry-points"]
    assert set(groups) <= {plugins.TASKS, plugins.BASELINES, plugins.EXPORTS, plugins.TRACKERS}


@pytest.mark.parametrize("block", all_blocks("python"), ids=identify)
def test_python(block: Block) -> None:
    tree = ast.parse(block.text)
    compile(tree, str(block), "exec")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "optsearch":
            module = import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{block}: {node.module} has no {alias.name}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "optsearch":
            assert hasattr(optsearch, node.attr), f"{block}: optsearch has no {node.attr}"


@pytest.mark.parametrize(
    "block", [block for block in all_blocks("") if block.text.startswith("def train(")], ids=identify
)
def test_programs(block: Block) -> None:
    verify(parse(block.text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_is_fenced(page: Path) -> None:
    """An indented block would be read by no test."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert re.findall(r"\n\n    (?:python|optsearch|bash|def|import) .*", text) == []


def test_blocks_are_found() -> None:
    assert {block.page for block in all_blocks("bash")} >= {"README.md", "docs/cluster.md", "docs/tutorial.md"}
    assert {block.language for page in PAGES for block in blocks(page)} <= {"", "bash", "sh", "yaml", "python", "toml"}
