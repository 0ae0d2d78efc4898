"""Shipped trackers and plug-ins by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from optsearch.dsl.verify import nearest
from optsearch.proxy_tasks import plugins
from optsearch.proxy_tasks.plugins import plug_ins
from optsearch.runs.trackers.mlflow import MLflow
from optsearch.runs.trackers.tensorboard import TensorBoard
from optsearch.runs.trackers.tracker import Tracker, TrackerError
from optsearch.runs.trackers.tracking import Tracking
from optsearch.runs.trackers.wandb import WeightsAndBiases

_SHIPPED: Mapping[str, Callable[[], Tracker]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WeightsAndBiases,
}

TRACKERS = tuple(_SHIPPED)
"""Names of the shipped trackers."""


def track(tracker: str | Tracker) -> Tracking:
    """Makes a callback for ``search`` that writes a run with a tracker.

    Args:
        tracker: ``tensorboard``, ``mlflow``, ``wandb``, the name of a plug-in, or a tracker as a value.

    Raises:
        TrackerError: there is no such tracker, or its package is not installed.
        PlugInError: the tracker is a plug-in that cannot be made.
    """
    if not isinstance(tracker, str):
        return Tracking(tracker, type(tracker).__name__)
    name = tracker.lower()
    if name in _SHIPPED:
        return Tracking(_SHIPPED[name](), name)
    installed = plug_ins(plugins.TRACKERS, TRACKERS)
    if name not in installed:
        names = [*TRACKERS, *(one.name for one in installed.values())]
        raise TrackerError(f"no tracker '{tracker}'{nearest(name, names)}; there are {', '.join(names)}")
    make = installed[name].load().made
    try:
        return Tracking(make(), name)
    except TrackerError:
        raise
    except Exception as error:
        raise installed[name].fault(f"cannot be made: {type(error).__name__}: {error}") from error
