"""Evaluation in this process until the workers are there.

Ray and its workers need seconds to start. A search that is resumed, or only just begun, need not wait for them: an
evaluation is the same wherever it is made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from search.evaluate import Evaluator, InProcessEvaluator
from search.fitness import Fitness, Job, Setting


class StartingEvaluator(Evaluator, Protocol):
    """An evaluator that takes jobs from the beginning, but has nobody to do them at first."""

    def ready(self) -> bool:
        """Whether a worker is there; does not wait."""
        ...


class HeadStart:
    """Evaluates here while another evaluator is made in the background, then hands over to it.

    Args:
        setting: what fitness means.
        make: makes the other; runs in a thread of its own.
        workers: how many jobs the other will run at a time.
    """

    def __init__(self, setting: Setting, make: Callable[[], StartingEvaluator], workers: int):
        self.workers, self._setting = workers, setting
        self._here, self._queue = InProcessEvaluator(setting), list[list[Job]]()
        self._other: StartingEvaluator | None = None
        self._over = False
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._make, args=(make,), daemon=True)
        self._thread.start()

    @property
    def other(self) -> StartingEvaluator | None:
        """The evaluator in the background; None until it is made."""
        return self._other

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take one batch of jobs."""
        if self._over and self._other is not None:
            self._other.submit(jobs)
        else:
            self._queue.append(list(jobs))

    def collect(self, timeout_s: float) -> list[tuple[int, Fitness]]:
        """Results of the other once it is ready; before, the next job is done here.

        Raises:
            EvaluationError: an evaluation raised.
            BaseException: what making the other raised.
        """
        if self._error is not None:
            raise self._error
        if not self._over and self._other is not None and self._other.ready():
            self._over = True
            self._here = InProcessEvaluator(self._setting)  # lets go of the trainers and all that they have compiled
            for batch in filter(None, self._queue):
                self._other.submit(batch)
            self._queue.clear()
        if self._over and self._other is not None:
            return self._other.collect(timeout_s)
        while self._queue and not self._queue[0]:
            self._queue.pop(0)
        if not self._queue:
            return []
        self._here.submit(self._queue[0][: self._setting.lanes])
        del self._queue[0][: self._setting.lanes]
        return self._here.collect(timeout_s)

    def close(self) -> None:
        """End the other, as soon as it is made."""
        self._queue.clear()
        self._closed.set()
        self._thread.join()

    def _make(self, make: Callable[[], StartingEvaluator]) -> None:
        """Makes the other and stays: the system ends Ray's processes together with the thread that has started them."""
        try:
            self._other = make()
        except BaseException as error:  # noqa: BLE001 - it is raised where results are collected
            self._error = error
            return
        self._closed.wait()
        self._other.close()
