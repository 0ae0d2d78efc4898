"""The interpreter: runs any coded programs inside the compiled training loop.

Compiling a candidate's own training loop takes far longer than training a tiny model with it. So the loop is compiled
once for a task, with the program as data: at every step a loop over statements looks up the opcode and jumps to that
function's code (`lax.switch`), which reads whole rows of a register file and gives one row.

The register file is carried through all loops and must never be copied. That is why a branch returns only its row and
the write stands after the switch: branches that return the whole file make XLA copy it for every statement.

Several training runs (*lanes*) may go through the loop together, each with its own program; `script` says how their
statements are put in order. Numbers are float32 throughout, and so are sums: XLA adds the elements of a leaf in an
order of its own, which depends on the kind of machine and the shape alone, and leaves are added in their order.

What functions mean is taken from the rows of `optsearch.dsl.functions.FUNCTIONS`; nothing is repeated here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from optsearch.dsl.functions import LEAVES, Function, Scope
from optsearch.dsl.types import Kind
from optsearch.proxy_tasks.encoding import COLUMNS, GRADIENT, LEARNING_RATE, ROWS, WEIGHTS
from optsearch.proxy_tasks.instructions import ROW, SCHEDULE_INSTRUCTIONS, STEP_INSTRUCTIONS, Instruction
from optsearch.proxy_tasks.loop import Batches, LoopResult, gradients, train
from optsearch.proxy_tasks.script import Script, Scripts
from optsearch.proxy_tasks.task import Task

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

    def write(self, trees: Any, file: jax.Array, row: int) -> jax.Array:
        """The register file [lanes, rows, size] with a tree for each lane written to a row.

        Leaf by leaf: a write of all leaves joined would be one loop that asks for every number which leaf it is in.
        """
        import jax
        from jax import lax

        for leaf, (start, _) in zip(jax.tree.leaves(trees), self.spans, strict=True):
            file = lax.dynamic_update_slice(file, leaf.reshape(leaf.shape[0], 1, -1), (0, row, start))
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


def instruction_meaning(instruction: Instruction, layout: Layout) -> Callable[[Iterator[Any]], Any]:
    """What an instruction does; it takes the values of its places in order."""
    meaning = row_meaning(instruction.function, layout)
    parts = [
        instruction_meaning(part, layout) if isinstance(part, Instruction) else next for part in instruction.operands
    ]
    return lambda values: meaning(*[part(values) for part in parts])


def _step_branches(layout: Layout) -> Iterator[Branch]:
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

    return map(branch, STEP_INSTRUCTIONS)


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
    """Runs a script.

    Args:
        branches: for each opcode what it does to one group: takes its part of the file, its parts of ``others`` and the
            slots, gives one row.
        script: what to run.
        file: [groups, rows, size].
        *others: [groups, ...], read only.

    Returns:
        The file afterwards.
    """
    import jax
    from jax import lax

    groups = file.shape[0]
    made = [branch if groups == 1 else jax.vmap(branch) for branch in branches]

    def statement(index: jax.Array, file: jax.Array) -> jax.Array:
        slots = lax.dynamic_index_in_dim(script.slots, index, keepdims=False)
        opcode = lax.dynamic_index_in_dim(script.opcodes, index, keepdims=False)
        if groups == 1:  # written for what is there, and not for a batch of one: XLA makes far better code of it
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
        programs: those of all lanes.
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


def interpret(script: Script, layout: Layout, file: jax.Array, columns: jax.Array) -> jax.Array:
    """Runs the step code of all lanes once.

    Args:
        script: the step code.
        layout: how leaves lie in a row.
        file: float32 [lanes, ROWS, parameters]: weights, gradient, state.
        columns: float32 [groups, columns of a group]: this step's part of the schedule table.

    Returns:
        The register file afterwards: weights and state are new.
    """
    grouped = file.reshape(script.groups, -1, layout.size)
    return _execute(_step_branches(layout), script, grouped, columns).reshape(file.shape)


def run(task: Task, programs: Scripts, batches: Batches, rates: jax.Array, limits: jax.Array) -> LoopResult:
    """Whole training runs by the interpreter; jit it once for a task.

    Args:
        task: the task.
        programs: those of all lanes.
        batches: data and order of the batches of each lane.
        rates: float32 [lanes, steps], the ``lr`` of each lane at each step.
        limits: float32 [lanes, checkpoints], the hurdles.

    Returns:
        The report.
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
        file = interpret(programs.step, layout, file, lax.dynamic_index_in_dim(table, number, keepdims=False))
        return (weights(file), file), losses

    # The weights are carried beside the file: gradients that read the file would have to read a copy of it, since it is
    # written while they are computed.
    file = layout.write(batches.weights, jnp.zeros((lanes, ROWS, layout.size), jnp.float32), WEIGHTS)
    return train(task, advance, (batches.weights, file), _first, batches, limits)


def _first(carry: tuple[Any, jax.Array]) -> Any:
    return carry[0]
