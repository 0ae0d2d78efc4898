"""Laws of the e-graph: equal values share a class, independent of order, and analysis data propagate."""

from __future__ import annotations

import pytest

from optsearch.dsl.types import Kind
from optsearch.simplify.rewriting.egraph import ContradictionError, EGraph
from optsearch.simplify.rewriting.patterns import Call, pattern
from optsearch.simplify.rewriting.rules import RULES, Exactness, Rule
from optsearch.simplify.rewriting.saturate import SaturationLimits, saturate


def test_equal_operands_make_equal_calls() -> None:
    graph = EGraph()
    x, y = graph.variable("x"), graph.variable("y")
    one, other = graph.add("tanh", [x]), graph.add("tanh", [y])
    assert graph.find(one) != graph.find(other)
    graph.union(x, y)
    graph.rebuild()
    assert graph.find(one) == graph.find(other)


def test_commutative_operands_have_no_order() -> None:
    graph = EGraph()
    x, y = graph.variable("x"), graph.variable("y")
    assert graph.add("add", [x, y]) == graph.add("add", [y, x])
    assert graph.add("subtract", [x, y]) != graph.add("subtract", [y, x])


def test_constants_fold_and_close_ones_are_one() -> None:
    graph = EGraph()
    third = graph.add("multiply", [graph.constant(0.1), graph.constant(3.0)])
    assert graph.constant_of(third) == 0.3
    assert graph.constant(0.3 * (1.0 + 1e-9)) == third
    assert graph.constant(1.0 - 1e-7) != graph.constant(1.0)


def test_a_call_of_constants_that_rounding_decides_is_no_constant() -> None:
    graph = EGraph()
    assert graph.constant_of(graph.add("sin", [graph.add("pi", [])])) is None
    assert graph.constant_of(graph.add("cos", [graph.add("pi", [])])) == -1.0


def test_different_constants_contradict() -> None:
    graph = EGraph()
    with pytest.raises(ContradictionError, match=r"1\.0 = 2\.0"):
        graph.union(graph.constant(1.0), graph.constant(2.0))


def test_a_wrong_rule_is_found_out() -> None:
    graph = EGraph()
    graph.add("add", [graph.variable("x"), graph.constant(1.0)])
    wrong = (Rule("x is 1", "x + 1", "1", Exactness.EXACT), Rule("x is 2", "x + 1", "2", Exactness.EXACT))
    with pytest.raises(ContradictionError):
        saturate(graph, SaturationLimits(), wrong)


def test_bounds_follow_from_operands() -> None:
    graph = EGraph()
    x = graph.variable("x")
    assert graph.bounds(graph.add("tanh", [x])) == (-1.0, 1.0)
    assert graph.bounds(graph.add("abs", [x]))[0] == 0.0
    assert graph.bounds(graph.add("clip", [x, graph.constant(0.5)])) == (-0.5, 0.5)


def test_the_kind_of_a_class_is_the_smallest_of_its_forms() -> None:
    graph = EGraph()
    x = graph.variable("x")
    rows, columns = graph.add("row_norm", [x]), graph.add("column_norm", [x])
    product = graph.add("multiply", [rows, graph.add("exp", [graph.variable("lr", kind=Kind.SCALAR)])])
    assert [graph.kind(o) for o in (x, rows, columns, product)] == [
        Kind.LEAF,
        Kind.PER_ROW,
        Kind.PER_COLUMN,
        Kind.PER_ROW,
    ]
    graph.union(rows, columns)
    graph.rebuild()
    assert graph.kind(rows) is graph.kind(product) is Kind.PER_LEAF
    assert graph.kind(graph.constant(2.0)) is Kind.SCALAR


def test_matching_tries_both_orders() -> None:
    graph = EGraph()
    x, y = graph.variable("x"), graph.variable("y")
    graph.add("add", [x, graph.add("multiply", [y, graph.constant(3.0)])])
    graph.rebuild()
    form = pattern("p + a * q")
    assert isinstance(form, Call)
    found = [binding for _, node in graph.calls("add") for binding, _ in graph.matches(form, node, {})]
    assert [(b["p"], b["q"]) for b in found] == [(x, y)]


def test_the_order_of_rules_does_not_matter() -> None:
    def nodes(rules: tuple[Rule, ...]) -> bool:
        graph = EGraph()
        x, y = graph.variable("x"), graph.variable("y")
        left = graph.add("multiply", [graph.add("add", [x, y]), x])
        right = graph.add("add", [graph.add("square", [x]), graph.add("multiply", [y, x])])
        assert saturate(graph, SaturationLimits(), rules)
        return graph.find(left) == graph.find(right)

    assert nodes(RULES)
    assert nodes(RULES[::-1])


def test_limits_stop_saturation() -> None:
    graph = EGraph()
    value = graph.variable("x0")
    for number in range(1, 9):
        value = graph.add("add", [value, graph.variable(f"x{number}")])
    assert not saturate(graph, SaturationLimits(rounds=10, nodes=200))
    assert graph.size < 1000
