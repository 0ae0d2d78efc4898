"""A name for what a program means: value numbering of everything that ``update`` depends on, through the state.

Two programs with one fingerprint train identically up to rounding, whatever their names, dead statements, operand
order or the way their constants are written. The cache of evaluations is keyed by it.

``numbering`` gives the values; state makes them a cyclic graph. The graph is named as finite automata are minimised:
all state variables start with one label, then each takes the label of the expression for its next value, until all
labels differ. State variables that no number of rounds tells apart are copies and become one. The number of rounds
depends on the labels alone, so that equal programs are compared at equal depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import local

from dsl.dataflow import prune
from dsl.functions import FUNCTIONS
from dsl.numbering import STATE_LABEL, ZERO, Numbering, Value, content, part
from dsl.program import INPUTS, OUTPUT, Program
from dsl.walk import walk

FINGERPRINT_VERSION = 1
"""Changes whenever any program's fingerprint does; stored beside stored fingerprints."""

MAX_NODES = 200_000
"""Nodes that are remembered; then memory is emptied, which changes nothing but the time of the next calls."""

_UNORDERED = frozenset(name for name, function in FUNCTIONS.items() if function.laws.commutative) | {"sum", "product"}

_Key = tuple[Value, tuple[Value, ...], tuple[Value, ...]]


class _Memory(local):
    """What one thread has numbered and named so far."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.numbering = Numbering()
        self.inputs = {name: self.numbering.input(name) for name in INPUTS}
        self.names: dict[_Key, str | tuple[int, ...]] = {}


_memory = _Memory()


def fingerprint(program: Program) -> str:
    """The program's fingerprint.

    Args:
        program: a verified program.

    Returns:
        16 hexadecimal digits; the same on every machine and Python version for one ``FINGERPRINT_VERSION``.
    """
    memory = _memory
    if len(memory.numbering.names) > MAX_NODES:
        memory.forget()
    step = _Step(prune(program), memory.numbering, memory.inputs)
    start = _steady(step)
    while True:
        update, after = step(start)
        key = update, tuple(start), after
        name = memory.names.get(key)
        if name is None:
            name = memory.names[key] = _name(memory.numbering, *key)
        if isinstance(name, str):
            return name
        start = [start[position] for position in name]


class _Step:
    """One step of a program on values."""

    def __init__(self, program: Program, numbering: Numbering, inputs: Mapping[str, Value]):
        self.program, self.numbering, self.inputs = program, numbering, inputs

    def __call__(self, start: Sequence[Value]) -> tuple[Value, tuple[Value, ...]]:
        """The update and the state after a step from the given state."""
        state = self.program.state
        values = walk(self.program, {**self.inputs, **dict(zip(state, start, strict=True))}, self.numbering)
        return values[OUTPUT], tuple([values[name] for name in state])


def _steady(step: _Step) -> list[Value]:
    """The state at the start of any step: zero where it begins and stays so, wild where it may become infinite."""
    numbering, wild = step.numbering, frozenset[int]()
    positions = range(len(step.program.state))
    while True:
        start = [numbering.state(position, tame=position not in wild) for position in positions]
        states = list(start)
        _, after = step(start)
        zeros = {position for position in positions if numbering.starts_at_zero(after[position])}
        while zeros:
            start = [ZERO if position in zeros else states[position] for position in positions]
            _, after = step(start)
            staying = {position for position in zeros if after[position][0] == 0.0}
            if staying == zeros:
                break
            zeros = staying
            start = states
        grown = wild.union(
            position for position in positions if position not in zeros and not numbering.tame(after[position])
        )
        if grown == wild:
            return start
        wild = grown


def _name(
    numbering: Numbering, update: Value, start: tuple[Value, ...], after: tuple[Value, ...]
) -> str | tuple[int, ...]:
    """The name of a system of values.

    Args:
        numbering: where the values are.
        update: value of the update.
        start: for each state variable its value at the start of a step.
        after: for each state variable its value at the end.

    Returns:
        The name; or, where several state variables that matter are copies, for each the position of the one to keep.
    """
    nodes = {position: value[1] for position, value in enumerate(start) if numbering.states[value[1]] == 1 << position}
    reached, bits = list[int](), numbering.states[update[1]]
    while new := [position for position in nodes if bits >> position & 1 and position not in reached]:
        reached += new
        for position in new:
            bits |= numbering.states[after[position][1]]
    labels = dict.fromkeys([nodes[position] for position in reached], STATE_LABEL)
    classes = min(len(labels), 1)
    digests: dict[int, bytes] = {}
    while classes < len(reached):
        digests = {}
        labels = {nodes[p]: content("state", [_part(numbering, after[p], labels, digests)]) for p in reached}
        if len(set(labels.values())) == classes:
            keep: dict[bytes, int] = {}
            for position in sorted(reached):
                keep.setdefault(labels[nodes[position]], position)
            return tuple(
                keep[labels[nodes[position]]] if position in reached else position for position in range(len(start))
            )
        classes = len(set(labels.values()))
    digests = {}
    rows = sorted(labels[nodes[p]] + _part(numbering, after[p], labels, digests) for p in reached)
    return content(f"update {len(rows)}", [_part(numbering, update, labels, digests), *rows])[:8].hex()


def _part(numbering: Numbering, value: Value, labels: Mapping[int, bytes], digests: dict[int, bytes]) -> bytes:
    """A value's content under the given labels of the state variables; ``digests`` remembers those of nodes."""
    coefficient, node = value
    if not numbering.states[node] or len(labels) == 1:  # with one state variable the labels are the numbering's own
        return part(coefficient, numbering.digests[node])
    digest = labels.get(node) or digests.get(node)
    if digest is None:
        name = numbering.names[node]
        parts = [_part(numbering, below, labels, digests) for below in numbering.operands[node]]
        if name in _UNORDERED:
            parts.sort()
        digest = digests[node] = content(name, parts)
    return part(coefficient, digest)
