"""What a program costs beside the gradient: state, arithmetic and memory traffic for each parameter.

Counted for the live statements alone. Memory traffic is that of the ideal fused implementation: one pass over the
parameters reads what it needs and writes the new weights and state. A reduction must have seen all parameters before
its result can be used, so that each further level of reductions costs a pass that reads its inputs again; nothing else
is stored between passes.

Source: overhead belongs beside an optimizer's loss (Metz et al. 2022, arXiv:2203.11860).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import OPERATION_COST, Function, Operation, Scope
from optsearch.dsl.program import LR, OUTPUT, Program, W
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import result_kind
from optsearch.dsl.walk import walk


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of one step for each parameter of the model.

    Attributes:
        state: numbers kept from step to step.
        operations: arithmetic operations by class; what is computed once for the whole tree or once a leaf is left out,
            as is the caller's subtraction of the update.
        passes: passes over the parameters, 1 without reductions.
        reads: numbers read, in all passes.
        writes: numbers written: the weight and the state.
    """

    state: int
    operations: Mapping[Operation, int]
    passes: int
    reads: int
    writes: int

    @property
    def traffic(self) -> int:
        """Numbers read and written; times 4 for bytes in float32."""
        return self.reads + self.writes

    @property
    def arithmetic(self) -> float:
        """All operations together, in additions."""
        return sum(OPERATION_COST[operation] * count for operation, count in self.operations.items())


class _Reach(NamedTuple):
    """What a value is computed from.

    Attributes:
        kind: its kind.
        inputs: the arrays that its own pass reads for it.
        level: how many passes must end before it is known.
    """

    kind: Kind
    inputs: frozenset[str]
    level: int


class _Counting:
    """The domain of the walk."""

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
    """The cost of a program's live statements.

    Args:
        program: a verified program.

    Returns:
        State, operations and traffic for each parameter and step.
    """
    program = prune(program)
    domain = _Counting()
    inputs = {
        name: _Reach(Kind.SCALAR, frozenset(), 0) if name == LR else _Reach(Kind.LEAF, frozenset({name}), 0)
        for name in program.signature.inputs
    }
    values = walk(program, inputs, domain)
    last = frozenset({W}).union(*(values[name].inputs for name in (OUTPUT, *program.state)))
    return Cost(
        state=len(program.state),
        operations=dict(domain.operations),
        passes=len(domain.reductions) + 1,
        reads=len(last) + sum(map(len, domain.reductions.values())),
        writes=1 + len(program.state),
    )
