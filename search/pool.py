"""Calls of one function on many values, here or elsewhere, whose results come as they are ready.

Whoever asks gives each call a number and gets it back with the result, so that nothing waits for the slowest call.
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
    """Takes values, gives results in any order."""

    @property
    def room(self) -> int:
        """Calls that may be on their way before more are of no use, at least 1."""
        ...

    def submit(self, number: int, value: Asked) -> None:
        """Take a value; its number is none that is on its way."""
        ...

    def collect(self) -> tuple[int, Found]:
        """Number and result of a call that has ended; waits for one, of which at least one is on its way."""
        ...


class Here(Generic[T, R]):
    """Calls in this process, first come first served: a call is made when its result is collected."""

    room = 1

    def __init__(self, run: Callable[[T], R]):
        self._run, self._queue = run, deque[tuple[int, T]]()

    def submit(self, number: int, value: T) -> None:
        """Take a value."""
        self._queue.append((number, value))

    def collect(self) -> tuple[int, R]:
        """Call the function on the value that has waited longest."""
        number, value = self._queue.popleft()
        return number, self._run(value)


def in_order(pool: Pool[T, R], values: Iterable[T]) -> Iterator[R]:
    """Results in the order of the values, each as soon as it and all before it are there; nobody else asks the pool."""
    count = 0
    for count, value in enumerate(values, start=1):
        pool.submit(count - 1, value)
    there: dict[int, R] = {}
    for number in range(count):
        while number not in there:
            found, result = pool.collect()
            there[found] = result
        yield there.pop(number)
