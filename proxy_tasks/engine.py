"""The interpreter: runs any coded program inside the compiled training loop.

Compiling a candidate's own training loop takes far longer than training a tiny model with it. So the loop is compiled
once for a task, with the program as data: at every step a loop over statements looks up the opcode and jumps to that
function's code (`lax.switch`), which reads whole rows of a register file and gives one row.

The register file is carried through all loops and must never be copied. That is why a branch returns only its row and
the write stands after the switch: branches that return the whole file make XLA copy it for every statement.

What functions mean is taken from the rows of `dsl.functions.FUNCTIONS`; nothing is repeated here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from dsl.functions import LEAVES, Function, Scope
from dsl.types import Kind
from proxy_tasks.encoding import (
    COLUMNS,
    GRADIENT,
    LEARNING_RATE,
    ROWS,
    SCHEDULE_INSTRUCTIONS,
    STEP_INSTRUCTIONS,
    WEIGHTS,
    Code,
    Instruction,
)
from proxy_tasks.loop import Batches, Report, batch_at, train
from proxy_tasks.task import Task

if TYPE_CHECKING:
    import jax

Branch = Callable[..., Any]


class Layout(NamedTuple):
    """How a parameter tree lies in a row.

    Attributes:
        structure: the tree's structure.
        shapes: shape of each leaf.
        spans: (start, end) of each leaf in the row.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, params: Any) -> Layout:
        """Layout of a tree of arrays, or of their shapes."""
        import jax

        leaves, structure = jax.tree.flatten(params)
        ends = [0]
        for leaf in leaves:
            ends.append(ends[-1] + leaf.size)
        return cls(structure, tuple(leaf.shape for leaf in leaves), tuple(pairwise(ends)))

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.spans[-1][1]

    def leaves(self, row: jax.Array) -> list[jax.Array]:
        """The leaves in a row, each flat."""
        return [row[start:end] for start, end in self.spans]

    def tree(self, row: jax.Array) -> Any:
        """The tree in a row."""
        import jax

        leaves = [leaf.reshape(shape) for leaf, shape in zip(self.leaves(row), self.shapes, strict=True)]
        return jax.tree.unflatten(self.structure, leaves)

    def row(self, tree: Any) -> jax.Array:
        """A tree as a row."""
        import jax
        import jax.numpy as jnp

        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])

    def write(self, tree: Any, file: jax.Array, row: int) -> jax.Array:
        """The register file with a tree written to a row.

        Leaf by leaf: a write of all leaves joined would be one loop that asks for every number which leaf it is in.
        """
        import jax
        from jax import lax

        for leaf, (start, _) in zip(jax.tree.leaves(tree), self.spans, strict=True):
            file = lax.dynamic_update_slice(file, leaf.reshape(1, -1), (row, start))
        return file


def row_meaning(function: Function, layout: Layout) -> Callable[..., jax.Array]:
    """What a function does to rows and scalars: the table's meaning, called as its scope says.

    Args:
        function: a row of the table.
        layout: how leaves lie in a row.

    Returns:
        Takes for each operand a row [size] or a scalar, and gives a row; at least one operand is a row.
    """
    import jax.numpy as jnp

    def meaning(*operands: Any) -> Any:
        return function.jax(jnp, *operands)

    def spread(leaves: list[Any]) -> jax.Array:
        parts = [
            jnp.broadcast_to(leaf, (end - start,)) for leaf, (start, end) in zip(leaves, layout.spans, strict=True)
        ]
        return jnp.concatenate(parts)

    def on_leaves(*operands: Any) -> jax.Array:
        columns = [layout.leaves(operand) if operand.ndim else [operand] * len(layout.spans) for operand in operands]
        return spread([meaning(*column) for column in zip(*columns, strict=True)])

    def on_tree(*operands: Any) -> jax.Array:
        trees: list[Any] = []
        for operand, kinds in zip(operands, function.operands, strict=True):
            if kinds == LEAVES:
                trees.append(layout.leaves(operand))
            else:
                trees.append(operand[0] if operand.ndim else operand)
        result = meaning(*trees)
        return spread(result) if function.result is Kind.LEAF else jnp.broadcast_to(result, (layout.size,))

    return {Scope.ELEMENT: meaning, Scope.LEAF: on_leaves, Scope.TREE: on_tree}[function.scope]


