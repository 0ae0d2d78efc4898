"""Program text: printing and parsing round-trip; invalid text is rejected with a clear error and without delay."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import MAX_STATEMENTS, Program, ProgramError
from optsearch.dsl.syntax import MAX_CHARACTERS, MAX_LINE_CHARACTERS, format, parse

GOOD = "def train(w, g, m, lr):\n  m = interp(g, m, 0.9)\n  update = m * lr\n  return update, m\n"


# --- What is printed is read back


def test_parse_reads_what_format_prints(programs: Callable[..., list[Program]]) -> None:
    for program in [*LIBRARY.values(), *programs(500, seed=1)]:
        text = format(program)
        assert parse(text) == program
        assert format(parse(text)) == text


@given(st.floats(-3e38, 3e38))
def test_constants_keep_every_digit(value: float) -> None:
    program = parse(GOOD.replace("0.9", repr(value)))
    assert program.body[0].args[2] == value
    assert parse(format(program)) == program


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("  ", ""),
        GOOD.replace("  ", "\t"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "  # comment: def (,)\n"),
        "\n\n# nothing yet\n" + GOOD.replace("\n", "\n\n   \n") + "# end",
        GOOD.replace(" ", "").replace("deftrain", "def train").replace("returnupdate", "return update"),
        GOOD.replace("0.9", "+.9e0"),
        GOOD.rstrip(),
    ],
)
def test_layout_does_not_matter(text: str) -> None:
    assert parse(text) == parse(GOOD)


def test_infix_and_call_forms_are_one() -> None:
    infix = parse("def train(w, g, lr):\n a = g + w\n b = a - w\n c = b * lr\n update = c / a\n return update\n")
    call = parse(
        "def train(w, g, lr):\n a = add(g, w)\n b = subtract(a, w)\n c = multiply(b, lr)\n update = divide(c, a)\n"
        " return update\n"
    )
    assert infix == call
    assert "update = c / a" in format(call)


# --- What is refused

REFUSED = [
    ("", None, "contains no program"),
    ("# only a comment", None, "contains no program"),
    ("import os", 1, "expected `def train"),
    ("def train(w, g, lr):\n update = g * lr", 2, "ends without `return update`"),
    ("def train(g, w, lr):\n update = g * lr\n return update", 1, "parameters are `w, g`, then the state, then `lr`"),
    ("def train(w, g, w, lr):\n update = g * lr\n return update, w", 1, "'w' is an input and cannot be state"),
    ("def train(w, g, m, m, lr):\n update = g * lr\n return update, m, m", 1, "parameter 'm' appears twice"),
    ("def train(w, g, update, lr):\n update = g * lr\n return update, update", 1, "'update' is the output"),
    ("def train(w, g, lr)\n update = g * lr\n return update", 1, "expected ':'"),
    ("def train(w, g, lr):\n update = g * lr\n return g", 3, "return `update`"),
    ("def train(w, g, lr):\n update = g * lr\n return update\n x = g * lr", 4, "nothing may follow `return`"),
    ("def train(w, g, lr):\n x = g * lr\n return update", 3, "'update' is returned but never assigned"),
    ("def train(w, g, lr):\n update = lr * lr\n return update", 3, "'update' is returned as a scalar"),
    ("def train(w, g, lr):\n update = norm(g)\n return update", 3, "'update' is returned as a per_leaf"),
    ("def train(w, g, m, lr):\n update = g * lr\n m = lr * 2.0\n return update, m", 4, "'m' is returned as a scalar"),
    ("def train(w, g, lr):\n update = g * rate\n return update", 2, "'rate' is read before it is assigned"),
    ("def train(w, g, lr):\n momentum = g * lr\n update = momentun * lr\n return update", 3, "did you mean 'momentum'"),
    ("def train(w, g, lr):\n update = sgn(g)\n return update", 2, "unknown function 'sgn'; did you mean 'sign'?"),
    ("def train(w, g, lr):\n update = sqrt(g, w)\n return update", 2, "sqrt takes 1 operand, got 2"),
    ("def train(w, g, lr):\n update = interp(g, w)\n return update", 2, "interp takes 3 operands, got 2"),
    ("def train(w, g, lr):\n update = pi(g)\n return update", 2, "pi takes 0 operands, got 1"),
    ("def train(w, g, lr):\n x = norm(lr)\n update = g * x\n return update", 2, "operand 1 of norm must be a leaf"),
    ("def train(w, g, lr):\n x = norm(2.0)\n update = g * x\n return update", 2, "'2.0' is a scalar"),
    ("def train(w, g, lr):\n update = sqrt(square(g))\n return update", 2, "calls cannot be nested"),
    ("def train(w, g, lr):\n update = g\n return update", 2, "a copy is `x \\* 1.0`"),
    ("def train(w, g, lr):\n update = g * lr * w\n return update", 2, "a line holds one statement"),
    ("def train(w, g, lr):\n update = g * -lr\n return update", 2, "only a constant may have a sign"),
    ("def train(w, g, lr):\n update = g * 1e39\n return update", 2, "not a finite float32"),
    ("def train(w, g, lr):\n update = g ** 2.0\n return update", 2, "expected a variable or a constant"),
    ("def train(w, g, lr):\n update = g @ w\n return update", 2, "unexpected character '@'"),
    ("def train(w, g, lr):\n update = g * nan\n return update", 2, "'nan' is read before"),
    ("def train(w, g, lr):\n lambda = g * lr\n update = g * lr\n return update", 2, "'lambda' is reserved"),
    ("def train(w, g, lr):\n sqrt = g * lr\n update = g * lr\n return update", 2, "'sqrt' is a function"),
    (f"def train(w, g, lr):\n {'x' * 33} = g * lr\n update = g * lr\n return update", 2, "at most 32 characters"),
    (f"def train(w, g, lr):\n update = g * lr{' ' * MAX_LINE_CHARACTERS}\n return update", 2, "a line has at most"),
    ("def train(w, g, lr):\n" + " update = g * lr\n" * (MAX_STATEMENTS + 1), MAX_STATEMENTS + 2, "at most 200 st"),
    ("def train(w, g, a, b, c, d, e1, f, h, i, j, lr):\n update = g * lr\n"
     " return update, a, b, c, d, e1, f, h, i, j", 1, "at most 8 state variables"),
    ("#" * (MAX_CHARACTERS + 1), None, "at most 100000 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "rule"), REFUSED)
def test_errors_name_the_line_and_the_rule(text: str, line: int | None, rule: str) -> None:
    with pytest.raises(ProgramError, match=rule) as caught:
        parse(text)
    assert caught.value.line == line
    if line is not None:
        assert str(caught.value).startswith(f"line {line}: ")


def test_errors_show_the_line_with_a_caret() -> None:
    with pytest.raises(ProgramError) as caught:
        parse("def train(w, g, m, lr):\n\n  # find the typo\n  update = maximum(g, lrr)  # here\n  return update, m\n")
    assert str(caught.value) == (
        "line 4: 'lrr' is read before it is assigned; did you mean 'lr'?\n"
        "    update = maximum(g, lrr)  # here\n"
        "                        ^"
    )


@pytest.mark.parametrize(
    ("statement", "at"),
    [
        ("update = g * wrong", "wrong"),
        ("update = wrong * g", "wrong"),
        ("update = interp(g, 0.5, wrong)", "wrong"),
        ("update = clip_by_global_norm(g, w)", "w)"),
        ("update = sqrt(g, g)", "sqrt"),
        ("sqrt = g * lr", "sqrt"),
        ("update = g * -1e40", "1e40"),
    ],
)
def test_the_caret_points_at_the_fault(statement: str, at: str) -> None:
    with pytest.raises(ProgramError) as caught:
        parse(f"def train(w, g, lr):\n  {statement}\n  return update\n")
    _, source, caret = str(caught.value).split("\n")
    assert source[caret.index("^") :].startswith(at)


def test_unprintable_characters_are_not_repeated() -> None:
    with pytest.raises(ProgramError) as caught:
        parse("def train(w, g, lr):\n  update = \x1b[31mg\u202e\n  return update")
    assert "\x1b" not in str(caught.value)
    assert "\u202e" not in str(caught.value)


# --- Malformed texts: each a clear error, quickly, and never anything else


def malformed(rng: np.random.Generator, texts: list[str]) -> str:
    """A good text with characters, words or lines changed; or noise."""
    kind = rng.integers(6)
    if kind == 0:
        return "".join(map(chr, rng.integers(0, 0x2FF, rng.integers(200))))
    if kind == 1:
        words = [
            "def",
            "train",
            "(",
            ")",
            "w",
            "g",
            "lr",
            ":",
            "\n",
            "=",
            "+",
            "return",
            "update",
            "1e9",
            "sqrt",
            ",",
            "#",
        ]
        return " ".join(words[index] for index in rng.integers(0, len(words), rng.integers(60)))
    text = texts[rng.integers(len(texts))]
    for _ in range(rng.integers(1, 4)):
        place, width = rng.integers(len(text) + 1), rng.integers(1, 8)
        if kind == 2:
            text = text[:place] + text[place + width :]
        elif kind == 3:
            text = text[:place] + chr(rng.integers(1, 0x2FF)) * width + text[place:]
        elif kind == 4:
            lines = text.split("\n")
            lines.insert(rng.integers(len(lines)), lines[rng.integers(len(lines))])
            text = "\n".join(lines)
        else:
            other = rng.integers(len(text) + 1)
            text = text[:place] + text[other : other + 10 * width] + text[place + width :]
    return text


def assert_each_is_judged(count: int, seed: int, texts: list[str]) -> None:
    rng = np.random.default_rng(seed)
    slowest, refused = 0.0, 0
    for _ in range(count):
        text = malformed(rng, texts)
        start = time.process_time()
        try:
            program = parse(text)
        except ProgramError as error:
            refused += bool(str(error))
        else:
            assert parse(format(program)) == program
        slowest = max(slowest, time.process_time() - start)
    assert refused > 0.8 * count
    assert slowest < 0.1 * 2  # twice: a program that is accepted is also parsed again


@pytest.fixture(scope="module")
def texts(programs: Callable[..., list[Program]]) -> list[str]:
    return [format(program) for program in [*LIBRARY.values(), *programs(100, seed=3)]]


def test_malformed_texts_are_refused(texts: list[str]) -> None:
    assert_each_is_judged(5_000, 1, texts)


@pytest.mark.slow
def test_a_million_malformed_texts_are_refused(texts: list[str]) -> None:
    assert_each_is_judged(1_000_000, 2, texts)


@given(st.text())
def test_any_text_gives_a_program_or_a_program_error(text: str) -> None:
    with suppress(ProgramError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "\n" * MAX_CHARACTERS,
        "#\n" * (MAX_CHARACTERS // 2),
        "a\n" * (MAX_CHARACTERS // 2),
        ("(" * 499 + "\n") * 200,
        "def train(w, g, lr):\n" + "".join(f" {'x' * 25}{n} = {'y' * 32} + {'z' * 32}\n" for n in range(200)),
        "def train(w, g, lr):\n"
        + "".join(f" {'x' * 25}{n} = g + w\n" for n in range(199))
        + f" update = {'x' * 400}\n",
        "def train(w, g, lr):\n update = " + "9" * 480 + " * g\n return update",
        "def train(w, g, lr):\n update = " + "f" * 480 + "(g)\n return update",
        "def train(" + "w," * 240 + "):",
        "\x00" * 400,
        "def train(w, g, lr):\n" + " update = g * lr\n" * 199 + " x = " + "u" * 30 + " * g\n return update",
    ],
    ids=range(11),
)
def test_the_worst_texts_are_refused_in_100_ms(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ProgramError):
        parse(text[:MAX_CHARACTERS])
    assert time.process_time() - start < 0.1
