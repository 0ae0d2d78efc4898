"""Fingerprints: a hash of a program's semantics, by value numbering of everything that ``update`` depends on.

Two programs with equal fingerprints train identically up to rounding, regardless of names, dead statements, operand
order and the way constants are written. The evaluation cache is keyed by fingerprint.

``numbering`` gives the values; state turns them into a cyclic graph. The graph is canonicalised like a finite automaton
under minimisation: all state variables start with one label, then each takes the label of the expression for its next
value, until all labels differ. State variables that stay indistinguishable are copies and are merged. The number of
rounds depends only on the labels, so that equal programs are compared at equal depth.
"""

from __future__ import annotations

from itertools import pairwise
from threading import local

from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.nodes import STATE_LABEL, ZERO, Value, content, part
from optsearch.dsl.numbering import Numbering
from optsearch.dsl.program import INPUTS, OUTPUT, Program

FINGERPRINT_VERSION = 4
"""Incremented when the fingerprint of any program changes; stored beside fingerprints."""

MEMORY = 50_000
"""Maximum number of memoised values and names; beyond it the memo is cleared, which affects only speed."""

_UNORDERED = frozenset(name for name, function in FUNCTIONS.items() if function.laws.commutative) | {
    "sum",
    "addition",
    "product",
}

_Key = tuple[Value, tuple[Value, ...], tuple[Value, ...]]


class _Memory(local):
    """Values and names memoised by one thread."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.numbering = Numbering()
        self.inputs = {name: self.numbering.input(name) for name in INPUTS}
        self.names: dict[_Key, str | tuple[int, ...]] = {}


_memory = _Memory()


def fingerprint(program: Program) -> str:
    """Computes the program's fingerprint.

    Args:
        program: a verified program.

    Returns:
        16 hexadecimal digits, identical on all machines and Python versions for one ``FINGERPRINT_VERSION``.

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
        """Returns the update and the new state for a given state."""
        state, values = self.program.state, self.inputs.copy()
        values.update(zip(state, start, strict=True))
        self.numbering.run(self.program.body, values)
        return values[OUTPUT], [values[name] for name in state]


def _steady(step: _Step) -> tuple[list[Value], Value, list[Value]]:
    """Finds an invariant state at the start of a step: zero for variables that stay zero, else of the lowest level.

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
            numbering.relied = -1  # that zero times a state variable is zero relies on all of their bounds
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
    """A recurrence: the update, and the next value of every state variable.

    Args:
        numbering: the store of the values.
        update: value of the update.
        start: value of each state variable at the start of a step.
        after: value of each state variable at the end of a step.
    """

    def __init__(self, numbering: Numbering, update: Value, start: tuple[Value, ...], after: tuple[Value, ...]):
        self.numbering, self.update, self.after = numbering, update, after
        self.nodes = [
            node if numbering.states[node] == 1 << position else -1 for position, (_, node) in enumerate(start)
        ]

    def name(self) -> str | tuple[int, ...]:
        """Returns the name; or, if live state variables are copies, the representative of each variable."""
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
        """Serialises the graph by traversal from the update, with operands ordered by content.

        Contents label all state variables alike, so the traversal numbers them in order of first visit. Returns None if
        two operands of an unordered function have equal content: refined labels must then distinguish them.
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
        """One round of refinement: labels each variable by its next value under the old labels."""
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
        """Content of a value under labels of the state variables; ``digests`` memoises those of nodes."""
        numbering, (coefficient, node) = self.numbering, value
        if len(labels) < 2 or not numbering.states[node]:  # with one label the numbering's own content applies
            return part(coefficient, numbering.digests[node])
        digest = labels.get(node) or digests.get(node)
        if digest is None:
            parts = [self._part(below, labels, digests) for below in numbering.operands[node]]
            if numbering.names[node] in _UNORDERED:
                parts.sort()
            digest = digests[node] = content(numbering.names[node], parts)
        return part(coefficient, digest)


def _has_ties(operands: tuple[Value, ...], digests: list[bytes]) -> bool:
    """Returns True if two of the sorted operands have equal content."""
    return any(digests[one] == digests[other] and one != other for (_, one), (_, other) in pairwise(operands))
