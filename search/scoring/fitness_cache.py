"""The fitness cache: programs with equal fingerprints are evaluated once.

In a long search, nine of ten children are functionally equivalent to an earlier program. The cache maps each
fingerprint to the first ticket that had it. This ticket *owns* the evaluation, even while it is still running.

Source: Chen et al. 2023 (arXiv:2302.06675), section 2.2; Real et al. 2020 (arXiv:2003.03384).
"""

from __future__ import annotations

from optsearch.search.scoring.fitness import Fitness


class FitnessCache:
    """Maps fingerprints to owner tickets, and owner tickets to fitness."""

    def __init__(self) -> None:
        self._owners: dict[str, int] = {}
        self._fitness: dict[int, Fitness] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def owner(self, fingerprint: str, ticket: int) -> int:
        """Returns the owner of a fingerprint; ``ticket`` itself if the fingerprint is new."""
        return self._owners.setdefault(fingerprint, ticket)

    def put(self, owner: int, fitness: Fitness) -> None:
        """Stores the result of an owner."""
        self._fitness[owner] = fitness

    def get(self, owner: int) -> Fitness | None:
        """Returns the result of an owner; None while its evaluation is running."""
        return self._fitness.get(owner)
