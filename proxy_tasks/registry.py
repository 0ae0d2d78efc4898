"""Every task by name. A new task is one row here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from proxy_tasks import datasets
from proxy_tasks.models import MLP
from proxy_tasks.objectives import Classification, Reconstruction
from proxy_tasks.task import Task, TaskError

_ROWS = (
    Task(
        name="ae",
        description="Autoencoder with a bottleneck of 8 on 8x8 patches of two photographs.",
        dataset=datasets.photograph_patches,
        model=MLP((64, 32, 16, 8, 16, 32, 64), "tanh"),
        objective=Reconstruction(),
        batch_size=32,
        steps=300,
        searchable=True,
    ),
    Task(
        name="X_ae",
        description="The autoencoder at 43 times the compute: wider, deeper, larger batches, more steps.",
        dataset=datasets.photograph_patches,
        model=MLP((64, 128, 64, 16, 8, 16, 64, 128, 64), "tanh"),
        objective=Reconstruction(),
        batch_size=64,
        steps=1000,
        searchable=False,
    ),
    Task(
        name="digits",
        description="Classification of handwritten digits with a small MLP: a second domain.",
        dataset=datasets.digits,
        model=MLP((64, 32, 32, 10), "relu"),
        objective=Classification(),
        batch_size=32,
        steps=300,
        searchable=False,
    ),
)

TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _ROWS})
"""Every task by name; no data are loaded until a task needs them."""


def get_task(name: str) -> Task:
    """The task of a name, in any mixture of capitals.

    Raises:
        TaskError: there is no such task; the message names the nearest one.
    """
    known = {task.name.lower(): task for task in TASKS.values()}
    if name.lower() in known:
        return known[name.lower()]
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.0)
    hint = f"did you mean '{known[near[0]].name}'? " if near else ""
    raise TaskError(f"unknown task '{name}': {hint}the tasks are {', '.join(TASKS)}")
