"""Device memory of batched training, by arithmetic on shapes: what one more lane takes, and what all lanes share.

The arithmetic follows the values of a trace (`lowering`) through their lifetimes. It compiles nothing and needs no
device, so that `optsearch doctor` can plan for a GPU of another machine. Like XLA, it does not store a value that only
element-wise operations read, updates an array in place if nothing reads it afterwards, and keeps the carry of a loop in
one place. It does not model padding, scratch space of libraries, and the order that XLA chooses;
``tests/proxy_tasks/test_memory.py`` compares it with what XLA reports.

By far the largest part of most tasks is the evaluation of the whole validation and test split at the end of a run,
which all lanes do at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from optsearch.proxy_tasks.lowering import abstract_batches, trace_loop
from optsearch.proxy_tasks.task import Task
from optsearch.proxy_tasks.trainer import KEPT_SEEDS

if TYPE_CHECKING:
    from jax.extend.core import Jaxpr

LANES = (2, 4)
"""Numbers of lanes whose traces are compared; a single lane is compiled without the axis of lanes."""

_LOOPS = frozenset(("while", "scan"))
_INSIDE = _LOOPS | {"cond"}

_FROM_MEMORY = frozenset(
    ["dot_general", "conv_general_dilated", "gather", "sort", "cumsum", "reduce_window_max", "select_and_scatter_add"]
)
"""Operations that read their operands from memory; others are fused with the operations that compute these."""

_REDUCTIONS = frozenset(
    (
        "argmax",
        "argmin",
        "concatenate",
        "reduce_and",
        "reduce_max",
        "reduce_min",
        "reduce_or",
        "reduce_prod",
        "reduce_sum",
    )
)

_UPDATES = frozenset(("dynamic_update_slice", "scatter", "scatter-add", "optimization_barrier"))

_STORED = _INSIDE | _FROM_MEMORY | _REDUCTIONS | _UPDATES
"""Operations whose results are stored in any case."""

_VIEWS = frozenset(("reshape", "squeeze", "expand_dims", "transpose", "copy", "copy_p"))
"""Operations that only describe a value anew."""


@dataclass(frozen=True, slots=True)
class LaneMemory:
    """Device memory of a trainer, in bytes.

    Attributes:
        shared: memory that does not depend on the number of lanes, such as data.
        lane: memory of each lane at the peak of a run.
        kept: memory of each lane for the inputs of earlier seeds that a trainer keeps, at most.
    """

    shared: int
    lane: int
    kept: int

    def total(self, lanes: int) -> int:
        """Memory of a trainer with so many lanes."""
        return self.shared + lanes * (self.lane + self.kept)

    def lanes_in(self, memory: float) -> int:
        """Number of lanes that fit into so much memory; 0 if not even one does."""
        return max(int((memory - self.shared) // (self.lane + self.kept)), 0)


def lane_memory(task: Task, *, matrices: bool = False) -> LaneMemory:
    """Computes the device memory of batched training on a task.

    Args:
        task: the task.
        matrices: True for programs that call functions of matrices.
    """
    few, more = (_run_bytes(task, lanes, matrices) for lanes in LANES)
    lane = (more - few) // (LANES[1] - LANES[0])
    return LaneMemory(max(few - LANES[0] * lane, 0), lane, (KEPT_SEEDS - 1) * _input_bytes(task))


def _run_bytes(task: Task, lanes: int, matrices: bool) -> int:
    """Peak memory of a call of the trainer, its arguments included."""
    jaxpr = trace_loop(task, lanes, matrices=matrices).jaxpr.jaxpr
    return sum(map(_size, jaxpr.invars)) + peak_bytes(jaxpr)


def _input_bytes(task: Task) -> int:
    """Memory of the weights and the order of batches of one lane."""
    import jax

    batches = abstract_batches(task, 1)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((batches.weights, batches.order)))


def peak_bytes(jaxpr: Jaxpr, *, owned: Sequence[Any] = ()) -> int:
    """Peak memory of the values of a traced function, by their lifetimes.

    Args:
        jaxpr: the function.
        owned: inputs that count too and whose memory is used again after their last use, such as the carry of a loop.
            All other inputs belong to the caller and do not count.

    Returns:
        Bytes at the peak, results included.
    """
    flow = _Flow(jaxpr)
    last, stored = flow.lifetimes()
    live = {flow.values[var]: _size(var) for var in owned}
    now = peak = sum(live.values())
    dying: dict[int, list[int]] = {}
    for value, place in last.items():
        dying.setdefault(place, []).append(value)
    for place, operation in enumerate(flow.operations):
        ended = [value for value in dying.get(place, ()) if value in live]
        freed = sum(live[value] for value in ended if value in operation.reads)
        made = {value: flow.sizes[value] for value in operation.makes if value in stored}
        size = sum(made.values())
        if operation.name in _LOOPS:  # the carry, which the loop owns, takes the place of the operands
            during = max(operation.inside, size) - freed
        elif operation.name in _FROM_MEMORY or operation.name in _INSIDE:
            during = max(operation.inside, size)
        else:  # may write to the memory of operands that nothing reads afterwards
            during = size - min(freed, size)
        peak = max(peak, now + during)
        now += size - sum(live.pop(value) for value in ended)
        for value in operation.makes:
            if value in stored and last.get(value, place) <= place:  # nothing reads it
                now -= made.pop(value)
        live |= made
    return peak


class _Operation(NamedTuple):
    """An operation on numbered values; ``inside`` is the peak memory of the functions that it contains."""

    name: str
    reads: tuple[int, ...]
    makes: tuple[int, ...]
    inside: int


class _Flow:
    """The operations of a function in order, with those of the functions that it calls in their places.

    Attributes:
        operations: the operations.
        sizes: bytes of each value.
        values: number of the value of each variable.
        results: values that the function returns.
    """

    def __init__(self, jaxpr: Jaxpr):
        self.operations: list[_Operation] = []
        self.sizes: list[int] = []
        self.values = {var: self._new(var) for var in (*jaxpr.constvars, *jaxpr.invars)}
        self.results = frozenset(self._walk(jaxpr, self.values)) - {-1}

    def lifetimes(self) -> tuple[dict[int, int], set[int]]:
        """Place of the last operation that needs each value, and the values that are stored in memory.

        A value that is not stored is computed again by its reader, which then needs the operands.
        """
        last = dict.fromkeys(self.results, len(self.operations))
        stored = set(self.results)
        for place in reversed(range(len(self.operations))):
            name, reads, makes, _ = self.operations[place]
            if name in _STORED:
                stored.update(makes)
            needed = place if any(made in stored for made in makes) else max((last.get(m, 0) for m in makes), default=0)
            for value in reads:
                last[value] = max(last.get(value, 0), needed, place)
                if name in _FROM_MEMORY or name in _INSIDE:
                    stored.add(value)
        return last, stored

    def _new(self, var: Any) -> int:
        self.sizes.append(_size(var))
        return len(self.sizes) - 1

    def _walk(self, jaxpr: Jaxpr, values: dict[Any, int]) -> list[int]:
        """Adds a function's operations and returns the values of its results; -1 stands for a constant number."""

        def of(atom: Any) -> int:
            return -1 if hasattr(atom, "val") else values[atom]

        for equation in jaxpr.eqns:
            name, reads = equation.primitive.name, [of(atom) for atom in equation.invars]
            inside = _functions(equation.params)
            if name in _VIEWS and reads[0] >= 0:
                values[equation.outvars[0]] = reads[0]
            elif inside and name not in _INSIDE:
                body = inside[0]
                inner = {var: self._new(var) for var in body.constvars} | dict(zip(body.invars, reads, strict=True))
                values |= dict(zip(equation.outvars, self._walk(body, inner), strict=True))
            else:
                makes = tuple(values.setdefault(var, self._new(var)) for var in equation.outvars)
                peak = max((peak_bytes(body, owned=_carry(name, equation.params, body)) for body in inside), default=0)
                self.operations.append(_Operation(name, tuple(value for value in reads if value >= 0), makes, peak))
        return [of(atom) for atom in jaxpr.outvars]


def _functions(params: dict[str, Any]) -> list[Jaxpr]:
    """The functions among the parameters of an operation."""
    found = [one for value in params.values() for one in (value if isinstance(value, tuple) else (value,))]
    found = [getattr(one, "jaxpr", one) for one in found]
    return [one for one in found if hasattr(one, "eqns")]


def _carry(name: str, params: dict[str, Any], body: Jaxpr) -> Sequence[Any]:
    """The inputs of a loop's body that are its carry."""
    if name == "while":
        return body.invars[params["body_nconsts"] :] if body is params["body_jaxpr"].jaxpr else ()
    if name == "scan":
        return body.invars[params["num_consts"] : params["num_consts"] + params["num_carry"]]
    return ()


def _size(var: Any) -> int:
    return prod(getattr(var.aval, "shape", ())) * getattr(getattr(var.aval, "dtype", None), "itemsize", 4)
