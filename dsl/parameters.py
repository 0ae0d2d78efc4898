"""Names of constants in exported files by their role (``beta1``, ``weight_decay``), without clashes.

Exported files take the constants as keyword arguments, so that they can be tuned without reading the body.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from optsearch.dsl.program import LR, OUTPUT, Program, Statement, W

Place = tuple[int, int]
"""Index of a statement of the pruned program, and index of an operand."""

_WORDS = {
    "clip": "limit",
    "clip_by_global_norm": "limit",
    "maximum": "floor",
    "minimum": "ceiling",
    "power": "exponent",
    "add": "offset",
    "subtract": "offset",
    "multiply": "factor",
    "divide": "divisor",
    "interp": "mix",
}


@dataclass(frozen=True, slots=True)
class Parametrised:
    """A program with named constants.

    Attributes:
        program: the program, in which named constants are replaced by their names, as if they were variables.
        defaults: value of each name, in order of appearance.
    """

    program: Program
    defaults: Mapping[str, float]


def parametrised(
    program: Program, reserved: Collection[str] = (), roles: Mapping[Place, str] | None = None
) -> Parametrised:
    """Names the constants by role.

    Args:
        program: a verified program without dead statements.
        reserved: names that must not be used.
        roles: names of constants whose role is known. None if no role is known: every factor of the weights is then a
            ``weight_decay``, as in the names of tuned values.

    Returns:
        ``beta1, beta2, ...`` for the decay of EMAs of the state, ``weight_decay`` for factors of the weights, ``scale``
        for factors of the learning rate, and a name by function for the others. Calls on constants alone and factors of
        1 (of 1 and -1, with ``roles``) keep their constants. Equal constants with one role share a name.
    """
    taken = {*reserved, *program.signature.inputs, OUTPUT, *(statement.target for statement in program.body)}
    fresh = {W, LR, *program.state} if roles is None else {LR, *program.state}
    unnamed = (1.0,) if roles is None else (1.0, -1.0)
    defaults: dict[str, float] = {}
    shared: dict[tuple[str, float], str] = {}
    body: list[Statement] = []
    for index, statement in enumerate(program.body):
        args = list(statement.args)
        named = [arg for arg in args if isinstance(arg, str)]
        for position, arg in enumerate(args):
            if isinstance(arg, str) or not named or (statement.function == "multiply" and arg in unnamed):
                continue
            word = (roles or {}).get((index, position)) or _word(statement, position, fresh, program.state)
            name = shared.get((word, arg)) or _free(word, taken)
            shared[word, arg] = args[position] = name
            taken.add(name)
            defaults[name] = arg
        body.append(statement._replace(args=tuple(args)))
        if statement.target in (W, LR):
            fresh.discard(statement.target)
    return Parametrised(Program(program.state, tuple(body)), defaults)


def _word(statement: Statement, position: int, fresh: Collection[str], state: Collection[str]) -> str:
    """Base name of a constant, before numbering."""
    function, others = statement.function, [arg for arg in statement.args if isinstance(arg, str)]
    if function == "interp" and position == 2 and any(other in state for other in others):
        return "beta"
    if function == "multiply" and W in others and W in fresh:
        return "weight_decay"
    if function == "multiply" and LR in others and LR in fresh:
        return "scale"
    if function == "multiply" and any(other in state for other in others) and statement.target in state:
        return "beta"
    return _WORDS.get(function, "constant")


def _free(word: str, taken: Collection[str]) -> str:
    """An unused name: the base name, numbered where several are expected (``beta1`` even if it is the only one)."""
    if word != "beta" and word not in taken:
        return word
    number = 1 if word == "beta" else 2
    while f"{word}{number}" in taken:
        number += 1
    return f"{word}{number}"


def without_clashes(program: Program, taken: Collection[str]) -> Program:
    """Renames variables that would shadow a name of the file or that a NamedTuple rejects.

    New names are valid identifiers of the language: they start with a letter and respect the maximum length.
    """
    names = dict.fromkeys([*program.state, *(statement.target for statement in program.body)])
    used, renamed = {*taken, *names}, dict[str, str]()
    for name in names:
        if name in taken or name[0] == "_":
            stem = name.strip("_")
            renamed[name] = _free(f"{stem}_variable" if stem[:1].isalpha() and len(stem) <= 20 else "variable", used)
            used.add(renamed[name])
    if not renamed:
        return program
    return Program(
        tuple(renamed.get(name, name) for name in program.state),
        tuple(
            Statement(
                renamed.get(target, target),
                function,
                tuple(renamed.get(arg, arg) if isinstance(arg, str) else arg for arg in args),
            )
            for target, function, args in program.body
        ),
    )


def plain(title: str) -> str:
    """Removes characters that could end a docstring."""
    kept = "".join(c for c in title if c.isascii() and (c.isalnum() or c in " .,:;()+-_=/%[]"))
    return kept.strip().rstrip(".") + "."
