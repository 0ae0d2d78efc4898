"""Overhead of a program beyond the gradient: state, arithmetic and memory traffic per parameter.

Only live statements are counted. Memory traffic is that of an ideal fused implementation: one pass over the parameters
reads the inputs and writes the new weights and state. A reduction needs all parameters before its result is available,
so each level of reductions adds a pass that reads its inputs again. No intermediate array is stored between passes.

Source: overhead is reported beside an optimizer's loss in Metz et al. 2022 (arXiv:2203.11860).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import OPERATION_COST, Function, Operation, Scope
from optsearch.dsl.program import OUTPUT, Program, W
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import input_kinds, result_kind, state_kinds
from optsearch.dsl.walk import walk


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one step, per parameter of the model.

    Attributes:
        state: number of state values kept between steps. State per row or per column is excluded, since a row or column
            has many parameters.
        operations: number of arithmetic operations by class. Operations computed once per tree or once per leaf are
            excluded, and so is the caller's subtraction of the update.
        passes: number of passes over the parameters; 1 without reductions.
        reads: numbers read, summed over all passes.
        writes: numbers written: the weight and the state.
    """

    state: int
    operations: Mapping[Operation, int]
    passes: int
    reads: int
    writes: int

    @property
    def traffic(self) -> int:
        """Numbers read and written; multiply by 4 for bytes in float32."""
        return self.reads + self.writes

    @property
    def arithmetic(self) -> float:
        """Total arithmetic, in units of one addition."""
        return sum(OPERATION_COST[operation] * count for operation, count in self.operations.items())


class _Reach(NamedTuple):
    """Dependencies of a value.

    Attributes:
        kind: its kind.
        inputs: arrays that its own pass reads to compute it.
        level: number of passes that must finish before it is available.
    """

    kind: Kind
    inputs: frozenset[str]
    level: int


class _Counting:
    """The domain that counts operations and reductions during the walk."""

    def __init__(self) -> None:
        self.operations: Counter[Operation] = Counter()
        self.reductions: dict[int, frozenset[str]] = {}

    def constant(self, value: float) -> _Reach:
        return _Reach(Kind.SCALAR, frozenset(), 0)

    def apply(self, function: Function, operands: list[_Reach]) -> _Reach:
        kind = result_kind(function, [operand.kind for operand in operands])
        inputs = frozenset[str]().union(*(operand.inputs for operand in operands))
        level = max((operand.level for operand in operands), default=0)
        if Kind.LEAF in (kind, *(operand.kind for operand in operands)):
            self.operations[function.operation] += function.operations
        if function.scope is not Scope.ELEMENT:
            self.reductions[level] = self.reductions.get(level, frozenset()) | inputs
            level += 1
        return _Reach(kind, inputs if kind is Kind.LEAF else frozenset(), level)


def cost(program: Program) -> Cost:
    """Computes the cost of a program's live statements.

    Args:
        program: a verified program.

    Returns:
        State, operations and traffic, per parameter and step.
    """
    program = prune(program)
    domain = _Counting()
    memory = state_kinds(program)
    kinds = input_kinds(program) | dict(zip(program.state, memory, strict=True))
    inputs = {
        name: _Reach(kind, frozenset({name}) if kind is Kind.LEAF else frozenset(), 0) for name, kind in kinds.items()
    }
    state = memory.count(Kind.LEAF)
    values = walk(program, inputs, domain)
    last = frozenset({W}).union(*(values[name].inputs for name in (OUTPUT, *program.state)))
    return Cost(
        state=state,
        operations=dict(domain.operations),
        passes=len(domain.reductions) + 1,
        reads=len(last) + sum(map(len, domain.reductions.values())),
        writes=1 + state,
    )
