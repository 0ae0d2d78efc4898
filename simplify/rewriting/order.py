"""Orders statements for reading and names variables by role.

Names follow the dataflow: ``update`` on the path to the result, ``m`` for state that changes sign with the gradient
(momentum), ``v`` for state that does not (second moment), ``wd`` for weight decay, ``lr`` for a scaled learning rate.
Statements are placed where their value is needed, the longest part of a formula first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optsearch.dsl.functions import FUNCTIONS, LEAVES
from optsearch.dsl.laws import EVEN, NONE, ODD
from optsearch.dsl.program import LR, MAX_NAME_LENGTH, OUTPUT, Argument, G, Program, Statement, W, shortest

Value = int | str | float
"""Index of a call, name of a parameter, or a constant."""


SMALLEST, LARGEST = 1e-37, 3e38
"""Range of magnitudes that float32 represents with full precision."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A program without names and order.

    Attributes:
        state: names of the state variables at the start of a step.
        calls: function and operands of each call; a call uses only earlier calls.
        outputs: the update, then the next value of each state variable.
    """

    state: tuple[str, ...]
    calls: tuple[tuple[str, tuple[Value, ...]], ...]
    outputs: tuple[Value, ...]


def graph_of(program: Program) -> Graph:
    """Dataflow graph of a program, including statements whose values are not read."""
    values: dict[str, Value] = {name: name for name in program.signature.inputs}
    calls: list[tuple[str, tuple[Value, ...]]] = []
    for target, function, args in program.body:
        operands = tuple(values[arg] if isinstance(arg, str) else arg for arg in args)
        values[target] = len(calls)
        calls.append((function, operands))
    return Graph(program.state, tuple(calls), tuple(values[name] for name in program.signature.outputs))


def order(program: Program) -> Program:
    """Reorders statements for reading and renames variables by role; nothing is added or removed.

    Args:
        program: a verified program without dead statements.

    Returns:
        A program with bitwise identical updates, up to the order of operands of commutative functions. The program
        itself if rewriting it would need more statements.
    """
    written = write(graph_of(program))
    return written if len(written.body) <= len(program.body) else program


def write(graph: Graph) -> Program:
    """Converts a graph to a program."""
    return _Writer(graph).program()


def readable(value: float) -> float:
    """The same float32 number with the fewest digits; a number outside float32's range is unchanged."""
    if not SMALLEST < abs(value) < LARGEST:
        return value
    return shortest(value)


