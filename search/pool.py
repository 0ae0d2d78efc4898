"""Pools: asynchronous calls of one function on many values.

The caller numbers the calls and receives (number, result) pairs in order of completion, so that a slow call does not
block the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
Asked = TypeVar("Asked", contravariant=True)
Found = TypeVar("Found", covariant=True)


class Pool(Protocol[Asked, Found]):
    """Protocol: accepts calls and returns their results in any order."""

    @property
    def room(self) -> int:
        """Number of pending calls that keeps the pool fully occupied, at least 1."""
        ...

    def submit(self, number: int, value: Asked) -> None:
        """Submits a call; its number must differ from those of all pending calls."""
        ...

    def collect(self) -> tuple[int, Found]:
        """Returns the number and result of a completed call; blocks until there is one. Requires a pending call."""
        ...


class Here(Generic[T, R]):
    """In-process pool: ``collect`` executes the calls in order of submission."""

    room = 1

    def __init__(self, run: Callable[[T], R]):
        self._run, self._queue = run, deque[tuple[int, T]]()

    def submit(self, number: int, value: T) -> None:
        """Submits a call."""
        self._queue.append((number, value))

    def collect(self) -> tuple[int, R]:
        """Executes the oldest pending call."""
        number, value = self._queue.popleft()
        return number, self._run(value)


def in_order(pool: Pool[T, R], values: Iterable[T]) -> Iterator[R]:
    """Yields results in the order of the values, as soon as available. The pool must have no other user."""
    count = 0
    for count, value in enumerate(values, start=1):
        pool.submit(count - 1, value)
    there: dict[int, R] = {}
    for number in range(count):
        while number not in there:
            found, result = pool.collect()
            there[found] = result
        yield there.pop(number)
