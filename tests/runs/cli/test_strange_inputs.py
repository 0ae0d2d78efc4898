"""Fuzz tests of user input: unusual texts, settings and environments never cause a traceback or a hang."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from command_line import Command

from optsearch.dsl.library import LIBRARY
from optsearch.runs.commands.search import SHIPPED, load_named
from optsearch.search.config import load_campaign
from optsearch.search.settings.config_errors import ConfigError

TEXTS, SETTINGS = 2_000, 3_000
LONGEST_S = 5.0
"""Time that one command may take to refuse or do what it is asked; none of these trains."""

PIECES = (
    "def train(w, g, m, v, lr):\n", "    update = ", "return update, m, v", "m = interp(g, m, 0.9)", "sqrt(", "lr * ",
    "1e999", "-0.0", "nan", "9" * 400, "\x00", "\x1b[31m", "\u202e", "\udcff", "\U0001f600", "é", "::", ":best",
    "../", "/", "~", "[", "]", "{", "}",
    "&a ", "*a", "!!python/name:os.system ", "- ", ": ", "#", "|", "%", "'", '"', "\\", "\t",
    "\r", "\n", " ", "1_", "0x", "-", "--", "=", "seed=1", "name: n", "task: ae", "budget: {programs: 3}", "true",
    "null",
)  # fmt: skip


def strange(rng: random.Random) -> str:
    """A text of pieces and random characters, or a good one with a few changes."""
    if rng.random() < 0.4:
        good = [str(program) for program in LIBRARY.values()] + ["quickstart", "lion", "adamw"]
        text = list(rng.choice(good))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(text))
            text[place : place + rng.randint(0, 5)] = rng.choice(PIECES)
        return "".join(text)
    return "".join(
        rng.choice(PIECES) if rng.random() < 0.8 else chr(rng.randrange(1, 0x3000)) for _ in range(rng.randint(0, 12))
    )


COMMANDS = (
    ("show",), ("simplify", "--steps", "prune,rewrite"), ("export", "--to", "optax"), ("export", "--to", "latex"),
    ("search",), ("report",), ("tasks", "--check"),
)  # fmt: skip
"""Seven commands that take a text where a name or a path is meant; the text comes last."""


@pytest.mark.slow
def test_strange_texts_through_seven_commands(
    optsearch: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As arguments and, every second one, as the content of a file: a sentence with exit code 1 or 2, or it is done."""
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    for number in range(TEXTS):
        text, command = strange(rng), COMMANDS[number % len(COMMANDS)]
        in_a_file = number // len(COMMANDS) % 2 and command[0] not in ("report", "tasks")
        argument = text.replace("\x00", "")  # which no argument can have
        if in_a_file:
            argument = "file.yaml" if command[0] == "search" else "file.txt"
            (tmp_path / argument).write_bytes(text.encode("utf-8", "surrogateescape"))
        began = time.monotonic()
        said = optsearch(*command, "--", argument)
        about = f"number {number}, {command}: {text!r}"
        assert time.monotonic() - began < LONGEST_S, about
        assert said.code in (0, 1, 2), about
        assert said.code == 0 or said.err.strip(), about
        assert "Traceback" not in said.err, about


def values(rng: random.Random) -> Iterator[str]:
    """Values of settings, from the usual to the impossible."""
    yield from (
        rng.choice(("0", "1", "-1", "2", "100", "1e308", "1e-320", ".inf", "-.inf", ".nan", "1_", "~", "", "true")),
    )
    yield from (
        rng.choice(("[]", "{}", "[1]", "[0, 0]", "{a: 1}", "x", "'1'", "[[]]", str(2**63), str(2**64), "9" * 41)),
    )
    yield from (str(rng.uniform(-3, 300)), str(rng.randint(1, 60)), str(rng.random()), str(rng.random()))
    yield strange(rng)


def keys(data: object, path: str = "") -> Iterator[str]:
    """Dotted keys of settings, those of mappings too."""
    if isinstance(data, dict):
        for key, value in data.items():
            inner = f"{path}.{key}" if path else str(key)
            yield inner
            yield from keys(value, inner)


@pytest.mark.slow
def test_settings_are_read_or_refused_and_what_is_read_can_draw_programs() -> None:
    """A campaign with one or two changed settings: faults with the setting's place, or programs can be drawn."""
    import numpy as np

    rng = random.Random(1)
    config, _ = load_named("quickstart")
    every = list(keys(config.model_dump(mode="json")))
    every += [
        "hurdle.factor",
        "hurdle.at",
        "rate_sweep.factors",
        "rate_sweep.within",
        "meta_validation.task",
        "imports",
    ]
    text, accepted, placed = (SHIPPED / "quickstart.yaml").read_text(), 0, 0
    for number in range(SETTINGS):
        overrides = [f"{rng.choice(every)}={rng.choice(list(values(rng)))}" for _ in range(rng.randint(1, 2))]
        try:
            config = load_campaign(text, "c.yaml", overrides)
        except ConfigError as error:
            placed += all(fault.startswith(("--set ", "c.yaml")) for fault in error.faults)
            continue
        accepted += 1
        for algorithm in (config.algorithm, *config.controls):
            generator, program = np.random.default_rng(number), config.start(algorithm)
            for _ in range(20):
                program, _ = config.variation(algorithm).mutate(generator, program)
    assert accepted > SETTINGS // 20
    assert accepted + placed == SETTINGS


def test_shipped_campaigns_are_plain_yaml() -> None:
    """What our reader says about them is what YAML's own says, but for numbers such as 1e-3."""
    for file in SHIPPED.iterdir():
        if file.name.endswith(".yaml"):
            assert set(yaml.safe_load(file.read_text())) <= set(load_campaign(file.read_text(), file.name).model_dump())


ENVIRONMENTS: tuple[dict[str, str], ...] = (
    {"HOME": "/nonexistent"}, {"TERM": "dumb"}, {"COLUMNS": "1"}, {"COLUMNS": "x"}, {"LANG": "C", "PYTHONUTF8": "0"},
    {"PYTHONIOENCODING": "ascii"}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}, {"XDG_CACHE_HOME": "/dev/null"},
    {"TMPDIR": "/nonexistent"}, {"PYTHONHASHSEED": "7"}, {"PYTHONOPTIMIZE": "2"}, {"PYTHONWARNINGS": "default"},
    {"RAY_AUTH_MODE": "token"}, {"RAY_AUTH_MODE": "nonsense"}, {"TZ": "nowhere"}, {"LC_ALL": "xx_XX"},
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
def test_strange_environments(environment: dict[str, str], tmp_path: Path) -> None:
    """The same program and the same table in every one."""
    code = "from optsearch.runs.cli.app import main; main()"
    for arguments in (["export", "lion"], ["tasks", "--json"], ["show", "adamw"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        assert b"Traceback" not in done.stderr
        with contextlib.suppress(UnicodeDecodeError):
            assert done.stdout.decode("utf-8").strip()
