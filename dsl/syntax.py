"""Parser and printer of program texts, with one statement per line.

    def train(w, g, m, lr):          # parameters: w, g, the state, lr
      update = interp(g, m, 0.9)     # name = function(arguments)
      update = update * lr           # or name = a op b, with + - * /
      return update, m               # update, then the state

The text is the interchange format of stores, golden files and bug reports, and ``parse(format(p)) == p``. Parsing never
evaluates code; a program is data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, NoReturn

from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.program import LR, MAX_STATEMENTS, OUTPUT, Argument, G, Program, ProgramError, Statement, W
from optsearch.dsl.verify import TARGET, Violation, check, nearest

MAX_CHARACTERS = 100_000
MAX_LINE_CHARACTERS = 500

LINES_REMEMBERED = 10_000
"""Size of the parser's cache of lines: the programs of one search share nearly all lines."""

OPERATORS = {function.infix: name for name, function in FUNCTIONS.items() if function.infix}

_TOKEN = re.compile(
    r"[ \t]*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<symbol>[=(),:+\-*/])"
    r"|(?P<end>\Z)|(?P<bad>.))",
    re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


class _Line:
    """The tokens of one source line, read from left to right."""

    def __init__(self, number: int, source: str):
        self.number, self.source = number, source.expandtabs(4)
        if len(source) > MAX_LINE_CHARACTERS:
            raise ProgramError(f"a line has at most {MAX_LINE_CHARACTERS} characters, got {len(source)}", number)
        self.tokens: list[_Token] = []
        code, position = self.source.partition("#")[0].rstrip(), 0
        while True:
            match = _TOKEN.match(code, position)
            kind = match.lastgroup if match else None
            if match is None or kind is None:  # unreachable: _TOKEN matches at every position
                self.fail("cannot be read", position)
            token = _Token(kind, match.group(kind), match.start(kind))
            if kind == "bad":
                self.fail(f"unexpected character {token.text!r}", token.column)
            self.tokens.append(token)
            if kind == "end":
                break
            position = match.end()
        self.index = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.index]

    def fail(self, reason: str, column: int | None = None) -> NoReturn:
        column = self.next.column if column is None else column
        printable = "".join(c if c.isprintable() else "?" for c in self.source)
        raise ProgramError(reason, self.number, printable, column)

    def column_of(self, operand: int | None) -> int:
        """Column of an operand or of the target; None for the first token after ``=``, ``return`` or ``(``."""
        if operand == TARGET:
            return self.tokens[0].column
        start = next(index for index, token in enumerate(self.tokens) if token.text in ("=", "return", "(")) + 1
        if operand is None:
            return self.tokens[start].column
        is_call = self.tokens[start + 1].text == "("
        words = [token for token in self.tokens[start + is_call :] if token.kind in ("name", "number")]
        return words[operand].column

    def take(self, kind: str, wanted: str, text: str | None = None) -> str:
        token = self.next
        if token.kind != kind or (text is not None and token.text != text):
            self.fail(f"expected {wanted}, got {f'{token.text!r}' if token.text else 'the end of the line'}")
        self.index += 1
        return token.text

    def accept(self, text: str) -> bool:
        if self.next.text != text or not text:
            return False
        self.index += 1
        return True

    def finish(self) -> None:
        if self.next.kind != "end":
            self.fail(f"unexpected {self.next.text!r}: a line holds one statement")


