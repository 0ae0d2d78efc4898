"""Every rewrite rule holds on its stated domain."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

from optsearch.dsl.functions import FUNCTIONS, GUARD, Scope
from optsearch.dsl.types import Kind
from optsearch.simplify.rewriting.patterns import SPECIAL, Call, Name, evaluate, names, pattern
from optsearch.simplify.rewriting.rules import IN_PROPORTION, RULES, Exactness, Rule, lawful_rules

WIDEST = 1e3
SHAPES = ((2, 3), (3,), (3, 2))
"""Shapes of the arrays of a tree, for rules with functions of arrays."""

ALL = (*RULES, *IN_PROPORTION)
IDS = [f"{number}-{rule.name}" for number, rule in enumerate(ALL)]


def domain(rule: Rule, name: Name) -> st.SearchStrategy[float]:
    """Numbers of the rule's domain: ordinary ones, exact zeros, and, for constants, no zero."""
    low, high = dict(rule.where).get(name.name, (-math.inf, math.inf))
    low, high = max(low, -WIDEST), min(high, WIDEST)
    tiny = st.sampled_from([value for value in (0.0, 1.0, -1.0, 1e-3) if low <= value <= high] or [low])
    numbers = st.floats(low, high, allow_subnormal=False).map(
        lambda x: x if abs(x) > 1e-3 else max(low, min(high, 0.0))
    )
    if name.constant:
        return numbers.filter(lambda x: abs(x) > 1e-3)
    return tiny | numbers


def functions(form: object) -> set[str]:
    return {form.function} | {f for o in form.operands for f in functions(o)} if isinstance(form, Call) else set()


every_rule = pytest.mark.parametrize("rule", ALL, ids=IDS)


@every_rule
@settings(max_examples=8)
@given(data=st.data())
def test_rule_holds_on_its_domain(rule: Rule, data: st.DataObject) -> None:
    holds(rule, data)


@pytest.mark.slow
@every_rule
@settings(max_examples=100)
@given(data=st.data())
def test_rule_holds_on_its_domain_at_many_points(rule: Rule, data: st.DataObject) -> None:
    holds(rule, data)


def holds(rule: Rule, data: st.DataObject) -> None:
    needed = {name.name: name for name in names(rule.form)}
    trees = any(FUNCTIONS[f].scope is not Scope.ELEMENT for f in functions(rule.form) if f in FUNCTIONS)
    values: dict[str, object] = {}
    for text, name in needed.items():
        kind = dict(rule.kinds).get(text, Kind.LEAF)
        if trees and not name.constant and kind and not (rule.left.startswith("clip_by") and text == "y"):
            drawn = [[data.draw(domain(rule, name)) for _ in range(math.prod(s))] for s in kind.shapes(SHAPES)]
            values[text] = [np.reshape(x, s) for x, s in zip(drawn, kind.shapes(SHAPES), strict=True)]
        else:
            values[text] = np.float64(data.draw(domain(rule, name)))
    with np.errstate(all="ignore"):
        for text, (low, high) in rule.where:
            if not isinstance(pattern(text), Name):
                assume(low <= evaluate(pattern(text), values) <= high)
        left, right = (on_trees(side, values) if trees else evaluate(side, values) for side in (rule.form, rule.result))
        assume(np.isfinite(flat(left)).all())
        slack = 0.0 if rule.exact is Exactness.EXACT else 1e-9 * scale(rule.form, values)
        if rule.exact is Exactness.GUARD:
            slack += guard_effect(rule, values)
    wide = np.broadcast_to(flat(right), flat(left).shape)
    np.testing.assert_allclose(flat(left), wide, rtol=1e-6 if slack else 1e-15, atol=slack)


def on_trees(form: object, values: dict[str, object]) -> object:
    """The value of a pattern whose names stand for lists of arrays."""
    from optsearch.dsl.execute import apply_on_tree

    if isinstance(form, Name):
        return values[form.name]
    if isinstance(form, Call):
        if form.function in SPECIAL:
            return evaluate(form, values)
        function = FUNCTIONS[form.function]
        return apply_on_tree(function.reference, function.scope, [on_trees(o, values) for o in form.operands])
    return np.float64(form)


def flat(value: object) -> np.ndarray:
    return np.concatenate([np.ravel(x) for x in value]) if isinstance(value, list) else np.ravel(value)


def scale(form: object, values: dict[str, object]) -> float:
    """Size of the largest intermediate value, against which rounding is measured."""
    largest = 1.0
    if isinstance(form, Call):
        value = flat(on_trees(form, values))
        largest = max([largest, *np.abs(value[np.isfinite(value)]).tolist()])
        largest = max([largest, *(scale(operand, values) for operand in form.operands)])
    return largest


def guard_effect(rule: Rule, values: dict[str, object]) -> float:
    """What moving the guard of the rule's divisors by a few times itself can change."""
    left = rule.form
    assert left.function == "divide"
    numerator, divisor = (evaluate(operand, values) for operand in left.operands)
    assume(numerator == 0.0 or abs(divisor) > 1e-4)
    return float(abs(numerator) * 100.0 * GUARD / (abs(divisor) + GUARD) ** 2)


def test_rules_are_rows_with_distinct_forms() -> None:
    rows = [(rule.left, rule.right, rule.where) for rule in ALL]
    assert len(set(rows)) == len(rows)


def test_rules_read_the_laws() -> None:
    lawful = {rule.name for rule in lawful_rules()}
    for function in FUNCTIONS.values():
        if function.laws.associative:
            assert f"{function.name} is associative" in lawful
        if function.laws.cancels is not None:
            assert f"{function.name} of equals" in lawful
        if function.laws.identity is not None:
            assert f"identity of {function.name}" in lawful


def test_results_use_no_name_that_the_form_lacks() -> None:
    for rule in ALL:
        given = {name.name for name in names(rule.form)}
        assert {name.name for name in names(rule.result)} <= given
        assert {text for text, _ in rule.kinds} <= given
        for text, _ in rule.where:
            assert {name.name for name in names(pattern(text))} <= given


def test_patterns_that_are_not_of_the_language_are_refused() -> None:
    for text in ("f(x)", "x ** 2", "x[0]", "'x'"):
        with pytest.raises(ValueError, match="no pattern"):
            pattern(text)