def _step_branches(layout: Layout) -> Iterator[Branch]:
    from jax import lax

    def branch(instruction: Instruction) -> Branch:
        meaning = row_meaning(instruction.function, layout)

        def run(file: jax.Array, columns: jax.Array, slots: jax.Array) -> jax.Array:
            operands = [
                lax.dynamic_index_in_dim(file, slots[2 + position], keepdims=False)
                if in_row
                else lax.dynamic_index_in_dim(columns, slots[2 + position], keepdims=False)
                for position, in_row in enumerate(instruction.in_row)
            ]
            return meaning(*operands)

        return run

    return map(branch, STEP_INSTRUCTIONS)


def _schedule_branches(steps: int) -> Iterator[Branch]:
    import jax.numpy as jnp
    from jax import lax

    def branch(instruction: Instruction) -> Branch:
        def run(table: jax.Array, slots: jax.Array) -> jax.Array:
            operands = [
                lax.dynamic_index_in_dim(table, slots[2 + position], keepdims=False)
                for position in range(instruction.function.arity)
            ]
            return jnp.broadcast_to(instruction.function.jax(jnp, *operands), (steps,))

        return run

    return map(branch, SCHEDULE_INSTRUCTIONS)


def schedule_table(code: Code, rates: jax.Array) -> jax.Array:
    """Runs the schedule code for all steps of a run.

    Args:
        code: the program.
        rates: float32 [steps], the program's ``lr`` at each step.

    Returns:
        float32 [steps, COLUMNS].
    """
    import jax.numpy as jnp
    from jax import lax

    (steps,) = rates.shape
    branches = list(_schedule_branches(steps))
    table = jnp.broadcast_to(jnp.asarray(code.constants)[:, None], (COLUMNS, steps)).at[LEARNING_RATE].set(rates)

    def statement(index: jax.Array, table: jax.Array) -> jax.Array:
        slots = lax.dynamic_index_in_dim(jnp.asarray(code.schedule), index, keepdims=False)
        return lax.dynamic_update_index_in_dim(table, lax.switch(slots[0], branches, table, slots), slots[1], 0)

    return lax.fori_loop(0, code.schedule_length, statement, table).T


def interpret(code: Code, layout: Layout, file: jax.Array, columns: jax.Array) -> jax.Array:
    """Runs the step code once.

    Args:
        code: the program.
        layout: how leaves lie in a row.
        file: float32 [ROWS, parameters]: weights, gradient, state.
        columns: float32 [COLUMNS]: this step's row of the schedule table.

    Returns:
        The register file afterwards: the state is new, row ``code.update`` holds the update, weights are untouched.
    """
    import jax.numpy as jnp
    from jax import lax

    branches = list(_step_branches(layout))

    def statement(index: jax.Array, file: jax.Array) -> jax.Array:
        slots = lax.dynamic_index_in_dim(jnp.asarray(code.step), index, keepdims=False)
        return lax.dynamic_update_index_in_dim(file, lax.switch(slots[0], branches, file, columns, slots), slots[1], 0)

    return lax.fori_loop(0, code.step_length, statement, file)


def run(task: Task, code: Code, batches: Batches, rates: jax.Array, limits: jax.Array) -> Report:
    """A whole training run by the interpreter; jit it once for a task.

    Args:
        task: the task.
        code: the program.
        batches: data and order of the batches; the initial weights are a tree.
        rates: float32 [steps], the program's ``lr`` at each step.
        limits: float32 [checkpoints], the hurdle.

    Returns:
        The report.
    """
    import jax
    import jax.numpy as jnp
    from jax import lax

    layout = Layout.of(batches.weights)
    table = schedule_table(code, rates)

    def step(number: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        weights, file = carry
        loss, gradient = jax.value_and_grad(task.loss)(layout.tree(weights), batch_at(batches, number))
        file = layout.write(gradient, file.at[WEIGHTS].set(weights), GRADIENT)
        file = interpret(code, layout, file, lax.dynamic_index_in_dim(table, number, keepdims=False))
        return (weights - lax.dynamic_index_in_dim(file, code.update, keepdims=False), file), loss

    carry = layout.row(batches.weights), jnp.zeros((ROWS, layout.size), jnp.float32)
    return train(task, step, carry, lambda carry: layout.tree(carry[0]), batches, limits)