def parse(text: str) -> Program:
    """Parses and verifies a program.

    Args:
        text: one ``def train`` with its statements. Indentation, blank lines and ``#`` comments are free.

    Returns:
        The verified program.

    Raises:
        ProgramError: the text violates the grammar or a rule of ``verify``; the message names the line and the rule.

    >>> program = parse('''
    ...     def train(w, g, m, lr):
    ...       m = interp(g, m, 0.9)
    ...       update = m * lr
    ...       return update, m
    ... ''')
    >>> program.state
    ('m',)
    >>> program.body[1]
    Statement(target='update', function='multiply', args=('m', 'lr'))
    >>> parse(str(program)) == program
    True
    """
    if len(text) > MAX_CHARACTERS:
        raise ProgramError(f"a program has at most {MAX_CHARACTERS} characters, got {len(text)}")
    lines = _lines(text)
    number, source = next(lines, (0, ""))
    if not number:
        raise ProgramError("the text contains no program: a program starts with `def train(w, g, ..., lr):`")
    state = _signature(_Line(number, source))
    places, body = [(number, source)], list[Statement]()
    for number, source in lines:
        places.append((number, source))
        statement = _remembered(source)
        if statement is None:
            line = _Line(number, source)
            if line.next.text == "return":
                _returns(line, state)
                break
            statement = _statement(line)
        if len(body) == MAX_STATEMENTS:
            _Line(number, source).fail(f"a program has at most {MAX_STATEMENTS} statements")
        body.append(statement)
    else:
        raise ProgramError(f"the program ends without `return {', '.join((OUTPUT, *state))}`", number)
    for after in lines:
        _Line(*after).fail("nothing may follow `return`")
    program = Program(state, tuple(body))
    try:
        check(program)
    except Violation as fault:
        line = _Line(*places[fault.statement + 1])
        line.fail(fault.reason, line.column_of(fault.operand))
    return program


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbers and source of the lines that are not blank or comments."""
    for number, source in enumerate(text.split("\n"), start=1):
        if source.partition("#")[0].strip():
            yield number, source.rstrip("\r")


@lru_cache(maxsize=LINES_REMEMBERED)
def _remembered(source: str) -> Statement | None:
    """The statement on a line; None if it is not a valid statement by itself and must be parsed in context."""
    try:
        line = _Line(0, source)
        return None if line.next.text == "return" else _statement(line)
    except ProgramError:
        return None


def format(program: Program) -> str:
    """Formats a program as text; ``parse(format(program)) == program`` for every verified program."""
    return str(program)


def _signature(line: _Line) -> tuple[str, ...]:
    line.take("name", "`def train(w, g, ..., lr):`", "def")
    line.take("name", "`train`", "train")
    line.take("symbol", "'('", "(")
    names = _names(line)
    line.take("symbol", "')'", ")")
    line.take("symbol", "':'", ":")
    line.finish()
    if names[:2] != [W, G] or len(names) < 3 or names[-1] != LR:
        line.fail(f"parameters are `w, g`, then the state, then `lr`; got `{', '.join(names)}`", 0)
    return tuple(names[2:-1])


def _returns(line: _Line, state: tuple[str, ...]) -> None:
    line.take("name", "`return`", "return")
    column = line.next.column
    names = _names(line)
    line.finish()
    if names != [OUTPUT, *state]:
        line.fail(
            f"return `{', '.join((OUTPUT, *state))}` (update, then every state variable in the signature's order); "
            f"got `{', '.join(names)}`",
            column,
        )


def _names(line: _Line) -> list[str]:
    names = [line.take("name", "a name")]
    while line.accept(","):
        names.append(line.take("name", "a name"))
    return names


def _statement(line: _Line) -> Statement:
    target = line.take("name", "a statement `name = function(arguments)` or `name = a + b`")
    line.take("symbol", "'='", "=")
    start = line.next
    if start.kind == "name" and line.tokens[line.index + 1].text == "(":
        line.index += 2
        if start.text not in FUNCTIONS:
            line.fail(f"unknown function '{start.text}'{nearest(start.text, FUNCTIONS)}", start.column)
        args: list[Argument] = []
        if not line.accept(")"):
            args.append(_argument(line))
            while line.accept(","):
                args.append(_argument(line))
            line.take("symbol", "',' or ')'", ")")
        line.finish()
        return Statement(target, start.text, tuple(args))
    left = _argument(line)
    operator = line.next
    if operator.text not in OPERATORS:
        line.fail(
            "expected one of + - * / and a second operand: a statement has exactly one function or operator "
            "(a copy is `x * 1.0`)"
        )
    line.index += 1
    right = _argument(line)
    line.finish()
    return Statement(target, OPERATORS[operator.text], (left, right))


def _argument(line: _Line) -> Argument:
    token = line.next
    if token.kind == "name":
        line.index += 1
        if line.next.text == "(":
            line.fail("calls cannot be nested: give the inner call a line and a name of its own", token.column)
        return token.text
    sign = -1.0 if line.accept("-") else 1.0
    if sign > 0:
        line.accept("+")
    if line.next.kind == "name":
        line.fail("only a constant may have a sign: use `negative(x)` or `0.0 - x`", token.column)
    return sign * float(line.take("number", "a variable or a constant"))