class _Writer:
    def __init__(self, graph: Graph):
        self.calls, self.outputs = list(graph.calls), list(graph.outputs)
        self.old_state = graph.state
        self._add_copies()
        self.depth = self._depths()
        self.calls = [(name, self._arranged(name, operands)) for name, operands in self.calls]
        self.reads = self._all_reads()
        self.sequence = self._sequence()
        self.uses = self._uses()
        self.names: dict[int, str] = {}
        self.state = _state_names(graph)

    def program(self) -> Program:
        self._name_all()
        renamed = dict(zip(self.old_state, self.state, strict=True))
        body: list[Statement] = []
        for number in self.sequence:
            function, operands = self.calls[number]
            body.append(Statement(self.names[number], function, tuple(self._argument(o, renamed) for o in operands)))
        return Program(self.state, tuple(body))

    def _argument(self, value: Value, renamed: dict[str, str]) -> Argument:
        if isinstance(value, int):
            return self.names[value]
        return renamed.get(value, value) if isinstance(value, str) else readable(value)

    # Copies and order

    def _add_copies(self) -> None:
        """Makes every output a separate call that can be placed after the last read of the old state."""
        taken: set[int] = set()
        for position, value in enumerate(self.outputs):
            own = position > 0 and value == self.old_state[position - 1]
            if own:
                continue
            if not isinstance(value, int) or value in taken:
                self._copy(position)
            taken.add(self._output(position))
        while True:
            stuck = self._in_a_circle()
            if stuck is None:
                return
            self._copy(stuck)

    def _copy(self, position: int) -> None:
        self.calls.append(("multiply", (self.outputs[position], 1.0)))
        self.outputs[position] = len(self.calls) - 1

    def _output(self, position: int) -> int:
        value = self.outputs[position]
        return value if isinstance(value, int) else -1

    def _before(self) -> list[list[int]]:
        """The calls that must precede each call: its operands, and readers of the state that it replaces."""
        before = [[o for o in operands if isinstance(o, int)] for _, operands in self.calls]
        for position, name in enumerate(self.old_state, start=1):
            owner = self._output(position)
            if owner >= 0:
                readers = [n for n, (_, operands) in enumerate(self.calls) if name in operands and n != owner]
                before[owner] = [*before[owner], *readers]
        return before

    def _in_a_circle(self) -> int | None:
        """An output whose new value is needed before the last read of the old value; None if there is none."""
        before = self._before()
        for position in range(1, len(self.outputs)):
            owner = self._output(position)
            stack, seen = list(before[owner]) if owner >= 0 else [], set[int]()
            while stack:
                number = stack.pop()
                if number == owner:
                    return position
                if number not in seen:
                    seen.add(number)
                    stack += before[number]
        return None

    def _depths(self) -> list[int]:
        depths: list[int] = []
        for _, operands in self.calls:
            depths.append(1 + max((depths[o] for o in operands if isinstance(o, int)), default=0))
        return depths

    def _arranged(self, name: str, operands: tuple[Value, ...]) -> tuple[Value, ...]:
        """Operands of a commutative function, with the longest part first and constants last."""
        if not FUNCTIONS[name].laws.commutative:
            return operands

        def rank(value: Value) -> tuple[int, int, str]:
            if isinstance(value, int):
                return 0, -self.depth[value], ""
            return (1, 0, "") if isinstance(value, str) and value != LR else (2, 0, "") if value == LR else (3, 0, "")

        return tuple(sorted(operands, key=rank))

    def _sequence(self) -> list[int]:
        before = self._before()
        sequence: list[int] = []
        done: set[int] = set()

        def visit(number: int) -> None:
            if number in done:
                return
            done.add(number)
            for earlier in before[number]:
                visit(earlier)
            sequence.append(number)

        for position in range(len(self.outputs)):
            if self._output(position) >= 0:
                visit(self._output(position))
        for number in range(len(self.calls)):
            visit(number)
        return sequence

    def _uses(self) -> dict[Value, int]:
        uses: dict[Value, int] = {}
        for _, operands in self.calls:
            for operand in set(operands):
                uses[operand] = uses.get(operand, 0) + 1
        return uses

    # Names

    def _name_all(self) -> None:
        for position, name in enumerate(self.state, start=1):
            if self._output(position) >= 0:
                self.names[self._output(position)] = name
        number = self._output(0)
        while number not in self.names:
            self.names[number] = OUTPUT
            first = self.calls[number][1][0] if self.calls[number][1] else None
            if not isinstance(first, int) or FUNCTIONS[self.calls[number][0]].operands[0] == LEAVES:
                break
            if self.uses[first] > 1 or first in self.names or self._only(first, {LR}) or self._only(first, {W}):
                break
            number = first
        taken = {W, G, LR, OUTPUT, *self.state}
        for number in self.sequence:
            if number not in self.names:
                self.names[number] = self._role(number, taken)
                taken.add(self.names[number])

    def _role(self, number: int, taken: set[str]) -> str:
        function, operands = self.calls[number]
        inner = [o for o in operands if isinstance(o, int)]
        sources = [self.names[o] for o in inner] + [o for o in operands if isinstance(o, str)]
        if self._only(number, {LR}) and not inner and self.uses.get(LR, 0) == 1:
            return LR
        if self._only(number, {LR}):
            return _free("rate", taken)
        if self._only(number, {W}) or (function == "multiply" and W in operands):
            return _free("wd", taken)
        if FUNCTIONS[function].arity == 1 and sources:
            name = sources[0]
            if function == "square" and not name[-1].isdigit():
                return _free(f"{name}2", taken)
            if name == G and self._alone(G, inner):
                return G
            return _free(f"{function}_{name}"[: MAX_NAME_LENGTH - 3], taken)
        if function in ("clip", "clip_by_global_norm") and sources[:1] == [G] and self._alone(G, inner):
            return G
        return _free(_WORDS.get(function, function + "_value"), taken)

    def _alone(self, name: str, inner: Sequence[int]) -> bool:
        """True if the value of the only operand named ``name`` has no other reader."""
        own = [number for number in inner if self.names.get(number) == name]
        return self.uses.get(own[0] if own else name, 0) == 1

    def _all_reads(self) -> list[set[str]]:
        """The names of the variables on which each call depends."""
        reads: list[set[str]] = []
        for _, operands in self.calls:
            names = {operand for operand in operands if isinstance(operand, str)}
            reads.append(names.union(*(reads[operand] for operand in operands if isinstance(operand, int))))
        return reads

    def _only(self, number: int, names: set[str]) -> bool:
        return self.reads[number] == names


