"""A compact e-graph: represents many equal programs at once, independently of the order in which rules apply.

Values that are known to be equal form a class. A node is a call whose operands are classes. Rewriting only adds nodes
and merges classes, so no form is lost. The cheapest form is extracted when no rule applies any more.

The alternative, egglog, depends on 213 MB of notebook packages. In this implementation a class also carries analysis
data from the function table: its constant, its bounds, its size and its kind.

Source: Willsey et al., "egg: Fast and Extensible Equality Saturation", POPL 2021 (arXiv:2004.03082).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from optsearch.dsl.functions import FUNCTIONS, LEAVES, Function, Scope
from optsearch.dsl.program import G
from optsearch.dsl.types import KINDS, Kind
from optsearch.dsl.verify import result_kind
from optsearch.simplify.rewriting.bounds import ANYTHING, Bounds, bounds_of
from optsearch.simplify.rewriting.patterns import SPECIAL, Call, Name, Pattern, computed, evaluate
from optsearch.simplify.rewriting.sizes import ASSUMED, UNKNOWN, Size, of_constant, size_of

Node = tuple[str, tuple[int, ...]]
"""A function's name and the classes of its operands; ``$name`` for a variable, ``#number`` for a constant."""

Binding = dict[str, int]
"""Maps each name of a pattern to a class."""

DIGITS = 14
"""Significant digits of folded constants."""

SMALLEST, LARGEST = 1e-30, 1e30
"""Range in which constants are combined, well inside float32's range."""

CLOSE = 1e-7
"""Relative difference below which constants are merged, unless their distances from 1 differ by more. Without it,
rounding would create new constants indefinitely."""

HALF_ULP = 3e-8
"""Relative difference below which constants are equal in float32."""

KEPT = 1e-5
"""Relative sensitivity to rounding below which a call on constants is folded; ``sin(pi())`` is not folded."""

SAME = 1e-6
"""Maximum relative difference of constants in one class; a larger one means that a rule is wrong."""

_COMMUTATIVE = frozenset(name for name, function in FUNCTIONS.items() if function.laws.commutative)


class ContradictionError(RuntimeError):
    """Two different constants were proven equal: a rule is unsound."""


