"""Algebraic rewriting: finds the cheapest program that is equal by the rules, and checks it by running both.

A program is read into an e-graph, ``saturate`` adds all equal forms, and ``extract`` selects the cheapest. State has
its own rules (``state_forms``), because they relate two steps: each proposes a substitution of the state variables, and
rewriting is repeated with it. The result is never longer than the pruned program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.program import INPUTS, OUTPUT, Program, ProgramError
from optsearch.dsl.verify import input_kinds, verify
from optsearch.dsl.walk import walk
from optsearch.simplify.rewriting.bounds import ANYTHING, state_bounds, state_variation
from optsearch.simplify.rewriting.egraph import ContradictionError, EGraph, Reading
from optsearch.simplify.rewriting.equivalence import same_updates
from optsearch.simplify.rewriting.extract import STATEMENT, Extracted, Need, constant_cost, extract, function_cost
from optsearch.simplify.rewriting.order import Graph, Value, graph_of, order, readable, write
from optsearch.simplify.rewriting.rules import RULES, Exactness, Rule
from optsearch.simplify.rewriting.saturate import SaturationLimits, saturate
from optsearch.simplify.rewriting.sizes import ASSUMED, state_sizes
from optsearch.simplify.rewriting.state_forms import Substitution, scaled_bounds, substitutions

STATE = 250.0
"""Cost of a state variable, which takes memory for every parameter."""

LIMITS = SaturationLimits()

TRIAL = SaturationLimits(rounds=6, nodes=1500)
"""Limits for a trial substitution of the state; a successful one is repeated with ``LIMITS``."""

NODES = 12_000
"""Total number of e-graph nodes after which no further substitution is tried."""


CLEARLY = 0.5
"""Minimum saving for which the state is substituted; smaller savings are a matter of style."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Result of rewriting.

    Attributes:
        program: the result: pruned, rewritten, ordered and named.
        rules: names of the rules used.
        exact: exactness of the result.
        complete: True if the rules were exhausted; otherwise a shorter form may exist.
        rejected: a form that is equal by the rules but failed the numerical check (overflow, underflow, or rounding
            that decides the original alone); ``program`` was then found with fewer rules. None if there is none.
    """

    program: Program
    rules: tuple[str, ...]
    exact: Exactness
    complete: bool
    rejected: Program | None = None

    @property
    def assumes(self) -> tuple[str, ...]:
        """Assumptions of the rules that have any, one phrase for each name of a rule."""
        found: dict[str, list[str]] = {}
        for rule in RULES:
            if rule.name in self.rules and rule.assumes:
                found.setdefault(rule.name, []).extend(rule.assumes)
        return tuple(f"{name}: {', '.join(dict.fromkeys(found[name]))}" for name in sorted(found))


@dataclass(frozen=True, slots=True)
class _Form:
    program: Program
    cost: float
    rules: frozenset[str]
    complete: bool
    nodes: int


def rewrite(program: Program, limits: SaturationLimits = LIMITS) -> Rewritten:
    """Rewrites a program.

    Args:
        program: a verified program.
        limits: limits of saturation.

    Returns:
        The shortest form found, never longer than the pruned program, with the same updates at all steps from zero
        state, up to ``exact``.
    """
    pruned = prune(program)
    short = order(_with_readable_constants(pruned))
    rejected: Program | None = None
    rules = RULES
    for suspect in (_lossy, _inexact, None):
        best = _simplest(short, limits, rules)
        if best is None or not _shorter(best.program, short):
            return Rewritten(short, (), Exactness.EXACT, best is not None and best.complete, rejected)
        if same_updates(pruned, best.program):
            exact = max((r.exact for r in RULES if r.name in best.rules), default=Exactness.ROUNDING)
            used = tuple(sorted(best.rules))
            return Rewritten(best.program, used, max(exact, Exactness.ROUNDING), best.complete, rejected)
        rejected, limits = rejected or best.program, TRIAL
        rules = tuple(r for r in rules if suspect and not (r.name in best.rules and suspect(r)))
    return Rewritten(short, (), Exactness.EXACT, complete=False, rejected=rejected)


def _lossy(rule: Rule) -> bool:
    """True if a rule is dropped first after a rejection: it rests on assumptions that float32 can contradict."""
    return bool(rule.assumes)


def _inexact(rule: Rule) -> bool:
    """True if a rule is dropped second."""
    return rule.exact is not Exactness.EXACT


def _simplest(program: Program, limits: SaturationLimits, allowed: Sequence[Rule]) -> _Form | None:
    """The cheapest form over all substitutions of the state that are tried."""
    best = _settled(program, limits, allowed)
    if best is None:
        return None
    tried: set[tuple[str, Substitution]] = set()
    nodes = best.nodes
    improved = True
    while improved:
        improved = False
        for substitution in substitutions(best.program):
            key = str(best.program), substitution
            if key in tried or nodes >= NODES:
                continue
            tried.add(key)
            other = _form(best.program, substitution, TRIAL, allowed)
            nodes += TRIAL.nodes if other is None else other.nodes
            if other is not None and other.cost < best.cost - CLEARLY:
                rules = best.rules | other.rules | {substitution.name}
                again = _settled(other.program, limits, allowed)
                if again is not None and again.cost <= other.cost:
                    other, rules = again, rules | again.rules
                best = replace(other, rules=rules, complete=other.complete and best.complete)
                improved = True
                break
    return best


def _settled(program: Program, limits: SaturationLimits, allowed: Sequence[Rule]) -> _Form | None:
    """The cheapest form without substitution of the state.

    If the limits are reached before the rules are exhausted, the result is rewritten again: it is shorter, so the rules
    get further.
    """
    best = _form(program, Substitution(), limits, allowed)
    nodes = 0 if best is None else best.nodes
    while best is not None and not best.complete and nodes < NODES:
        other = _form(best.program, Substitution(), limits, allowed)
        if other is None or other.cost >= best.cost - CLEARLY:
            return best if other is None else replace(best, complete=other.complete)
        nodes += other.nodes
        best = replace(other, rules=best.rules | other.rules, nodes=nodes)
    return best


def _form(
    program: Program, substitution: Substitution, limits: SaturationLimits, allowed: Sequence[Rule]
) -> _Form | None:
    """The cheapest form under one substitution of the state; None if there is none."""
    graph = EGraph()
    kinds = input_kinds(program)
    bounds, sizes = state_bounds(program), state_sizes(program)
    varies = kinds | state_variation(program)
    inputs = {name: graph.variable(name, ANYTHING, ASSUMED[name], varies[name]) for name in INPUTS}
    if substitution.target is not None and substitution.scales:
        bounds[substitution.target] = scaled_bounds(bounds[substitution.target], substitution.factor)
        least, largest = sizes[substitution.target]
        sizes[substitution.target] = least / abs(substitution.factor), largest / abs(substitution.factor)
    leaves = {name: graph.variable(name, bounds[name], sizes[name], varies[name]) for name in program.state}
    starts = dict(leaves)
    if substitution.target is not None:
        starts[substitution.target] = substitution.view(graph, leaves)
    values = walk(program, {**inputs, **starts}, Reading(graph))
    after = {name: values[name] for name in program.state}
    kept = substitution.stored(graph, after)
    claimed = None
    if substitution.target is not None and not substitution.scales:
        claimed = after[substitution.target], substitution.view(graph, after)
    try:
        complete = saturate(graph, limits, allowed)
    except ContradictionError:
        return None
    if claimed is not None and graph.find(claimed[0]) != graph.find(claimed[1]):
        return None  # the substitution is not proven to be invariant
    roots = [(values[OUTPUT], Need.LEAF), *((value, Need.LEAF) for value in kept.values())]
    found = extract(graph, roots, kinds)
    if found is None:
        return None
    written = prune(write(_graph(tuple(kept), found)))
    written = order(written)
    try:
        verify(written)
    except ProgramError:
        return None
    rules = frozenset[str]()
    for key, (node, _) in found.choices.items():
        rules |= graph.reasons.get(node, frozenset()) | graph.merged.get(graph.find(key[0]), frozenset())
    cost = found.cost + STATE * len(written.state) + STATEMENT * (len(written.body) - _calls(found))
    return _Form(written, cost, rules, complete, graph.size)


def _graph(state: tuple[str, ...], found: Extracted) -> Graph:
    """Converts the extracted selection to calls in order."""
    numbers: dict[object, Value] = {}
    calls: list[tuple[str, tuple[Value, ...]]] = []

    def value(key: tuple[int, Need]) -> Value:
        if key not in numbers:
            (name, _), operands = found.choices[key]
            if name[0] == "$":
                numbers[key] = name[1:]
            elif name[0] == "#":
                numbers[key] = float(name[1:])
            else:
                below = tuple(value(operand) for operand in operands)
                numbers[key] = len(calls)
                calls.append((name, below))
        return numbers[key]

    outputs = tuple(value(root) for root in found.roots)
    return Graph(state, tuple(calls), outputs)


def _calls(found: Extracted) -> int:
    return sum(name in FUNCTIONS for (name, _), _ in found.choices.values())


def _with_readable_constants(program: Program) -> Program:
    """The same program in float32, with the shortest decimal constants."""
    body = tuple(s._replace(args=tuple(a if isinstance(a, str) else readable(a) for a in s.args)) for s in program.body)
    return Program(program.state, body)


def _shorter(one: Program, other: Program) -> bool:
    """True if a program is preferred: fewer statements with no more state, or equally many and cheaper ones."""
    if len(one.body) > len(other.body) or len(one.state) > len(other.state):
        return False
    return (len(one.body), len(one.state), weight(one)) < (len(other.body), len(other.state), weight(other))


def weight(program: Program) -> float:
    """Cost of functions and constants; breaks ties among equally long programs."""
    graph = graph_of(program)
    constants = [o for _, operands in graph.calls for o in operands if isinstance(o, float)]
    return sum(function_cost(name) for name, _ in graph.calls) + sum(map(constant_cost, constants))
