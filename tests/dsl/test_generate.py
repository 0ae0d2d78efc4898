"""Random parts of programs are valid, and uniform over the permitted choices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable

import numpy as np
import pytest
from scipy.stats import chisquare

from optsearch.dsl.functions import FUNCTIONS, LEAVES, Scope
from optsearch.dsl.generate import (
    ALL_FUNCTIONS,
    NEW_VARIABLE_SHARE,
    NewConstants,
    new_variable,
    random_argument,
    random_program,
    random_statement,
)
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import verify

SCOPE = {"w": Kind.LEAF, "g": Kind.LEAF, "m": Kind.LEAF, "lr": Kind.SCALAR, "n": Kind.PER_LEAF}
DRAWS = 20_000
ANY = frozenset(Kind)


def assert_uniform(drawn: Iterable[Hashable], allowed: Iterable[Hashable]) -> None:
    counts, expected = Counter(drawn), list(allowed)
    assert set(counts) == set(expected)
    assert chisquare([counts[choice] for choice in expected]).pvalue > 1e-4


@pytest.mark.parametrize("source", [NewConstants(), NewConstants(mean=3.0, spread=0.5, share=0.6)])
def test_arguments_are_uniform_over_the_variables_of_an_accepted_kind(source: NewConstants) -> None:
    rng = np.random.default_rng(0)
    drawn = [random_argument(rng, ANY, SCOPE, constants=source) for _ in range(DRAWS)]
    assert_uniform([arg for arg in drawn if isinstance(arg, str)], SCOPE)
    constants = [arg for arg in drawn if isinstance(arg, float)]
    assert len(constants) / DRAWS == pytest.approx(source.share, abs=0.02)
    assert np.mean(constants) == pytest.approx(source.mean, abs=0.05)
    assert np.std(constants) == pytest.approx(source.spread, abs=0.05)
    assert all(str(constant) == str(np.float32(constant)) for constant in constants)


def test_arguments_respect_the_kinds() -> None:
    rng = np.random.default_rng(1)
    assert_uniform([random_argument(rng, LEAVES, SCOPE) for _ in range(DRAWS)], ["w", "g", "m"])
    scalars = [random_argument(rng, {Kind.SCALAR}, SCOPE) for _ in range(DRAWS)]
    assert {arg for arg in scalars if isinstance(arg, str)} == {"lr"}
    assert random_argument(rng, LEAVES, {"lr": Kind.SCALAR}) is None


def test_statements_are_uniform_over_functions_operands_and_targets() -> None:
    rng = np.random.default_rng(2)
    drawn = [random_statement(rng, SCOPE, taken=("v1",)) for _ in range(DRAWS)]
    assert_uniform([statement.function for statement in drawn], FUNCTIONS)
    fresh = [statement for statement in drawn if statement.target not in SCOPE]
    assert {statement.target for statement in fresh} == {"v2"}
    assert len(fresh) / DRAWS == pytest.approx(NEW_VARIABLE_SHARE, abs=0.02)
    assert_uniform([statement.target for statement in drawn if statement.target in SCOPE], SCOPE)
    dots = [random_statement(rng, SCOPE, functions=(FUNCTIONS["dot"],)).args for _ in range(DRAWS)]
    assert_uniform(dots, [(a, b) for a in "wgm" for b in "wgm"])


def test_functions_without_possible_operands_are_not_drawn() -> None:
    rng = np.random.default_rng(3)
    drawn = [random_statement(rng, {"lr": Kind.SCALAR}).function for _ in range(DRAWS)]
    assert_uniform(drawn, [name for name, row in FUNCTIONS.items() if row.scope is Scope.ELEMENT])


def test_variables_that_must_stay_leaves_are_assigned_leaves_only() -> None:
    rng = np.random.default_rng(4)
    for _ in range(2_000):
        statement = random_statement(rng, SCOPE, leaves=("m", "w"))
        if statement.target in ("m", "w"):
            program = Program(
                ("m",), (Statement("n", "norm", ("g",)), statement, Statement("update", "add", ("g", "w")))
            )
            assert verify(program)[1] is Kind.LEAF


def test_a_statement_is_valid_where_it_was_drawn() -> None:
    rng = np.random.default_rng(5)
    before = (Statement("n", "norm", ("g",)),)
    after = Statement("update", "multiply", ("g", "lr"))
    for _ in range(2_000):
        statement = random_statement(rng, SCOPE, leaves=("m", "g"))
        verify(Program(("m",), (*before, statement, after)))


def test_programs_are_valid_and_as_long_as_asked(programs: Callable[..., list[Program]]) -> None:
    for program in programs(1_000, seed=6):
        verify(program)
    rng = np.random.default_rng(7)
    assert [len(random_program(rng, statements=n).body) for n in (1, 5, 50)] == [1, 5, 50]
    with pytest.raises(ValueError, match="at least 1 statement, got 0"):
        random_program(rng, statements=0)


def test_only_the_given_functions_are_called() -> None:
    rng = np.random.default_rng(8)
    few = tuple(FUNCTIONS[name] for name in ("add", "sign", "norm"))
    for _ in range(50):
        program = random_program(rng, statements=20, functions=few)
        assert {statement.function for statement in program.body} <= {"add", "sign", "norm"}


def test_the_same_seed_gives_the_same_program() -> None:
    one, other = (random_program(np.random.default_rng(9), statements=30) for _ in range(2))
    assert one == other
    assert len(ALL_FUNCTIONS) == len(FUNCTIONS)


def test_new_variables_are_named_in_order() -> None:
    assert new_variable([]) == "v1"
    assert new_variable(["v1", "v3"]) == "v2"