_WORDS = {
    "add": "total",
    "subtract": "difference",
    "multiply": "product",
    "divide": "ratio",
    "interp": "average",
    "maximum": "larger",
    "minimum": "smaller",
    "clip": "clipped",
    "clip_by_global_norm": "clipped",
    "power": "powered",
    "dot": "inner",
    "cosine_sim": "cosine",
    "orthogonalize": "orthogonal",
}


def _free(name: str, taken: set[str]) -> str:
    """The name, with a numeric suffix if it is taken or names a function."""
    number, tried = 2, name
    while tried in taken or tried in FUNCTIONS:
        tried = f"{name}{number}"
        number += 1
    return tried


def _state_names(graph: Graph) -> tuple[str, ...]:
    """``m`` for state that changes sign with the gradient, ``v`` for state that does not, ``s`` for other state."""
    names: list[str] = []
    parities: dict[str, int] = dict.fromkeys(graph.state, NONE)
    for _ in graph.state:
        for name, value in zip(graph.state, graph.outputs[1:], strict=True):
            for parity in (ODD, EVEN):
                if parities[name] == NONE and _parity(graph, value, {**parities, name: parity}) == parity:
                    parities[name] = parity
    for name in graph.state:
        word = {ODD: "m", EVEN: "v", NONE: "s"}[parities[name]]
        names.append(_free(word, set(names)))
    return tuple(names)


def _parity(graph: Graph, wanted: Value, state: dict[str, int]) -> int:
    """Parity of a value when the gradient and the odd state change sign."""
    parities: list[int] = []

    def of(value: Value) -> int:
        if isinstance(value, int):
            return parities[value]
        return EVEN if not isinstance(value, str) else ODD if value == G else state.get(value, EVEN)

    for function, operands in graph.calls:
        laws, below = FUNCTIONS[function].laws, [of(operand) for operand in operands]
        if (function == "multiply" and operands[0] == operands[1]) or all(parity == EVEN for parity in below):
            parities.append(EVEN)
        elif function in ("add", "subtract", "maximum", "minimum"):
            odd_sum = function in ("add", "subtract") and below == [ODD, ODD]
            parities.append(ODD if odd_sum else NONE)
        elif function == "interp":
            parities.append(ODD if below == [ODD, ODD, EVEN] else NONE)
        else:
            result = EVEN
            for parity, law in zip(below, laws.parity, strict=True):
                if parity == NONE or (parity == ODD and law == NONE):
                    result = NONE
                elif parity == ODD and result != NONE:
                    result *= law
            parities.append(result)
    return of(wanted)
