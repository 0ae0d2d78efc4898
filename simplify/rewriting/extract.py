"""Extraction of the cheapest program from an e-graph.

Every selected call becomes one statement, however often its value is used, so the cost is that of a DAG, not of a tree.
Exact minimisation is hard. A greedy bottom-up selection, which accounts for shared calls, is improved by local search
that changes one selection at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from optsearch.dsl.functions import ANY, FUNCTIONS
from optsearch.dsl.program import LR, G, W
from optsearch.dsl.rows import Operation
from optsearch.dsl.types import KINDS, Kind
from optsearch.dsl.verify import result_kind
from optsearch.simplify.rewriting.egraph import EGraph, Node

STATEMENT = 100.0
"""Cost of a statement; all other costs only choose among forms with equally many statements."""

_FAMILIAR = frozenset({"add", "subtract", "multiply", "divide", "interp", "sign", "square", "sqrt", "abs"})


class Need(IntEnum):
    """The kind required of a value where it is used: any, a scalar, or one with at least these bits of `Kind`."""

    ANY = 0
    ROWS = Kind.PER_ROW
    COLUMNS = Kind.PER_COLUMN
    LEAF = Kind.LEAF
    SCALAR = 8


Key = tuple[int, Need]
"""A class and the required kind."""

Choice = tuple[Node, tuple[Key, ...]]
"""A node of the class, with the requirements of its operands."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """A program as a DAG of selected nodes.

    Attributes:
        roots: key of each requested value.
        choices: the selected node for each key below the roots.
        cost: total cost.
    """

    roots: tuple[Key, ...]
    choices: Mapping[Key, Choice]
    cost: float


def function_cost(name: str) -> float:
    """Cost of a function by its familiarity and runtime; a small fraction of a statement's cost."""
    function = FUNCTIONS[name]
    cost = 1.0 + function.cost / 4.0 + (0.0 if name in _FAMILIAR else 2.0)
    if name == "interp":
        cost += 0.5
    return cost + (5.0 if function.operation is Operation.REDUCTION else 0.0)


def constant_cost(value: float) -> float:
    """Cost of a constant by its number of digits, up to four."""
    text = f"{np.float32(value)!s}".strip("-0.").split("e")[0].replace(".", "")
    return 0.3 + 0.05 * min(len(text), 4) + (0.2 if value < 0.0 else 0.0)


