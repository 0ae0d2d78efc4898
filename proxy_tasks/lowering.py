"""Tracing of the interpreter's training loop from shapes alone: nothing is compiled, and no device is needed.

The trace can be lowered for a platform that this machine does not have, and its memory can be computed (`memory`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optsearch.dsl.dataflow import prune
from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.compilation import pinned_settings
from optsearch.proxy_tasks.execution import engine
from optsearch.proxy_tasks.execution.batches import Batches, prepare_lanes
from optsearch.proxy_tasks.execution.encoding import encode
from optsearch.proxy_tasks.execution.script import Scripts, scripts
from optsearch.proxy_tasks.task import Task

if TYPE_CHECKING:
    from jax.stages import Traced, Wrapped


def abstract_batches(task: Task, lanes: int) -> Batches:
    """Shapes and dtypes of the inputs of ``lanes`` training runs, as `jax.ShapeDtypeStruct`."""
    import jax
    import jax.numpy as jnp

    weights, order = jax.eval_shape(lambda seeds: prepare_lanes(task, seeds), np.zeros(lanes, np.uint32))
    train, validation, test = (jax.eval_shape(lambda s: jax.tree.map(jnp.asarray, s), s) for s in task.data.splits)
    return Batches(weights, order, train, validation, test)


def example_scripts(lanes: int, *, matrices: bool, grouped: bool) -> Scripts:
    """Scripts of ``lanes`` times one library program: AdamW, or with orthogonalised steps if ``matrices``."""
    code = encode(prune(LIBRARY["orthogonal-adamw" if matrices else "adamw"]))
    return scripts([code] * lanes if code is not None else [], grouped=grouped)  # library programs fit the interpreter


def loop_inputs(
    task: Task, lanes: int, *, matrices: bool = False, grouped: bool = True
) -> tuple[Scripts, Batches, np.ndarray, np.ndarray]:
    """Inputs of `loop_function`: scripts, shapes of batches, rates [lanes, steps], limits [lanes, checkpoints]."""
    rates = np.ones((lanes, task.steps), np.float32)
    limits = np.full((lanes, len(task.checkpoints)), np.inf, np.float32)
    programs = example_scripts(lanes, matrices=matrices, grouped=grouped)
    return programs, abstract_batches(task, lanes), rates, limits


def loop_function(task: Task, *, matrices: bool = False) -> Wrapped:
    """The jitted training loop of a task, as a `Trainer` compiles it; nothing is traced yet.

    Args:
        task: the task.
        matrices: True for the loop of programs that call functions of matrices.
    """
    import jax

    return jax.jit(lambda *arguments: engine.run(task, *arguments, matrices=matrices))


@pinned_settings()
def trace_loop(task: Task, lanes: int, *, matrices: bool = False, grouped: bool = True) -> Traced:
    """Traces complete training runs of a task.

    Args:
        task: the task.
        lanes: number of lanes, at least 1.
        matrices: as in `loop_function`.
        grouped: True for the order of statements on accelerators; see `execution.script`.

    Returns:
        The trace. ``.lower(lowering_platforms=("cuda",))`` lowers it for a platform.
    """
    inputs = loop_inputs(task, lanes, matrices=matrices, grouped=grouped)
    return loop_function(task, matrices=matrices).trace(*inputs)
