"""Kernels, bytes and operations of a lowered function, counted without the device that would run it.

    python benchmarks/kernels.py ae        the counts of one training step

A compiler for accelerators fuses element-wise operations with the operation that reads their result. What remains, and
counts as a kernel here: products, convolutions, reductions, scatters, sorts, updates of arrays and calls of libraries,
and each result of other operations that a product or a loop reads, or that is returned. XLA may fuse more (several
reductions of one array) or less (very large fusions), so that the count is an estimate.

The body of a loop and the branches of a conditional are counted separately, because how often they run is not known.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

KERNELS = frozenset(("cholesky", "convolution", "custom_call", "dot_general", "dynamic_update_slice"))
KERNELS |= {"fft", "reduce", "reduce_window", "rng", "rng_bit_generator", "scatter", "select_and_scatter", "sort"}
KERNELS |= {"triangular_solve"}
"""Operations that are a kernel of their own."""

FROM_MEMORY = KERNELS - {"reduce", "dynamic_update_slice", "scatter"}
"""Operations that read their operands from memory; the other kernels are fused with what computes these."""

GATHERS = frozenset(("gather", "dynamic_gather", "dynamic_slice"))
"""Operations that read a part of an array; they are fused with what reads their result."""

IN_PLACE = frozenset(("dynamic_update_slice", "scatter"))
"""Operations that change a part of an array."""

FREE = frozenset(("reshape", "constant", "return", "func", "iota", "optimization_barrier", "transpose", "tuple"))
"""Operations that move no data: views, constants, and products read a transposed array in place."""


@dataclass
class Region:
    """Counts of a function, or of the body of a loop.

    Attributes:
        kernels: number of kernels outside loops and branches.
        bytes: bytes that these kernels read and write.
        operations: floating-point operations of these kernels; a multiplication and an addition are two.
        loops: bodies of the loops, in order.
        branches: for each conditional the regions of its branches.
    """

    kernels: int = 0
    bytes: int = 0
    operations: int = 0
    loops: list[Region] = field(default_factory=list)
    branches: list[list[Region]] = field(default_factory=list)

    def add(self, other: Region) -> None:
        """Adds the counts of a function that is called."""
        self.kernels += other.kernels
        self.bytes += other.bytes
        self.operations += other.operations
        self.loops += other.loops
        self.branches += other.branches


def counted(lowered: Any) -> Region:
    """Counts a lowered function.

    Args:
        lowered: what ``jax.jit(f).trace(...).lower(lowering_platforms=("cuda",))`` returns.
    """
    functions = {
        str(operation.attributes["sym_name"]).strip('"'): operation
        for operation in lowered.compiler_ir("stablehlo").body.operations
    }
    return _Counter(functions).block(functions["main"].regions[0].blocks[0])


class _Counter:
    """Counts blocks of a module.

    Args:
        functions: operations that define the functions of the module, by name.
    """

    def __init__(self, functions: dict[str, Any]):
        self._functions = functions
        self._known: dict[str, Region] = {}

    def block(self, block: Any, *, called: bool = False) -> Region:
        """Counts a block; if ``called``, element-wise results that it returns are fused by its caller."""
        region = Region()
        for view in block.operations:
            operation = view.operation
            name = _name(operation)
            if name == "while":
                region.loops.append(self.block(operation.regions[1].blocks[0]))
            elif name in ("case", "if"):
                region.branches.append([self.block(branch.blocks[0]) for branch in operation.regions])
            elif name == "call" and (made := self._call(operation)).kernels + len(made.loops) + len(made.branches):
                region.add(made)
            else:
                if name in GATHERS:  # reads what it returns, not the whole array
                    region.bytes += sum(map(_bytes, operation.results))
                if name not in KERNELS and (name in FREE or not self._is_stored(operation, called)):
                    continue
                region.kernels += 1
                region.bytes += _traffic(operation, name)
                region.operations += _operations(operation, name)
        return region

    def _call(self, operation: Any) -> Region:
        name = str(operation.attributes["callee"]).strip('@"')
        if name not in self._known:
            self._known[name] = self.block(self._functions[name].regions[0].blocks[0], called=True)
        return self._known[name]

    def _is_stored(self, operation: Any, called: bool) -> bool:
        """True if an operation that reads memory, or the end of a block, needs the result of an element-wise one."""
        return any(_is_read(result, called) for result in operation.results)


def _is_read(value: Any, called: bool) -> bool:
    for use in value.uses:
        name = _name(use.owner.operation if hasattr(use.owner, "operation") else use.owner)
        if name in ("while", "case", "if") or name in FROM_MEMORY or (name == "return" and not called):
            return _elements(value) > 1  # a number is no kernel of its own
        if name in ("reshape", "transpose") and any(_is_read(result, called) for result in use.owner.results):
            return True
    return False


def _name(operation: Any) -> str:
    return operation.name.rpartition(".")[2]


def _shape(value: Any) -> list[int]:
    return list(value.type.shape) if hasattr(value.type, "shape") else []


def _elements(value: Any) -> int:
    return prod(_shape(value))


def _bytes(value: Any) -> int:
    text = str(getattr(value.type, "element_type", "f32"))
    bits = int("".join(filter(str.isdigit, text)) or 8)
    return _elements(value) * max(bits // 8, 1)


def _updated(operation: Any, name: str) -> Any:
    """The values that an update writes to an array, which stays in place; None for other operations."""
    return list(operation.operands)[{"dynamic_update_slice": 1, "scatter": -1}[name]] if name in IN_PLACE else None


def _traffic(operation: Any, name: str) -> int:
    """Bytes that a kernel reads and writes."""
    if (update := _updated(operation, name)) is not None:
        return 2 * _bytes(update)
    written = sum(map(_bytes, operation.results))
    return written if name in GATHERS else written + sum(_bytes(value) for value in operation.operands)


def _operations(operation: Any, name: str) -> int:
    """Floating-point operations of a kernel."""
    if (update := _updated(operation, name)) is not None:
        return _elements(update)
    made = sum(map(_elements, operation.results))
    if name == "dot_general":
        left, right = operation.operands
        # Each result is a sum over the contracted axes: |left| |right| = |batch| |contracted|^2 |result|.
        batch = _batch_size(operation, left)
        return round(2 * made * (_elements(left) * _elements(right) / (batch * made)) ** 0.5)
    if name == "convolution":
        kernel = operation.operands[1]
        return 2 * made * _elements(kernel) // max(_shape(kernel))
    return sum(map(_elements, operation.operands)) if name == "reduce" else made


def _batch_size(operation: Any, left: Any) -> int:
    text = str(operation.attributes["dot_dimension_numbers"])
    _, found, rest = text.partition("lhs_batching_dimensions = [")
    axes = [int(axis) for axis in rest.partition("]")[0].split(",") if axis.strip()] if found else []
    return prod(_shape(left)[axis] for axis in axes)


def lines(region: Region, name: str, depth: int = 0) -> Iterator[str]:
    """Lines that describe the counts."""
    yield f"{'  ' * depth}{name}: {region.kernels} kernels, {region.bytes:,} bytes, {region.operations:,} operations"
    for number, loop in enumerate(region.loops):
        yield from lines(loop, f"loop {number}", depth + 1)
    for branches in region.branches:
        counts = [branch.kernels for branch in branches]
        yield f"{'  ' * (depth + 1)}{len(branches)} branches of {min(counts)} to {max(counts)} kernels"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", default="ae")
    parser.add_argument("--lanes", type=int, default=4)
    options = parser.parse_args()
    from optsearch.proxy_tasks.lowering import trace_loop
    from optsearch.proxy_tasks.registry import get_task

    traced = trace_loop(get_task(options.task), options.lanes)
    print("\n".join(lines(counted(traced.lower(lowering_platforms=("cuda",))), options.task)))


if __name__ == "__main__":
    main()