class _Extraction:
    def __init__(self, graph: EGraph, kinds: Mapping[str, Kind]):
        self.graph = graph
        self.kinds = _kinds(graph, kinds)
        self.narrow = any(set(both) & {Kind.PER_ROW, Kind.PER_COLUMN} for both in self.kinds.values())
        self.late = _always(graph, LR)
        self.state = {o for n in set(kinds) - {W, G, LR} for o, ns in graph.classes.items() if (f"${n}", ()) in ns}
        self.decay = _multiples(graph, W)
        self.inputs = {f"${name}": kind for name, kind in kinds.items()}
        self.number: dict[Key, int] = {}
        self.keys: list[Key] = []
        self.options: list[list[tuple[float, Choice, tuple[int, ...]]]] = []

    def key(self, owner: int, need: Need) -> int:
        """Index of a key; a requirement that every form meets is dropped."""
        low, high = self.kinds.get(owner, (Kind.SCALAR, Kind.LEAF))
        if _meets(high if need is Need.SCALAR else low, need):
            need = Need.ANY
        key = owner, need
        if key not in self.number:
            self.number[key] = len(self.keys)
            self.keys.append(key)
            self.options.append([])
        return self.number[key]

    def explore(self, roots: Sequence[tuple[int, Need]]) -> list[int]:
        """Enumerates every key reachable from the roots, with its options."""
        wanted = [self.key(self.graph.find(owner), need) for owner, need in roots]
        done = 0
        while done < len(self.keys):
            owner, need = self.keys[done]
            for node in self.graph.classes.get(owner, ()):
                self.options[done] += self._options(node, need)
            done += 1
        return wanted

    def _options(self, node: Node, need: Need) -> list[tuple[float, Choice, tuple[int, ...]]]:
        name, operands = node
        if not operands and name[0] in "$#":
            fits = _meets(self.inputs.get(name, Kind.SCALAR), need)
            cost = constant_cost(float(name[1:])) if name[0] == "#" else 0.0
            return [(cost, (node, ()), ())] if fits else []
        function = FUNCTIONS[name]
        asked = [_need(accepted) for accepted in function.operands]
        if function.result is not None or need is Need.ANY:
            if function.result is not None and not _meets(function.result, need):
                return []
            wishes = [asked]
        elif function.removes:
            if need is Need.SCALAR or need & function.removes:
                return []
            wishes = [[Need(asked[0] | need)]]
        elif need is Need.SCALAR:
            wishes = [[Need.SCALAR] * len(operands)]
        else:
            wishes = [[*asked[:i], need, *asked[i + 1 :]] for i in range(len(operands))]
            if need is Need.LEAF and self.narrow:  # a value per row with one per column
                sides = (Need.ROWS, Need.COLUMNS)
                wishes += [[*pair, *asked[2:]] for pair in (sides, sides[::-1]) if len(operands) > 1]
        result: list[tuple[float, Choice, tuple[int, ...]]] = []
        for wish in wishes:
            numbers = tuple(self.key(self.graph.find(o), n) for o, n in zip(operands, wish, strict=True))
            keys = tuple(self.keys[number] for number in numbers)
            cost = STATEMENT + function_cost(name) + self._style(name, operands)
            cost += 0.05 if self.graph.reasons.get(node) else 0.0  # among equal forms, prefer the original
            result.append((cost, (node, keys), numbers))
        return result

    def _style(self, name: str, operands: tuple[int, ...]) -> float:
        """Stylistic cost that ranks equally short forms by convention."""
        below = [self.graph.find(operand) for operand in operands]
        cost = 0.5 if any(self.kinds.get(o, (Kind.LEAF,))[0] is Kind.LEAF for o in below) else 0.0
        if self.late.intersection(below):
            cost += 0.1  # the learning rate comes last
        if len(below) == 2 and below[0] == below[1]:
            cost += 0.6  # prefer square(x) to x * x, and x * 2 to x + x
        if name == "interp":
            weight = self.graph.constant_of(below[2])
            memory = [o in self.state for o in below[:2]]
            if memory == [True, False] or (memory[0] == memory[1] and weight is not None and weight < 0.5):
                cost += 1.0  # an EMA is written with its old value
            if weight is not None and not 0.0 <= weight <= 1.0:
                cost += 1.5 * STATEMENT  # an EMA interpolates between its operands; others are sums of multiples
            if self.decay.intersection(below[:2]):
                cost += 1.5 * STATEMENT  # weight decay stays a separate term
        return cost

    def greedy(self, free: frozenset[int] = frozenset()) -> list[int | None]:
        """The best option of each key by the cost of its closure; keys in ``free`` cost nothing."""
        count = len(self.keys)
        best: list[int | None] = [None] * count
        sets: list[dict[int, float]] = [{}] * count
        costs = [float("inf")] * count
        users: list[list[int]] = [[] for _ in range(count)]
        for number, options in enumerate(self.options):
            for _, _, operands in options:
                for operand in operands:
                    users[operand].append(number)
        pending, queued = list(range(count)), [True] * count
        turns = 0
        while pending and turns < 30 * count + 1000:
            turns += 1
            number = pending.pop(0)
            queued[number] = False
            for index, (own, _, operands) in enumerate(self.options[number]):
                if any(best[operand] is None or number in sets[operand] for operand in operands):
                    continue
                merged: dict[int, float] = {}
                for operand in operands:
                    merged.update(sets[operand])
                merged[number] = 0.0 if number in free else own
                cost = sum(merged.values())
                if cost < costs[number] - 1e-9:
                    best[number], sets[number], costs[number] = index, merged, cost
                    for user in users[number]:
                        if not queued[user]:
                            queued[user] = True
                            pending.append(user)
        return best

    def cost(self, roots: Sequence[int], best: Sequence[int | None]) -> tuple[float, dict[int, int]]:
        """Cost of all calls below the roots, and their options; infinity if a key has no form or is cyclic."""
        chosen: dict[int, int] = {}
        state: dict[int, int] = {}
        total = 0.0
        stack = [(root, False) for root in reversed(roots)]
        while stack:
            number, leaving = stack.pop()
            if leaving:
                state[number] = 2
                continue
            if state.get(number) == 2:
                continue
            index = best[number]
            if index is None or state.get(number) == 1:
                return float("inf"), {}
            state[number] = 1
            own, _, operands = self.options[number][index]
            total += own
            chosen[number] = index
            stack.append((number, True))
            for operand in operands:
                if state.get(operand) == 1:
                    return float("inf"), {}
                if state.get(operand) is None:
                    stack.append((operand, False))
        return total, chosen

    def improve(self, roots: Sequence[int], best: list[int | None]) -> tuple[float, dict[int, int]]:
        """Local search: changes one choice at a time while the cost decreases."""
        cost, chosen = self.cost(roots, best)
        changed = True
        while changed:
            changed = False
            for number in list(chosen):
                if number not in chosen:
                    continue
                kept = best[number]
                for index in range(len(self.options[number])):
                    if index == best[number]:
                        continue
                    before, best[number] = best[number], index
                    other, uses = self.cost(roots, best)
                    if other < cost - 1e-9:
                        cost, chosen, kept, changed = other, uses, index, True
                    else:
                        best[number] = before
                best[number] = kept
        return cost, chosen


