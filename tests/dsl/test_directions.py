"""The two distances between behaviours agree on constant factors and differ on factors that change over steps."""

from __future__ import annotations

import numpy as np
import pytest

from optsearch.dsl.directions import sequence_direction, sequence_distance, step_directions, step_distance

RNG = np.random.default_rng(0)
UPDATES = RNG.standard_normal((50, 8))
RAMP = np.linspace(0.1, 1.0, 50)[:, None]


def by_step(first: np.ndarray, second: np.ndarray) -> float:
    one, other = step_directions(first), step_directions(second)
    assert one is not None
    assert other is not None
    return step_distance(one, other)


def by_sequence(first: np.ndarray, second: np.ndarray) -> float:
    one, other = sequence_direction(first.ravel()), sequence_direction(second.ravel())
    assert one is not None
    assert other is not None
    return sequence_distance(one, other)


@pytest.mark.parametrize("distance", [by_step, by_sequence])
def test_zero_for_equal_directions_and_two_for_opposite_ones(distance) -> None:
    assert distance(UPDATES, 3.0 * UPDATES) == pytest.approx(0.0, abs=1e-12)
    assert distance(UPDATES, -0.5 * UPDATES) == pytest.approx(2.0)
    assert 0.0 < distance(UPDATES, np.roll(UPDATES, 1, axis=0)) < 2.0


def test_only_the_distance_of_sequences_sees_step_sizes() -> None:
    assert by_step(UPDATES, RAMP * UPDATES) == pytest.approx(0.0, abs=1e-12)
    assert by_sequence(UPDATES, RAMP * UPDATES) > 0.1


def test_for_one_step_both_are_functions_of_the_angle() -> None:
    first, second = UPDATES[:1], UPDATES[1:2]
    assert by_sequence(first, second) ** 2 / 2 == pytest.approx(by_step(first, second))


def test_without_a_direction_there_is_none() -> None:
    stopped, wild = UPDATES.copy(), UPDATES.copy()
    stopped[3], wild[3, 0] = 0.0, np.inf
    assert step_directions(stopped) is None
    assert sequence_direction(stopped.ravel()) is not None
    for updates in (wild, 0.0 * UPDATES, 1e200 * UPDATES, np.full((2, 2), np.nan)):
        assert step_directions(updates) is None
        assert sequence_direction(updates.ravel()) is None
