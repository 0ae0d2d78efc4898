"""Evaluation in this process until the workers are there.

Ray and its workers need seconds to start. A search that is resumed, or only just begun, need not wait for them: an
evaluation is the same wherever it is made, and so is a training run.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from optsearch.search.evaluate import Evaluator, InProcessEvaluator
from optsearch.search.fitness import Fitness, Job, Setting
from optsearch.search.pool import Pool

T = TypeVar("T")
R = TypeVar("R")


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
        self.complain()
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

    def pool(self, run: Callable[[T], R]) -> Pool[T, R]:
        """Calls here until the other evaluator is made, then by those who worked for it."""
        return _HeadStartPool(self, run)

    def complain(self) -> None:
        """Raises what making the other raised, if it did."""
        if self._error is not None:
            raise self._error

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


class _HeadStartPool(Generic[T, R]):
    """Calls in this process until an evaluator is made in the background, then calls by its workers.

    Args:
        evaluator: what makes the other.
        run: what is called.
    """

    def __init__(self, evaluator: HeadStart, run: Callable[[T], R]):
        self._evaluator, self._run = evaluator, run
        self._waiting = deque[tuple[int, T]]()
        self._there: Pool[T, R] | None = None

    @property
    def room(self) -> int:
        """One as long as calls are made here."""
        there = self._hand_over()
        return 1 if there is None else there.room

    def submit(self, number: int, value: T) -> None:
        """Take a value."""
        if self._there is None:
            self._waiting.append((number, value))
        else:
            self._there.submit(number, value)

    def collect(self) -> tuple[int, R]:
        """A result of the workers once they are there; before, the call that has waited longest is made here."""
        there = self._hand_over()
        if there is not None:
            return there.collect()
        number, value = self._waiting.popleft()
        return number, self._run(value)

    def _hand_over(self) -> Pool[T, R] | None:
        self._evaluator.complain()
        other = self._evaluator.other
        if self._there is None and other is not None:
            self._there = other.pool(self._run)
            while self._waiting:
                self._there.submit(*self._waiting.popleft())
        return self._there
