"""Adaptive mutation weights: mutations that have improved their parents more often are drawn more often.

A mutation's rate of success is the share of its evaluated children that are better than their parents, with older
children discounted. Its weight is multiplied by this rate relative to that of all mutations.

Source: probability matching for adaptive operators (Thierens 2005, doi:10.1145/1068009.1068251).
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

PRIOR = 20.0
"""Number of imagined children, with the success rate of all mutations, with which each mutation starts."""


class AdaptationConfig(BaseModel):
    """Adaptation of the mutation weights.

    Attributes:
        floor: lowest factor on a weight; the highest is its reciprocal.
        memory: number of evaluated children after which the influence of a child has fallen to 1/e.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    floor: float = Field(default=0.2, gt=0.0, le=1.0, allow_inf_nan=False)
    memory: float = Field(default=1000.0, ge=1.0, le=1e9, allow_inf_nan=False)


class Adaptation:
    """Success rates of mutations, and the factors on their weights.

    Args:
        config: bounds and memory.
    """

    def __init__(self, config: AdaptationConfig):
        self._config = config
        self._keep = 1.0 - 1.0 / config.memory
        self._tried: dict[str, float] = {}
        self._improved: dict[str, float] = {}
        self._factors: dict[str, float] = {}

    def note(self, mutation: str, improved: bool) -> None:
        """Adds the result of an evaluated child.

        Args:
            mutation: name of the mutation.
            improved: True if the child is better than its parent.
        """
        for counts in (self._tried, self._improved):
            for name in counts:
                counts[name] *= self._keep
        self._tried[mutation] = self._tried.get(mutation, 0.0) + 1.0
        self._improved[mutation] = self._improved.get(mutation, 0.0) + improved
        self._factors = {}

    @property
    def factors(self) -> Mapping[str, float]:
        """Factor on the weight of each mutation tried so far; 1 for all others."""
        if not self._factors and self._tried:
            overall = (sum(self._improved.values()) + 1.0) / (sum(self._tried.values()) + 2.0)
            lowest, highest = self._config.floor, 1.0 / self._config.floor
            for name, tried in self._tried.items():
                rate = (self._improved[name] + PRIOR * overall) / (tried + PRIOR)
                self._factors[name] = min(max(rate / overall, lowest), highest)
        return self._factors