def extract(graph: EGraph, roots: Sequence[tuple[int, Need]], kinds: Mapping[str, Kind]) -> Extracted | None:
    """Extracts the jointly cheapest forms of the roots.

    Args:
        graph: a rebuilt e-graph.
        roots: classes and required kinds.
        kinds: kind of every variable.

    Returns:
        The selection; None if a root has no form of the required kind.
    """
    extraction = _Extraction(graph, kinds)
    wanted = extraction.explore(roots)
    best = extraction.greedy()
    cost, chosen = extraction.improve(wanted, best)
    for _ in range(3):  # repeated with calls in use at no cost, which finds calls that can be shared
        other = extraction.greedy(frozenset(chosen))
        again, uses = extraction.improve(wanted, other)
        if again >= cost - 1e-9:
            break
        cost, chosen = again, uses
    if cost == float("inf"):
        return None
    keys = extraction.keys
    choices = {keys[number]: extraction.options[number][index][1] for number, index in chosen.items()}
    return Extracted(tuple(keys[number] for number in wanted), choices, cost)


def _need(accepted: frozenset[Kind]) -> Need:
    if accepted == ANY:
        return Need.ANY
    bits = Kind.LEAF
    for kind in accepted:
        bits = KINDS[bits & kind]
    return Need(bits) if bits else Need.SCALAR


def _meets(kind: Kind, need: Need) -> bool:
    return kind is Kind.SCALAR if need is Need.SCALAR else kind & need == need


def _kinds(graph: EGraph, inputs: Mapping[str, Kind]) -> dict[int, tuple[Kind, Kind]]:
    """Smallest and largest kind of each class over its forms."""
    low: dict[int, Kind] = {}
    high: dict[int, Kind] = {}
    changed = True
    while changed:
        changed = False
        for owner, nodes in graph.classes.items():
            for name, operands in nodes:
                below = [graph.find(operand) for operand in operands]
                if name[0] in "$#":
                    least = most = inputs.get(name[1:], Kind.SCALAR)
                else:
                    if any(operand not in low for operand in below):
                        continue
                    function = FUNCTIONS[name]
                    least = result_kind(function, [low[operand] for operand in below])
                    most = result_kind(function, [high[operand] for operand in below])
                least = KINDS[low.get(owner, least) & least]
                most = KINDS[high.get(owner, most) | most]
                if (low.get(owner), high.get(owner)) != (least, most):
                    low[owner], high[owner] = least, most
                    changed = True
    return {owner: (low[owner], high[owner]) for owner in low}


def _always(graph: EGraph, variable: str) -> set[int]:
    """Classes of which all forms use a variable."""
    without: set[int] = set()
    changed = True
    while changed:
        changed = False
        for owner, nodes in graph.classes.items():
            if owner not in without and any(
                name != f"${variable}" and all(graph.find(operand) in without for operand in operands)
                for name, operands in nodes
            ):
                without.add(owner)
                changed = True
    return set(graph.classes) - without


def _multiples(graph: EGraph, variable: str) -> set[int]:
    """Classes of a variable and of its constant multiples."""
    found = {owner for owner, nodes in graph.classes.items() if (f"${variable}", ()) in nodes}
    for owner, node in graph.calls("multiply"):
        operands = {graph.find(operand) for operand in node[1]}
        if operands & found and any(graph.constant_of(operand) is not None for operand in operands):
            found.add(owner)
    return found
