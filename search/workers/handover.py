"""In-process evaluation until the workers have started.

Ray and its workers take seconds to start. A new or resumed search does not wait for them, because evaluations and
training runs give equal results in every process.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from optsearch.search.pool import Pool
from optsearch.search.scoring.evaluate import Evaluator, EvaluatorStatistics, InProcessEvaluator
from optsearch.search.scoring.fitness import Fitness, Job, Setting

T = TypeVar("T")
R = TypeVar("R")


class StartingEvaluator(Evaluator, Protocol):
    """An evaluator that accepts jobs before its workers have started."""

    def ready(self) -> bool:
        """Returns True if at least one worker has started; does not block."""
        ...


class HeadStart:
    """Evaluates in this process while another evaluator is created in the background, then hands over to it.

    Args:
        setting: definition of the fitness.
        make: creates the other evaluator; runs in a separate thread.
        workers: number of concurrent jobs of the other evaluator.
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
        """The background evaluator; None until it is created."""
        return self._other

    @property
    def statistics(self) -> EvaluatorStatistics:
        """Statistics of the background evaluator."""
        return EvaluatorStatistics() if self._other is None else self._other.statistics

    def submit(self, jobs: Sequence[Job]) -> None:
        """Enqueues a batch of jobs."""
        if self._over and self._other is not None:
            self._other.submit(jobs)
        else:
            self._queue.append(list(jobs))

    def collect(self, timeout_s: float) -> list[tuple[Job, Fitness]]:
        """Returns results of the background evaluator once it is ready; until then, evaluates the next jobs here.

        Raises:
            EvaluationError: an evaluation raised an exception.
            BaseException: the exception raised during the creation of the background evaluator.
        """
        self.complain()
        if not self._over and self._other is not None and self._other.ready():
            self._over = True
            self._here = InProcessEvaluator(self._setting)  # frees the trainers and their compiled functions
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
        """Creates a pool that calls in this process until the background evaluator exists, then on its workers."""
        return _HeadStartPool(self, run)

    def complain(self) -> None:
        """Raises the exception of a failed creation of the background evaluator, if any."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Closes the background evaluator, after its creation if that is still running."""
        self._queue.clear()
        self._closed.set()
        self._thread.join()

    def _make(self, make: Callable[[], StartingEvaluator]) -> None:
        """Creates the evaluator and keeps the thread alive: Ray's processes end with the thread that started them."""
        try:
            self._other = make()
        except BaseException as error:  # noqa: BLE001 - raised again when results are collected
            self._error = error
            return
        self._closed.wait()
        self._other.close()


class _HeadStartPool(Generic[T, R]):
    """Pool in this process until the background evaluator exists, then on its workers.

    Args:
        evaluator: creates the background evaluator.
        run: function to call.
    """

    def __init__(self, evaluator: HeadStart, run: Callable[[T], R]):
        self._evaluator, self._run = evaluator, run
        self._waiting = deque[tuple[int, T]]()
        self._there: Pool[T, R] | None = None

    @property
    def room(self) -> int:
        """Maximum number of pending calls; 1 while calls run in this process."""
        there = self._hand_over()
        return 1 if there is None else there.room

    def submit(self, number: int, value: T) -> None:
        """Submits a call."""
        if self._there is None:
            self._waiting.append((number, value))
        else:
            self._there.submit(number, value)

    def collect(self) -> tuple[int, R]:
        """Returns a result of the workers; until they exist, executes the oldest pending call in this process."""
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
