"""A ladder: the three rungs of a family of tasks, from the proxy to a hundred times its compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from optsearch.proxy_tasks.datasets.dataset import Dataset
from optsearch.proxy_tasks.models.model import Model
from optsearch.proxy_tasks.objectives import Objective
from optsearch.proxy_tasks.task import RUNGS, Task, Use

Rung = tuple[Callable[[], Dataset], Model, int, int]
"""Data, model, batch size, steps."""


def ladder(family: str, description: str, objective: Objective, *rungs: Rung, use: Use = "held out") -> Iterator[Task]:
    """Yields the tasks of a family.

    Args:
        family: name of the family and of its proxy.
        description: one sentence.
        objective: the loss of all rungs.
        *rungs: the proxy, and the rungs with about ten and a hundred times its compute.
        use: purpose of the proxy; larger rungs are held out.
    """
    for rung, (dataset, model, batch_size, steps) in zip(RUNGS, rungs, strict=True):
        proxy = rung == RUNGS[0]
        yield Task(
            name=family if proxy else f"{family}-{rung}",
            description=description,
            dataset=dataset,
            model=model,
            objective=objective,
            batch_size=batch_size,
            steps=steps,
            use=use if proxy else "held out",
            family=family,
            rung=rung,
        )
