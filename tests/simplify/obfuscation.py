"""Obfuscates programs: expansions, identities, dead code, dead state and renaming."""

from __future__ import annotations

import numpy as np

from optsearch.dsl.dataflow import prune
from optsearch.dsl.generate import random_statement
from optsearch.dsl.program import OUTPUT, Program, Statement
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import verify
from optsearch.simplify.rewriting.order import Graph, Value, graph_of, readable, write

Calls = list[tuple[str, tuple[Value, ...]]]


def obfuscate(program: Program, rng: np.random.Generator, *, share: float = 0.5) -> Program:
    """A longer program with the same updates up to rounding and the guard.

    Args:
        program: a verified program.
        rng: decides what is done where.
        share: probability with which a statement is expanded.
    """
    graph = graph_of(prune(program))
    calls: Calls = []
    moved: dict[int, Value] = {}
    for number, (function, operands) in enumerate(graph.calls):
        own = tuple(moved[o] if isinstance(o, int) else o for o in operands)
        if rng.random() < share:
            moved[number] = _expanded(function, own, calls, rng)
        else:
            moved[number] = _put(calls, function, *own)
        if rng.random() < share / 3:
            moved[number] = _identity(moved[number], calls, rng)
    outputs = tuple(moved[o] if isinstance(o, int) else o for o in graph.outputs)
    return with_dead_code(_renamed(write(Graph(graph.state, tuple(calls), outputs)), rng), rng)


def with_dead_code(program: Program, rng: np.random.Generator, *, statements: int = 4) -> Program:
    """The program with statements and a state variable that nothing reads."""
    scope = {"w": Kind.LEAF, "g": Kind.LEAF, "lr": Kind.SCALAR}
    body: list[Statement] = []
    taken = {*program.state, *(s.target for s in program.body), OUTPUT, "unused"}
    for number in range(statements):
        statement = random_statement(rng, scope, taken=taken)
        body.append(statement._replace(target=f"dead{number}"))
    body.append(Statement("unused", "interp", ("g", "unused", 0.5)))
    place = int(rng.integers(len(program.body) + 1))
    if any(s.target in ("w", "g", "lr") for s in program.body[:place]):
        place = 0
    result = Program((*program.state, "unused"), (*program.body[:place], *body, *program.body[place:]))
    verify(result)
    return result


def _put(calls: Calls, function: str, *operands: Value) -> int:
    calls.append((function, operands))
    return len(calls) - 1


def _expanded(function: str, operands: tuple[Value, ...], calls: Calls, rng: np.random.Generator) -> int:
    match function, operands:
        case "interp", (x, y, float(a)):
            left = _put(calls, "multiply", x, readable(1.0 - a))
            return _put(calls, "add", left, _put(calls, "multiply", y, a))
        case "square", (x,):
            return _put(calls, "multiply", x, x)
        case "sign", (x,):
            if rng.random() < 0.5:
                return _put(calls, "divide", x, _put(calls, "abs", x))
            root = _put(calls, "sqrt", _put(calls, "multiply", x, x))
            return _put(calls, "divide", x, root)
        case "multiply", (x, float(c)):
            inner = _put(calls, "multiply", x, 4.0)
            return _put(calls, "multiply", inner, readable(c / 4.0))
        case "multiply", (int(x), y) if calls[x][0] == "add":
            first, second = (_put(calls, "multiply", part, y) for part in calls[x][1])
            return _put(calls, "add", first, second)
        case "add", (x, y):
            return _put(calls, "subtract", x, _put(calls, "negative", y))
        case "divide", (x, y):
            return _put(calls, "multiply", x, _put(calls, "reciprocal", y))
        case _:
            return _put(calls, function, *operands)


def _identity(value: Value, calls: Calls, rng: np.random.Generator) -> int:
    match int(rng.integers(5)):
        case 0:
            return _put(calls, "multiply", value, 1.0)
        case 1:
            return _put(calls, "add", value, 0.0)
        case 2:
            return _put(calls, "negative", _put(calls, "negative", value))
        case 3:
            return _put(calls, "maximum", value, value)
        case _:
            return _put(calls, "cube", _put(calls, "cbrt", value))  # in the other order second moments underflow


def _renamed(program: Program, rng: np.random.Generator) -> Program:
    """Every variable but inputs and ``update`` under a name that says nothing."""
    names = {*program.state, *(s.target for s in program.body)} - {"w", "g", "lr", OUTPUT}
    numbers = rng.permutation(900)[: len(names)] + 100
    renamed = {name: f"v{number}" for name, number in zip(sorted(names), numbers, strict=True)}
    body = tuple(
        Statement(
            renamed.get(s.target, s.target),
            s.function,
            tuple(renamed.get(a, a) if isinstance(a, str) else a for a in s.args),
        )
        for s in program.body
    )
    return Program(tuple(renamed[name] for name in program.state), body)
