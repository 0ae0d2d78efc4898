"""The fitness cache: programs that mean the same are evaluated once.

Nine of ten children in a long search change nothing that matters. The cache knows by fingerprint which earlier ticket
already stands for that meaning; that ticket *owns* the evaluation, even while it is still running.

Source: Chen et al. 2023 (arXiv:2302.06675), section 2.2; Real et al. 2020 (arXiv:2003.03384).
"""

from __future__ import annotations

from optsearch.search.fitness import Fitness


class FitnessCache:
    """Fingerprint -> owner ticket -> fitness, once it is known."""

    def __init__(self) -> None:
        self._owners: dict[str, int] = {}
        self._fitness: dict[int, Fitness] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def owner(self, fingerprint: str, ticket: int) -> int:
        """The ticket that owns the evaluation of a fingerprint; ``ticket`` itself when the fingerprint is new."""
        return self._owners.setdefault(fingerprint, ticket)

    def put(self, owner: int, fitness: Fitness) -> None:
        """Make the result of an owner known."""
        self._fitness[owner] = fitness

    def get(self, owner: int) -> Fitness | None:
        """The result of an owner; None while its evaluation runs."""
        return self._fitness.get(owner)
