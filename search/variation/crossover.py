"""Crossover by data flow: a value of one program, with the statements that define it, becomes an operand in another.

Of the mate, one live statement is drawn, and the statements on which its value depends are carried over under new
names. Inputs keep their names, so that a carried ``g`` is the gradient at its new place. State is merged by role: state
that the parent uses already has the same role in both programs, and the carried value reads the parent's; state that
the parent does not use is taken over with the statements that compute its next value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from optsearch.dsl.dataflow import liveness, prune
from optsearch.dsl.generate import new_variable
from optsearch.dsl.program import Argument, Program, Statement


def definition(program: Program, places: Iterable[int], state: Collection[str] = ()) -> list[int]:
    """Places of the statements on which the values assigned at some places depend within a step, in order.

    Args:
        program: a verified program.
        places: places of the values.
        state: state variables whose next values are followed too, wherever they are read.
    """
    body = program.body
    found: set[int] = set()
    waiting = list(places)
    while waiting:
        place = waiting.pop()
        if place in found:
            continue
        found.add(place)
        for arg in body[place].args:
            if not isinstance(arg, str):
                continue
            earlier = _assigned(program, arg, place)
            if earlier is not None:
                waiting.append(earlier)
            elif arg in state and (last := _assigned(program, arg, len(body))) is not None:
                waiting.append(last)
    return sorted(found)


def carried(
    draw: Callable[[int], int], parent: Program, mate: Program, *, taken: Collection[str]
) -> tuple[list[Statement], str] | None:
    """Draws a value of the mate and renames the statements that define it.

    Args:
        draw: returns a number below its argument.
        parent: the program that receives the value.
        mate: the program that gives it.
        taken: names of variables of the parent.

    Returns:
        The statements, and the name of the value. None if the value needs state that the parent lacks.
    """
    mate = prune(mate)
    used = {name for name, alive in zip(parent.state, liveness(parent).state, strict=True) if alive}
    place = draw(len(mate.body))
    free = [name for name in mate.state if name in parent.state and name not in used]
    places = definition(mate, [place], free)
    read = {arg for at in places for arg in mate.body[at].args if isinstance(arg, str)}
    if any(name in read and name not in parent.state for name in mate.state):
        return None
    adopted = {name for name in free if _assigned(mate, name, len(mate.body)) in places}
    names: dict[Argument, str] = {}
    names_in_use = set(taken)
    statements: list[Statement] = []
    value = ""
    for at in places:
        target, function, args = mate.body[at]
        args = tuple(names.get(arg, arg) for arg in args)
        if target in adopted and at == _assigned(mate, target, len(mate.body)):
            name = target
        else:
            name = new_variable(names_in_use)
            names_in_use.add(name)
        names[target] = name
        statements.append(Statement(name, function, args))
        value = name if at == place else value
    return statements, value


def _assigned(program: Program, name: str, before: int) -> int | None:
    """Place of the last assignment of a variable before a place; None if it is an input there."""
    return next((at for at in reversed(range(before)) if program.body[at].target == name), None)
