"""The interpreter: runs encoded programs inside the compiled training loop.

Compiling a training loop per candidate takes far longer than training a small model with it. The loop is therefore
compiled once per task, with the program as data. At every step a loop over statements dispatches on the opcode
(`lax.switch`) to the function's code, which reads whole rows of a register file and returns one row.

The register file is carried through all loops and must not be copied. A branch therefore returns only its row, and the
write follows the switch: if branches return the whole file, XLA copies it for every statement.

A product of small matrices takes less time than its call. Functions of matrices therefore take all leaves of one shape,
up to transposition, in one batch.

Several training runs (*lanes*) can share the loop, each with its own program; `script` defines the order of their
statements. All numbers and sums are float32. XLA adds the elements of a leaf in an order that depends only on the kind
of machine and the shape; leaves are added in their order.

The semantics of functions come from the rows of `optsearch.dsl.functions.FUNCTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from optsearch.dsl.functions import LEAVES, Function, Scope
from optsearch.dsl.types import Kind
from optsearch.proxy_tasks.execution.batches import Batches, gradients
from optsearch.proxy_tasks.execution.encoding import COLUMNS, GRADIENT, LEARNING_RATE, ROWS, WEIGHTS
from optsearch.proxy_tasks.execution.instructions import (
    ROW,
    SCHEDULE_INSTRUCTIONS,
    STEP_INSTRUCTIONS,
    WITHOUT_MATRICES,
    Instruction,
)
from optsearch.proxy_tasks.execution.loop import LoopParts, LoopResult, train
from optsearch.proxy_tasks.execution.script import Script, Scripts
from optsearch.proxy_tasks.task import Task

if TYPE_CHECKING:
    import jax

Branch = Callable[..., Any]


class Layout(NamedTuple):
    """Layout of a parameter tree in a row.

    Attributes:
        structure: structure of the tree.
        shapes: shape of each leaf.
        spans: (start, end) of each leaf in the row.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, params: Any) -> Layout:
        """Layout of a tree of arrays or of their shapes."""
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

    def matrix(self, place: int) -> tuple[int, int]:
        """Rows and columns of a leaf, read as a matrix."""
        columns = (self.shapes[place] or (1,))[-1]
        start, end = self.spans[place]
        return (end - start) // max(columns, 1), columns

    def alike(self) -> list[list[int]]:
        """Places of the leaves whose matrices have one shape, up to transposition."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for place in range(len(self.shapes)):
            groups.setdefault(tuple(sorted(self.matrix(place))), []).append(place)
        return list(groups.values())

    def leaves(self, row: jax.Array) -> list[jax.Array]:
        """The leaves of a row, each flattened."""
        return [row[start:end] for start, end in self.spans]

    def tree(self, row: jax.Array) -> Any:
        """The tree stored in a row."""
        import jax

        leaves = [leaf.reshape(shape) for leaf, shape in zip(self.leaves(row), self.shapes, strict=True)]
        return jax.tree.unflatten(self.structure, leaves)

    def write(self, trees: Any, file: jax.Array, row: int) -> jax.Array:
        """Writes one tree per lane to a row of the register file [lanes, rows, size].

        Writes leaf by leaf: writing all leaves concatenated would be one loop that determines the leaf of every number.
        """
        import jax
        from jax import lax

        for leaf, (start, _) in zip(jax.tree.leaves(trees), self.spans, strict=True):
            file = lax.dynamic_update_slice(file, leaf.reshape(leaf.shape[0], 1, -1), (0, row, start))
        return file


def row_meaning(function: Function, layout: Layout) -> Callable[..., jax.Array]:
    """Lifts a function to rows and scalars, according to its scope.

    Args:
        function: a row of the table.
        layout: layout of leaves in a row.

    Returns:
        A function that takes a row [size] or a scalar per operand, at least one of them a row, and returns a row.
    """
    import jax
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

    def on_lines(row: Any) -> jax.Array:
        parts = [
            jnp.broadcast_to(meaning(leaf.reshape(shape)), shape).reshape(-1)
            for leaf, shape in zip(layout.leaves(row), layout.shapes, strict=True)
        ]
        return jnp.concatenate(parts)

    def on_matrices(row: Any) -> jax.Array:
        parts = layout.leaves(row)
        for places in layout.alike():
            shapes = [layout.matrix(place) for place in places]
            matrices = [parts[place].reshape(shape) for place, shape in zip(places, shapes, strict=True)]
            lying = [matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T for matrix in matrices]
            # A batch of one is slower than the array itself.
            results = jax.vmap(meaning)(jnp.stack(lying)) if len(places) > 1 else map(meaning, lying)
            for place, (rows, columns), result in zip(places, shapes, results, strict=True):
                parts[place] = (result if rows <= columns else result.T).reshape(-1)
        return jnp.concatenate(parts)

    def on_tree(*operands: Any) -> jax.Array:
        trees: list[Any] = []
        for operand, kinds in zip(operands, function.operands, strict=True):
            if kinds == LEAVES:
                trees.append(layout.leaves(operand))
            else:
                trees.append(operand[0] if operand.ndim else operand)
        result = meaning(*trees)
        return spread(result) if function.result is Kind.LEAF else jnp.broadcast_to(result, (layout.size,))

    return {
        Scope.ELEMENT: meaning,
        Scope.LEAF: on_leaves,
        Scope.MATRIX: on_lines if function.removes else on_matrices,
        Scope.TREE: on_tree,
    }[function.scope]


def instruction_meaning(instruction: Instruction, layout: Layout) -> Callable[[Iterator[Any]], Any]:
    """Implementation of an instruction; takes the values of its places in order."""
    meaning = row_meaning(instruction.function, layout)
    parts = [
        instruction_meaning(part, layout) if isinstance(part, Instruction) else next for part in instruction.operands
    ]
    return lambda values: meaning(*[part(values) for part in parts])


def _step_branches(layout: Layout, *, matrices: bool) -> Iterator[Branch]:
    from jax import lax

    def branch(instruction: Instruction) -> Branch:
        meaning = instruction_meaning(instruction, layout)

        def run(file: jax.Array, columns: jax.Array, slots: jax.Array) -> jax.Array:
            sources = [file if place is ROW else columns for place in instruction.places]
            values = [
                lax.dynamic_index_in_dim(source, slots[1 + position], keepdims=False)
                for position, source in enumerate(sources)
            ]
            return meaning(iter(values))

        return run

    return map(branch, STEP_INSTRUCTIONS if matrices else STEP_INSTRUCTIONS[:WITHOUT_MATRICES])


def _schedule_branches(steps: int) -> Iterator[Branch]:
    import jax.numpy as jnp
    from jax import lax

    def branch(instruction: Instruction) -> Branch:
        def run(table: jax.Array, slots: jax.Array) -> jax.Array:
            operands = [
                lax.dynamic_index_in_dim(table, slots[1 + position], keepdims=False)
                for position in range(instruction.function.arity)
            ]
            return jnp.broadcast_to(instruction.function.jax(jnp, *operands), (steps,))

        return run

    return map(branch, SCHEDULE_INSTRUCTIONS)


def _execute(branches: Iterator[Branch], script: Script, file: jax.Array, *others: jax.Array) -> jax.Array:
    """Executes a script.

    Args:
        branches: for each opcode its effect on one group: takes the group's part of the file and of ``others`` and the
            slots, returns one row.
        script: the script.
        file: [groups, rows, size].
        *others: [groups, ...], read only.

    Returns:
        The updated register file.
    """
    import jax
    from jax import lax

    groups = file.shape[0]
    made = [branch if groups == 1 else jax.vmap(branch) for branch in branches]

    def statement(index: jax.Array, file: jax.Array) -> jax.Array:
        slots = lax.dynamic_index_in_dim(script.slots, index, keepdims=False)
        opcode = lax.dynamic_index_in_dim(script.opcodes, index, keepdims=False)
        if groups == 1:  # a special case, because XLA compiles it to far better code than a batch of one
            row = lax.switch(opcode, made, file[0], *(other[0] for other in others), slots[0])
            return lax.dynamic_update_slice(file, row[None, None], (0, slots[0, 0], 0))
        rows = lax.switch(opcode, made, file, *others, slots)
        return jax.vmap(lambda part, row, target: lax.dynamic_update_index_in_dim(part, row, target, 0))(
            file, rows, slots[:, 0]
        )

    return lax.fori_loop(0, script.length, statement, file)


def schedule_table(programs: Scripts, rates: jax.Array) -> jax.Array:
    """Runs the schedule code of all lanes for all steps of a run.

    Args:
        programs: scripts of all lanes.
        rates: float32 [lanes, steps], the ``lr`` of each lane at each step.

    Returns:
        float32 [steps, groups, columns of a group].
    """
    import jax.numpy as jnp

    lanes, steps = rates.shape
    table = jnp.broadcast_to(jnp.asarray(programs.constants)[:, :, None], (lanes, COLUMNS, steps))
    table = table.at[:, LEARNING_RATE].set(rates).reshape(programs.schedule.groups, -1, steps)
    table = _execute(_schedule_branches(steps), programs.schedule, table)
    return jnp.moveaxis(table, 2, 0)


def interpret(script: Script, layout: Layout, file: jax.Array, columns: jax.Array, *, matrices: bool) -> jax.Array:
    """Runs the step code of all lanes once.

    Args:
        script: the step code.
        layout: layout of leaves in a row.
        file: float32 [lanes, ROWS, parameters]: weights, gradient, state.
        columns: float32 [groups, columns of a group]: this step's row of the schedule table.
        matrices: False if no program calls functions of matrices.

    Returns:
        The register file with updated weights and state.
    """
    grouped = file.reshape(script.groups, -1, layout.size)
    return _execute(_step_branches(layout, matrices=matrices), script, grouped, columns).reshape(file.shape)


def parts(task: Task, programs: Scripts, batches: Batches, rates: jax.Array, *, matrices: bool) -> LoopParts:
    """Programs as parts of the loop.

    Args:
        task: the task.
        programs: scripts of all lanes.
        batches: data and batch order of each lane.
        rates: float32 [lanes, steps], the ``lr`` of each lane at each step.
        matrices: False if no program calls functions of matrices. The loop is then compiled without them, so that they
            cost nothing and do not change the last digits.
    """
    import jax
    import jax.numpy as jnp
    from jax import lax

    lanes = rates.shape[0]
    layout = Layout.of(jax.tree.map(lambda leaf: leaf[0], batches.weights))
    table = schedule_table(programs, rates)

    def weights(file: jax.Array) -> Any:
        if lanes == 1:
            return jax.tree.map(lambda leaf: leaf[None], layout.tree(file[0, WEIGHTS]))
        return jax.vmap(layout.tree)(file[:, WEIGHTS])

    def advance(number: jax.Array, carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
        losses, gradient = gradients(task, carry[0], batches, number)
        file = layout.write(gradient, carry[1], GRADIENT)
        columns = lax.dynamic_index_in_dim(table, number, keepdims=False)
        file = interpret(programs.step, layout, file, columns, matrices=matrices)
        return (weights(file), file), losses

    # The weights are carried beside the file. Gradients that read the file would read a copy of it, because the file is
    # written while they are computed.
    file = layout.write(batches.weights, jnp.zeros((lanes, ROWS, layout.size), jnp.float32), WEIGHTS)
    return LoopParts(advance, (batches.weights, file), _first)


def run(
    task: Task,
    programs: Scripts,
    batches: Batches,
    rates: jax.Array,
    limits: jax.Array,
    *,
    matrices: bool,
    validates: jax.Array | None = None,
) -> LoopResult:
    """Runs complete training runs by interpretation; jit it once per task and value of ``matrices``.

    Args:
        task: as in `parts`.
        programs: as in `parts`.
        batches: as in `parts`.
        rates: as in `parts`.
        limits: float32 [lanes, checkpoints], the hurdles.
        matrices: as in `parts`.
        validates: as in `loop.train`.

    Returns:
        The results of all lanes.
    """
    return train(task, parts(task, programs, batches, rates, matrices=matrices), batches, limits, validates=validates)


def _first(carry: tuple[Any, jax.Array]) -> Any:
    return carry[0]