class EGraph:
    """An e-graph of values.

    Attributes:
        size: total number of nodes created.
        version: incremented by every change.
        classes: nodes of each class, as of the last ``rebuild``.
        reasons: for each node the names of the rules that created it.
        merged: for each class the names of the rules that merged it with another.
    """

    def __init__(self) -> None:
        self.size = self.version = 0
        self.classes: dict[int, list[Node]] = {}
        self.reasons: dict[Node, frozenset[str]] = {}
        self.merged: dict[int, frozenset[str]] = {}
        self._up: list[int] = []
        self._index: dict[Node, int] = {}
        self._constants: dict[int, float] = {}
        self._known: dict[int, list[float]] = {}
        self._bounds: dict[int, Bounds] = {}
        self._sizes: dict[int, Size] = {}
        self._kinds: dict[int, Kind] = {}
        self._by_function: dict[str, list[tuple[int, Node]]] = {}

    def find(self, of: int) -> int:
        """The representative of a class."""
        up = self._up
        while up[of] != of:
            up[of] = up[up[of]]
            of = up[of]
        return of

    def constant_of(self, of: int) -> float | None:
        """The constant value of a class; None if it is not constant."""
        return self._constants.get(self.find(of))

    def bounds(self, of: int) -> Bounds:
        """An interval that contains the values of a class."""
        return self._bounds.get(self.find(of), ANYTHING)

    def magnitudes(self, of: int) -> Size:
        """Range of magnitudes of a class; ``UNKNOWN`` if its values may be infinite or NaN."""
        return self._sizes.get(self.find(of), UNKNOWN)

    def kind(self, of: int) -> Kind:
        """The smallest kind among the forms of a class: its values do not differ along the axes that it lacks."""
        return self._kinds.get(self.find(of), Kind.LEAF)

    def variable(self, name: str, bounds: Bounds = ANYTHING, size: Size = ASSUMED[G], kind: Kind = Kind.LEAF) -> int:
        """The class of an input or a state variable."""
        made = self._node((f"${name}", ()))
        self._bounds[made], self._sizes[made], self._kinds[made] = bounds, size, kind
        return made

    def constant(self, value: float) -> int:
        """The class of a constant; constants that are nearly equal in float32 share a class."""
        value = self._interned(value)
        made = self._node((f"#{value!r}", ()))
        self._constants[made], self._bounds[made], self._sizes[made] = value, (value, value), of_constant(value)
        self._kinds[made] = Kind.SCALAR
        return made

    def add(self, function: str, operands: Sequence[int], reasons: frozenset[str] = frozenset()) -> int:
        """The class of a call; a call on constants is folded."""
        found = [self.find(operand) for operand in operands]
        folded = self._fold(function, found)
        if folded is not None:
            return self.constant(folded)
        node = (function, self._ordered(function, found))
        known = self._index.get(node)
        if known is not None:
            return self.find(known)
        made = self._node(node)
        self.reasons[node] = reasons
        self._learn(made, node)
        return made

    def union(self, x: int, y: int, reasons: frozenset[str] = frozenset()) -> bool:
        """Merges two classes; returns True if they were distinct.

        Raises:
            ContradictionError: the classes hold different constants.
        """
        x, y = self.find(x), self.find(y)
        if x == y:
            return False
        if y < x:
            x, y = y, x
        constant, other = self._constants.get(x), self._constants.get(y)
        if constant is not None and other is not None and abs(constant - other) > SAME * max(abs(constant), abs(other)):
            raise ContradictionError(f"{constant!r} = {other!r} by {sorted(reasons)}")
        self._up[y] = x
        if other is not None and (constant is None or (len(repr(other)), other) < (len(repr(constant)), constant)):
            self._constants[x] = other
        self._narrow(x, self._bounds.get(y, ANYTHING), self._sizes.get(y, UNKNOWN), self._kinds.get(y, Kind.LEAF))
        self.merged[x] = self.merged.get(x, frozenset()) | self.merged.get(y, frozenset()) | reasons
        self.version += 1
        return True

    def rebuild(self) -> None:
        """Restores congruence, and updates the analysis data of every class."""
        while True:
            before = self.version
            old, self._index, self.classes = self._index, {}, {}
            for (function, operands), owner in old.items():
                found = [self.find(operand) for operand in operands]
                node, root = (function, self._ordered(function, found)), self.find(owner)
                if node != (function, operands):
                    self.reasons[node] = self.reasons.get(node, frozenset()) | self.reasons.get(
                        (function, operands), frozenset()
                    )
                known = self._index.setdefault(node, root)
                if self.find(known) != root:
                    self.union(known, root)
                folded = self._fold(function, found) if operands else None
                if folded is not None and self._constants.get(self.find(root)) is None:
                    self.union(self.constant(folded), root)
                self._learn(self.find(root), node)
            if self.version == before:
                break
        self._by_function = {}
        for node, number in self._index.items():
            owner = self.find(number)
            if owner not in node[1]:  # a form that contains its own value, such as x + 0, is useless
                self.classes.setdefault(owner, []).append(node)
        for owner, nodes in self.classes.items():
            if owner in self._constants:
                self._keep_constant(owner, nodes)
            for node in self.classes[owner]:
                self._by_function.setdefault(node[0], []).append((owner, node))

    def calls(self, function: str) -> list[tuple[int, Node]]:
        """Every call of a function with its class, as of the last ``rebuild``."""
        return self._by_function.get(function, [])

    def matches(self, pattern: Call, node: Node, binding: Binding) -> Iterator[tuple[Binding, tuple[Node, ...]]]:
        """All matches of a pattern at a node.

        Args:
            pattern: the pattern.
            node: a node as of the last ``rebuild``.
            binding: classes of names that are already bound.

        Yields:
            The class of each name, and the visited nodes.
        """
        function, operands = node
        if function != pattern.function or len(operands) != len(pattern.operands):
            return
        yield from self._match_all(pattern.operands, operands, binding, (node,))
        if function in _COMMUTATIVE and operands[0] != operands[1] and pattern.operands[0] != pattern.operands[1]:
            yield from self._match_all(pattern.operands, operands[::-1], binding, (node,))

    def instantiate(self, pattern: Pattern, binding: Binding, reasons: frozenset[str] = frozenset()) -> int:
        """Adds an instance of a pattern; returns its class."""
        if isinstance(pattern, Name):
            return self.find(binding[pattern.name])
        if isinstance(pattern, Call):
            if pattern.function in SPECIAL:
                return self.constant(_rounded(self._value(pattern, binding)))
            operands = [self.instantiate(operand, binding, reasons) for operand in pattern.operands]
            return self.add(pattern.function, operands, reasons)
        return self.constant(pattern)

    def in_range(self, pattern: Pattern, binding: Binding) -> bool:
        """True if all constant calls that only rules use have, in this pattern, values within range."""
        if not isinstance(pattern, Call):
            return True
        if pattern.function in SPECIAL:
            return _combined(self._value(pattern, binding))
        return all(self.in_range(operand, binding) for operand in pattern.operands)

    def _value(self, pattern: Call, binding: Binding) -> float:
        constants = {name: self._constants[self.find(binding[name])] for name in computed(pattern) or ()}
        with np.errstate(all="ignore"):
            return float(evaluate(pattern, constants))

    def _match_all(
        self, patterns: tuple[Pattern, ...], operands: tuple[int, ...], binding: Binding, seen: tuple[Node, ...]
    ) -> Iterator[tuple[Binding, tuple[Node, ...]]]:
        if not patterns:
            yield binding, seen
            return
        pattern, operand = patterns[0], operands[0]
        if isinstance(pattern, Name):
            known = binding.get(pattern.name)
            if known is None:
                if pattern.constant and operand not in self._constants:
                    return
                binding = {**binding, pattern.name: operand}
            elif known != operand:
                return
            yield from self._match_all(patterns[1:], operands[1:], binding, seen)
        elif isinstance(pattern, Call):
            known_names = computed(pattern)
            if known_names is not None:
                if known_names <= binding.keys() and self.instantiate(pattern, binding) == operand:
                    yield from self._match_all(patterns[1:], operands[1:], binding, seen)
                return
            for node in self.classes.get(operand, ()):
                if node[0] == pattern.function:
                    for inner, more in self.matches(pattern, node, binding):
                        yield from self._match_all(patterns[1:], operands[1:], inner, seen + more)
        elif self._constants.get(operand) == pattern:
            yield from self._match_all(patterns[1:], operands[1:], binding, seen)

    def _node(self, node: Node) -> int:
        known = self._index.get(node)
        if known is not None:
            return self.find(known)
        made = len(self._up)
        self._up.append(made)
        self._index[node] = made
        self.size += 1
        self.version += 1
        return made

    def _interned(self, value: float) -> float:
        if value == 0.0:
            return 0.0  # normalises -0.0
        place = round(math.log(abs(value)) / CLOSE)
        for near in (place, place - 1, place + 1):
            for known in self._known.get(near, ()):
                if abs(known - value) <= HALF_ULP * abs(value) or abs(known - value) <= CLOSE * min(
                    abs(value), abs(1.0 - value)
                ):
                    return known
        self._known.setdefault(place, []).append(value)
        return value

    def _ordered(self, function: str, operands: list[int]) -> tuple[int, ...]:
        return tuple(sorted(operands)) if function in _COMMUTATIVE else tuple(operands)

    def _fold(self, name: str, operands: Sequence[int]) -> float | None:
        function = FUNCTIONS.get(name)
        if function is None or function.scope is not Scope.ELEMENT:
            return None
        constants = [self._constants.get(operand) for operand in operands]
        if None in constants:
            return None
        with np.errstate(all="ignore"):
            value, above, below = (
                float(function.reference(*(np.float64(constant) * moved for constant in constants)))
                for moved in (1.0, 1.0 + HALF_ULP, 1.0 - HALF_ULP)
            )
        if not _combined(value) or max(abs(above - value), abs(below - value)) > KEPT * abs(value):
            return None
        return value if function.arity == 0 else _rounded(value)

    def _learn(self, owner: int, node: Node) -> None:
        function, operands = node
        if function in FUNCTIONS:
            bounds, sizes = (
                [self.bounds(operand) for operand in operands],
                [self.magnitudes(operand) for operand in operands],
            )
            kind = result_kind(FUNCTIONS[function], [self.kind(operand) for operand in operands])
            self._narrow(owner, bounds_of(function, bounds), size_of(function, sizes, bounds), kind)

    def _narrow(self, owner: int, bounds: Bounds, size: Size, kind: Kind) -> None:
        self._kinds[owner] = KINDS[self._kinds.get(owner, Kind.LEAF) & kind]
        low, high = self._bounds.get(owner, ANYTHING)
        if bounds[0] > low or bounds[1] < high:
            narrowed = max(low, bounds[0]), min(high, bounds[1])
            if narrowed[0] <= narrowed[1]:  # otherwise they differ by rounding
                self._bounds[owner] = narrowed
        least, largest = self._sizes.get(owner, UNKNOWN)
        if size[0] > least or size[1] < largest:
            both = max(least, size[0]), min(largest, size[1])
            if both[0] <= both[1]:
                self._sizes[owner] = both

    def _keep_constant(self, owner: int, nodes: list[Node]) -> None:
        """Keeps one form of a constant besides the constant itself, for uses that need one number per parameter."""
        value = self._constants[owner]
        others = [node for node in nodes if node[1] and FUNCTIONS[node[0]].operands[0] != LEAVES]
        wide = [node for node in others if not all(self.find(o) in self._constants for o in node[1])]
        self.classes[owner] = [(f"#{value!r}", ()), *wide[:1]]


class Reading:
    """The domain of the walk that reads a program into an e-graph."""

    def __init__(self, graph: EGraph):
        self.graph = graph

    def constant(self, value: float) -> int:
        """The class of a constant."""
        return self.graph.constant(value)

    def apply(self, function: Function, operands: list[int]) -> int:
        """The class of a call."""
        return self.graph.add(function.name, operands)


def _combined(value: float) -> bool:
    """True if constants may be folded to this value."""
    return value == 0.0 or SMALLEST < abs(value) < LARGEST


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
