"""Names of tasks in settings: which exist, and which a search may use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optsearch.proxy_tasks.task import Use


def known_task(name: str, *, for_: Sequence[Use] = (), imports: Sequence[str] = ()) -> str:
    """Returns the canonical name of a task.

    Args:
        name: name of the task, case-insensitive.
        for_: permitted uses of the task. Defaults to any use.
        imports: references of custom tasks, which a search may use; they are not imported, nor are those of installed
            distributions.

    Raises:
        ValueError: the task does not exist, or its use is not permitted.
    """
    from optsearch.proxy_tasks.registry import get_task, plugged_name
    from optsearch.proxy_tasks.task import TaskError

    own = {known.lower(): known for known in own_task_names(imports)}
    if name.lower() in own:
        return own[name.lower()]
    if (plugged := plugged_name(name)) is not None:
        return plugged
    try:
        task = get_task(name)
    except TaskError as error:
        raise ValueError(str(error)) from None
    if for_ == ("search",) and task.use == "set":
        raise ValueError(
            f"task '{task.name}' is only for fitness over several tasks: on its own it has no headroom over tuned "
            "AdamW. List it in further_tasks, next to a search task"
        )
    if for_ and task.use not in for_:
        raise ValueError(f"task '{task.name}' is held out for evaluation: a search must not use it")
    return task.name


def own_task_names(references: Sequence[str]) -> list[str]:
    """Names of custom tasks, which are the names of the referenced objects.

    Args:
        references: ``module:object``; nothing is imported.

    Raises:
        ValueError: one has another form, or the name of a shipped task.
    """
    from optsearch.proxy_tasks.registry import own_task_name
    from optsearch.proxy_tasks.task import TaskError

    try:
        return [own_task_name(reference) for reference in references]
    except TaskError as error:
        raise ValueError(str(error)) from None
