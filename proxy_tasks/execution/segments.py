"""A training run in segments: from checkpoint to checkpoint, with a snapshot in between.

The run of a costly task takes minutes or hours. It calls one compiled function that advances its state to the next
checkpoint, and stores the state there. After a kill, the same run resumes from the last snapshot. A run that is not
interrupted makes the same calls of the same function with the same states, so both have the same bits.

A snapshot is found by the computation itself: its key is a hash of the compiled function's text, of all inputs, and of
the machine, the packages and the settings that affect rounding. A changed optimizer, task or trainer has other
snapshots, and an optimizer needs no name.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from optsearch.proxy_tasks.compilation import cache_folder
from optsearch.proxy_tasks.execution import loop
from optsearch.proxy_tasks.execution.loop import RUNNING, LoopParts, LoopResult, LoopState
from optsearch.proxy_tasks.execution.snapshot import FORMAT, KEPT_BYTES, StateSnapshot, as_bytes
from optsearch.proxy_tasks.machine import accelerator, made_on
from optsearch.proxy_tasks.task import Task

if TYPE_CHECKING:
    import jax

SHARE = 0.01
"""Largest share of the time of a run that writing takes: at a checkpoint that comes sooner, no snapshot is written."""

WRITTEN_A_SECOND = 100e6
"""Assumed rate of writing, in bytes per second, until a process has measured it."""

FOLDER = "snapshots"
"""Name of the folder of snapshots in the user's cache."""

_THREADS = ("XLA_FLAGS", "PJRT_NPROC")
"""Variables that may change the number of threads of a process, and with it the order of sums."""

_log = logging.getLogger(__name__)


class _Compiled(NamedTuple):
    """The compiled function for inputs of certain shapes, and a hash of its text; None if it must not be stored."""

    advance: Callable[..., LoopState]
    text: str | None


class Segments:
    """The training loop of an optimizer, in segments; called like the loop of whole runs.

    A call takes the inputs of ``parts``, of which the last but one are the batches, then ``limits`` and ``validates``
    as in `loop.train`, and returns the results of all lanes.

    Args:
        task: the task.
        parts: maps the inputs to the parts of the loop.
        traced: called whenever the loop is traced, to be compiled.

    Attributes:
        resumed_from: number of steps that the last call found in a snapshot; 0 if it began at the first step.
    """

    def __init__(self, task: Task, parts: Callable[..., LoopParts], traced: Callable[[], None]):
        import jax

        self.resumed_from = 0
        self._task, self._parts, self._traced = task, parts, traced
        self._begin, self._finish = jax.jit(self._to_begin), jax.jit(self._to_finish)
        self._compiled: dict[Any, _Compiled] = {}

    def __call__(self, *arguments: Any) -> LoopResult:
        """Runs from the first step or the last snapshot to the end."""
        import jax

        state = self._begin(*arguments)
        first = _arrays(state)
        compiled = self._compiled_for(state, arguments)
        snapshot = self._snapshot(compiled, first, arguments)
        stored = None if snapshot is None else snapshot.read(first)
        self.resumed_from = 0
        if stored is not None:
            state = _restored(stored, state)
            self.resumed_from = int(state.number)
            _log.info("%s: resumed at step %d of %d", self._task.name, self.resumed_from, self._task.steps)
        places = len(self._task.checkpoints)
        last, writing_s = time.monotonic(), sum(array.nbytes for array in first) / WRITTEN_A_SECOND
        del first, stored  # they would hold the memory of a state to the end of the run
        for until in range(int(state.place) + 1, places + 1):
            state = compiled.advance(state, np.int32(until), *arguments)
            if until == places or not (np.asarray(state.status) == RUNNING).any():
                break
            began = time.monotonic()
            if snapshot is not None and began - last >= writing_s / SHARE:
                snapshot.write(_arrays(state))
                last = time.monotonic()
                writing_s = last - began
        result = jax.block_until_ready(self._finish(state, *arguments))
        if snapshot is not None:
            snapshot.delete()
        return result

    def _compiled_for(self, state: LoopState, arguments: tuple[Any, ...]) -> _Compiled:
        """The compiled function for the shapes of these inputs, from the cache if present."""
        import jax

        leaves, structure = jax.tree.flatten((state, arguments))
        shapes = structure, tuple((np.shape(leaf), str(leaf.dtype)) for leaf in leaves)
        if shapes not in self._compiled:
            lowered = jax.jit(self._to_advance).lower(state, np.int32(0), *arguments)
            text = lowered.as_text()
            # A call back to Python is in the text by number, which does not say what it computes.
            digest = None if "callback" in text else hashlib.sha256(text.encode()).hexdigest()
            self._compiled[shapes] = _Compiled(lowered.compile(), digest)
        return self._compiled[shapes]

    def _snapshot(
        self, compiled: _Compiled, first: Sequence[np.ndarray], arguments: tuple[Any, ...]
    ) -> StateSnapshot | None:
        """The snapshot of a run with these inputs; None if it must not be stored, or is too large for the folder."""
        import jax

        if compiled.text is None or sum(array.nbytes for array in first) > KEPT_BYTES:
            return None
        *inputs, limits, validates = arguments
        *programs, batches, rates = inputs
        numbers = programs, batches.order, rates, limits, validates  # the version of the task has the data
        threads = [os.environ.get(name, "") for name in _THREADS]
        about = (FORMAT, compiled.text, self._task.version, made_on(), accelerator(), *threads)
        digest = hashlib.sha256(repr(about).encode())
        for array in (*first, *map(np.asarray, jax.tree.leaves(numbers))):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(as_bytes(array).data)
        return StateSnapshot(cache_folder() / FOLDER, digest.hexdigest())

    def _to_begin(self, *arguments: Any) -> LoopState:
        *inputs, limits, validates = arguments
        return loop.begin(self._task, self._parts(*inputs), limits, validates=validates)

    def _to_advance(self, state: LoopState, until: jax.Array, *arguments: Any) -> LoopState:
        self._traced()
        *inputs, limits, validates = arguments
        parts, batches = self._parts(*inputs), inputs[-2]
        return loop.advance(self._task, parts, state, batches, limits, until, validates=validates)

    def _to_finish(self, state: LoopState, *arguments: Any) -> LoopResult:
        *inputs, _, _ = arguments
        return loop.finish(self._task, self._parts(*inputs), state, inputs[-2])


def _arrays(state: LoopState) -> list[np.ndarray]:
    """The leaves of a state on the host; of random keys their data."""
    import jax

    return [np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf) for leaf in jax.tree.leaves(state)]


def _restored(arrays: Sequence[np.ndarray], like: LoopState) -> LoopState:
    """The state with these leaves, in the structure of another state of the same run."""
    import jax
    import jax.numpy as jnp

    leaves, structure = jax.tree.flatten(like)
    made = [
        jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf)) if _is_key(leaf) else array
        for array, leaf in zip(arrays, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, made)


def _is_key(leaf: Any) -> bool:
    import jax

    return jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
