"""Equality saturation: applies all rules until nothing new is found or a limit is reached.

Limits count rounds and nodes, never seconds, so that the result is the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from optsearch.dsl.types import Kind
from optsearch.simplify.rewriting.bounds import Bounds, within
from optsearch.simplify.rewriting.egraph import Binding, EGraph, Node
from optsearch.simplify.rewriting.patterns import Call, Pattern, pattern
from optsearch.simplify.rewriting.rules import RULES, Rule
from optsearch.simplify.rewriting.sizes import HUGE, Size

FEW, MANY = 300, 4000
"""Maximum number of applications of one rule per round, and of candidate nodes; then the next rule runs."""

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SaturationLimits:
    """Limits of saturation.

    Attributes:
        rounds: number of rounds of applying every rule.
        nodes: number of nodes beyond which no rule is applied.
    """

    rounds: int = 10
    nodes: int = 2500


def saturate(graph: EGraph, limits: SaturationLimits, rules: Sequence[Rule] = RULES) -> bool:
    """Applies rules in rounds; all forms found in a round are added before the next round matches.

    Args:
        graph: the e-graph; modified in place.
        limits: when to stop.
        rules: rules to apply.

    Returns:
        True if the rules are exhausted.

    Raises:
        ContradictionError: two different constants were proven equal.
    """
    graph.rebuild()
    parts = [_Prepared.of(rule) for rule in rules]
    applied: set[tuple[int, int, tuple[int, ...]]] = set()
    for _ in range(limits.rounds):
        version, complete = graph.version, True
        for simplifying in (True, False):
            found: list[tuple[int, int, Binding, tuple[Node, ...]]] = []
            for number, part in enumerate(parts):
                rule, form = part.rule, part.form
                if rule.simplifies is not simplifying:
                    continue
                uses = tries = 0
                for owner, node in graph.calls(form.function):
                    for binding, seen in graph.matches(form, node, {}):
                        tries += 1
                        key = number, graph.find(owner), tuple(binding.values())
                        if key in applied or not part.holds(graph, binding):
                            continue
                        if rule.unless and any(rule.unless & graph.reasons.get(n, _NOTHING) for n in seen):
                            continue
                        applied.add(key)
                        found.append((number, owner, binding, seen))
                        uses += 1
                    if uses >= FEW or tries >= MANY:
                        complete = False
                        break
            for number, owner, binding, seen in found:
                if graph.size > limits.nodes * (2 if simplifying else 1):
                    complete = False
                    break
                part = parts[number]
                reasons = part.name.union(*[graph.reasons.get(node, _NOTHING) for node in seen])
                graph.union(graph.instantiate(part.result, binding, reasons), owner, reasons)
            graph.rebuild()
        if graph.version == version:
            return complete
        if graph.size > limits.nodes:
            return False
    return False


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A rule with its patterns parsed."""

    rule: Rule
    form: Call
    result: Pattern
    name: frozenset[str]
    where: tuple[tuple[Pattern, Bounds], ...]
    sizes: tuple[tuple[Pattern, Size], ...]
    kinds: tuple[tuple[str, Kind], ...]
    lost: tuple[str, ...]

    @staticmethod
    @cache
    def of(rule: Rule) -> _Prepared:
        """Parses a rule, with caching."""
        where = tuple((pattern(text), bounds) for text, bounds in rule.where)
        sizes = tuple((pattern(text), size) for text, size in rule.sizes)
        lost = tuple(sorted(rule.lost))
        return _Prepared(rule, rule.form, rule.result, frozenset({rule.name}), where, sizes, rule.kinds, lost)

    def holds(self, graph: EGraph, binding: Binding) -> bool:
        """True if the values lie in the rule's domain, and eliminated values are finite.

        An unknown size does not block a rule: the assumption is recorded, and the result is checked numerically.
        """
        if any(graph.kind(binding[name]) & ~kind for name, kind in self.kinds):
            return False
        for value, bounds in self.where:
            if not graph.in_range(value, binding) or not within(
                graph.bounds(graph.instantiate(value, binding)), bounds
            ):
                return False
        if not graph.in_range(self.result, binding):
            return False
        for value, (least, largest) in self.sizes:
            size = graph.magnitudes(graph.instantiate(value, binding))
            if 0.0 < size[0] < least or largest < size[1] < math.inf:
                return False
        return all(graph.magnitudes(binding[name])[1] <= HUGE for name in self.lost)
