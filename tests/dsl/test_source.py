"""Exported Python files are formatted like hand-written code; their docstrings are valid for arbitrary input."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.export.source import WIDTH
from optsearch.dsl.export.text import to_latex, to_pseudocode
from optsearch.dsl.export.torch import to_torch_source
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import MAX_NAME_LENGTH, MAX_STATEMENTS, Program, Statement

HOSTILE = (
    'x"""\nimport os\nos.system("true")\n"""',
    "ends in a backslash \\",
    "{program} %s {0} \x00 \u202e \r\nimport os",
    "\\end{algorithm}\n\\input{/etc/passwd}",
    "word" * 5000,
)


def long_names(program: Program) -> Program:
    """The program with names as long as names may be."""
    names = {*program.state, *(s.target for s in program.body)} - {"update", "w", "g", "lr"}
    longer = {name: name + "x" * (MAX_NAME_LENGTH - len(name)) for name in names}
    body = tuple(
        Statement(
            longer.get(s.target, s.target),
            s.function,
            tuple(longer.get(a, a) if isinstance(a, str) else a for a in s.args),
        )
        for s in program.body
    )
    return Program(tuple(longer[name] for name in program.state), body)


def largest() -> Program:
    """As many statements as a program may have, all alive, each with a constant of its own."""
    body = [Statement("update", "add", ("update" if n else "g", 1.0 + n / 128)) for n in range(MAX_STATEMENTS)]
    return Program((), tuple(body))


def test_files_are_formatted_as_a_formatter_leaves_them(tmp_path: Path, programs: Callable[..., list[Program]]) -> None:
    for number, program in enumerate([*LIBRARY.values(), *programs(100, seed=11), largest()]):
        for export in (to_optax_source, to_torch_source):
            path = tmp_path / f"{export.__name__}_{number}.py"
            path.write_text(export(program, HOSTILE[number % len(HOSTILE)], HOSTILE), encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    command = [*ruff, "format", "--isolated", "--line-length", str(WIDTH), "--diff", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[:2000]
    command = [*ruff, "check", "--isolated", "--line-length", str(WIDTH), "--select", "E,F,W,I", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[:2000]


def test_files_with_the_longest_names_are_valid(programs: Callable[..., list[Program]]) -> None:
    for program in map(long_names, [*LIBRARY.values(), *programs(100, seed=11)]):
        for source in (to_optax_source(program), to_torch_source(program)):
            compile(source, "exported", "exec")


@pytest.mark.parametrize("export", [to_optax_source, to_torch_source])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_gets_out_of_the_docstring(export: Callable[..., str], text: str) -> None:
    plain = ast.parse(export(LIBRARY["lion"], "x", ["x"]))
    hostile = ast.parse(export(LIBRARY["lion"], text, [text]))
    for tree in (plain, hostile):
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                node.body = node.body[1:] or [ast.Pass()]
    assert ast.dump(plain) == ast.dump(hostile)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_gets_out_of_a_comment_or_caption(text: str) -> None:
    plain, hostile = (to_latex(LIBRARY["lion"], title, [title]).splitlines() for title in ("x", text))
    assert len(plain) == len(hostile)
    for ours, theirs in zip(plain, hostile, strict=True):
        assert ours == theirs or (ours[0] == theirs[0] == "%") or theirs.startswith(r"\caption{")
    caption = next(line for line in hostile if line.startswith(r"\caption{"))
    assert r"\end" not in caption
    assert r"\input" not in caption
    assert len(to_pseudocode(LIBRARY["lion"], text, [text]).splitlines()) == len(
        to_pseudocode(LIBRARY["lion"], "x", ["x"]).splitlines()
    )


def test_who_asks_for_help_sees_formula_and_constants() -> None:
    source = to_optax_source(LIBRARY["lion"], "Lion")
    words = next(
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == "optimizer"
    )
    assert "u = sign((1 - beta1) * g + beta1 * m)" in words
    assert "update = (u + w * weight_decay) * lr" in words
    assert "m = (1 - beta2) * g + beta2 * m" in words
