"""A name for what a program means: value numbering of everything that ``update`` depends on, through the state.

Two programs with one fingerprint train identically up to rounding, whatever their names, dead statements, operand
order or the way their constants are written. The cache of evaluations is keyed by it.

``numbering`` gives the values; state makes them a cyclic graph. The graph is named as finite automata are minimised:
all state variables start with one label, then each takes the label of the expression for its next value, until all
labels differ. State variables that no number of rounds tells apart are copies and become one. The number of rounds
depends on the labels alone, so that equal programs are compared at equal depth.
"""

from __future__ import annotations

from itertools import pairwise
from threading import local

from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.nodes import STATE_LABEL, ZERO, Value, content, part
from optsearch.dsl.numbering import Numbering
from optsearch.dsl.program import INPUTS, OUTPUT, Program

FINGERPRINT_VERSION = 3
"""Changes whenever any program's fingerprint does; stored beside stored fingerprints."""

MEMORY = 50_000
"""Values and names remembered; then memory is emptied, which changes nothing but the time of the next calls."""

_UNORDERED = frozenset(name for name, function in FUNCTIONS.items() if function.laws.commutative) | {
    "sum",
    "addition",
    "product",
}

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

    >>> from optsearch.dsl.syntax import parse
    >>> one = parse('''def train(w, g, lr):
    ...     step = g * lr
    ...     update = step + w
    ...     return update''')
    >>> other = parse('''def train(w, g, lr):
    ...     g = lr * g
    ...     dead = exp(g)
    ...     update = w + g
    ...     return update''')
    >>> fingerprint(one) == fingerprint(other)
    True
    """
    memory = _memory
    if len(memory.numbering.names) > MEMORY or len(memory.names) > MEMORY:
        memory.forget()
    step = _Step(prune(program), memory.numbering, memory.inputs)
    start, update, after = _steady(step)
    while True:
        key = update, tuple(start), tuple(after)
        name = memory.names.get(key)
        if name is None:
            name = memory.names[key] = _System(memory.numbering, *key).name()
        if isinstance(name, str):
            return name
        start = [start[position] for position in name]
        update, after = step(start)


class _Step:
    """One step of a program on values."""

    def __init__(self, program: Program, numbering: Numbering, inputs: dict[str, Value]):
        self.program, self.numbering, self.inputs = program, numbering, inputs

    def __call__(self, start: list[Value]) -> tuple[Value, list[Value]]:
        """The update and the state after a step from the given state."""
        state, values = self.program.state, self.inputs.copy()
        values.update(zip(state, start, strict=True))
        self.numbering.run(self.program.body, values)
        return values[OUTPUT], [values[name] for name in state]


def _steady(step: _Step) -> tuple[list[Value], Value, list[Value]]:
    """The state at the start of any step: zero where it begins and stays so, else of the least level that holds.

    Returns:
        That state, the update, and the state after the step.
    """
    numbering, level = step.numbering, [0] * len(step.program.state)
    while True:
        states = [numbering.state(position, own) for position, own in enumerate(level)]
        numbering.relied = 0
        start = states
        update, after = step(start)
        zeros = {position for position, value in enumerate(after) if numbering.starts_at_zero(value)}
        settled = not zeros
        while not settled:
            numbering.relied = -1  # that zero times a state variable is zero relies on them all
            start = [ZERO if position in zeros else state for position, state in enumerate(states)]
            update, after = step(start)
            staying = {position for position in zeros if after[position][0] == 0.0}
            settled, zeros = staying == zeros, staying
        if not numbering.relied:
            return start, update, after
        needed = numbering.levels({p: value for p, value in enumerate(after) if p not in zeros}, level)
        if needed == level:
            return start, update, after
        level = needed


class _System:
    """Values with a state: the update, and the next value of every state variable.

    Args:
        numbering: where the values are.
        update: value of the update.
        start: for each state variable its value at the start of a step.
        after: for each state variable its value at the end.
    """

    def __init__(self, numbering: Numbering, update: Value, start: tuple[Value, ...], after: tuple[Value, ...]):
        self.numbering, self.update, self.after = numbering, update, after
        self.nodes = [
            node if numbering.states[node] == 1 << position else -1 for position, (_, node) in enumerate(start)
        ]

    def name(self) -> str | tuple[int, ...]:
        """The name; or, where state variables that matter are copies, for each variable the one to use instead."""
        reached, labels = self._reached(), dict[int, bytes]()
        if len(reached) > 1:
            labels = {self.nodes[position]: self._plain(self.after[position]) for position in reached}
            if len(set(labels.values())) == len(reached):
                walked = self._walked()
                if walked is not None:
                    return content(f"update {len(reached)}", walked)[:8].hex()
            classes = 1
            labels = dict.fromkeys(labels, STATE_LABEL)
            while classes < len(reached):
                labels = self._refined(reached, labels)
                if len(set(labels.values())) == classes:
                    return self._copies(reached, labels)
                classes = len(set(labels.values()))
        digests: dict[int, bytes] = {}
        rows = [
            labels.get(self.nodes[position], STATE_LABEL) + self._part(self.after[position], labels, digests)
            for position in reached
        ]
        return content(f"update {len(rows)}", [self._part(self.update, labels, digests), *sorted(rows)])[:8].hex()

    def _plain(self, value: Value) -> bytes:
        return part(value[0], self.numbering.digests[value[1]])

    def _reached(self) -> list[int]:
        """Positions of the state variables that the update depends on."""
        states, reached = self.numbering.states, list[int]()
        bits, done = states[self.update[1]], 0
        while bits != done:
            position = (bits & ~done).bit_length() - 1
            done |= 1 << position
            reached.append(position)
            bits |= states[self.after[position][1]]
        return sorted(reached)

    def _walked(self) -> list[bytes] | None:
        """The graph as seen from the update, node by node, where the content of operands decides their order.

        Contents label all state variables alike, so that a walk has to say which one it meets, by the order of first
        meetings. None where two operands of an unordered function have one content: then labels have to tell.
        """
        numbering = self.numbering
        names, operands, digests, states = numbering.names, numbering.operands, numbering.digests, numbering.states
        number: dict[int, int] = {}
        waiting: list[int] = []
        parts: list[bytes] = []
        trace = bytearray()
        position_of = {node: position for position, node in enumerate(self.nodes) if node >= 0}
        values = iter((self.update,))
        while True:
            for coefficient, root in values:
                parts.append(part(coefficient, digests[root]))
                stack = [root]
                while stack:
                    node = stack.pop()
                    if not states[node]:
                        continue
                    known = number.get(node)
                    if known is not None:
                        trace += known.to_bytes(2, "big")
                        continue
                    number[node] = len(number)
                    trace += b"\xff\xff"
                    below = operands[node]
                    if not below:
                        waiting.append(position_of[node])
                    elif len(below) == 1:
                        stack.append(below[0][1])
                    else:
                        if names[node] in _UNORDERED and _has_ties(below, digests):
                            return None
                        stack += [operand for _, operand in below]
            if not waiting:
                return [*parts, bytes(trace)]
            values = iter((self.after[waiting.pop(0)],))

    def _refined(self, reached: list[int], labels: dict[int, bytes]) -> dict[int, bytes]:
        """Each variable's label for its next value under the old labels."""
        digests: dict[int, bytes] = {}
        return {self.nodes[p]: content("state", [self._part(self.after[p], labels, digests)]) for p in reached}

    def _copies(self, reached: list[int], labels: dict[int, bytes]) -> tuple[int, ...]:
        first: dict[bytes, int] = {}
        for position in reached:
            first.setdefault(labels[self.nodes[position]], position)
        return tuple(
            first[labels[node]] if position in reached else position for position, node in enumerate(self.nodes)
        )

    def _part(self, value: Value, labels: dict[int, bytes], digests: dict[int, bytes]) -> bytes:
        """A value's content under labels of the state variables; ``digests`` remembers those of nodes."""
        numbering, (coefficient, node) = self.numbering, value
        if len(labels) < 2 or not numbering.states[node]:  # one label: the numbering's own
            return part(coefficient, numbering.digests[node])
        digest = labels.get(node) or digests.get(node)
        if digest is None:
            parts = [self._part(below, labels, digests) for below in numbering.operands[node]]
            if numbering.names[node] in _UNORDERED:
                parts.sort()
            digest = digests[node] = content(numbering.names[node], parts)
        return part(coefficient, digest)


def _has_ties(operands: tuple[Value, ...], digests: list[bytes]) -> bool:
    """Whether two of the operands, which are in order, have one content."""
    return any(digests[one] == digests[other] and one != other for (_, one), (_, other) in pairwise(operands))
