"""The choice of a learning rate."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from proxy_tasks.outcome import Outcome, TrainingResult
from selection.tuning import GRID, choose, fresh_seeds, tuning_seeds

FAILED = TrainingResult(Outcome.NON_FINITE, None, None, None, 3, ())


def ended(loss: float) -> TrainingResult:
    return TrainingResult(Outcome.OK, loss, loss, None, 10, (loss,))


def test_the_grid_spans_four_decades_in_half_decades_around_one() -> None:
    assert GRID[0] == pytest.approx(1e-2)
    assert GRID[-1] == pytest.approx(1e2)
    assert 1.0 in GRID
    ratios = [after / before for before, after in pairwise(GRID)]
    assert ratios == pytest.approx([math.sqrt(10)] * (len(GRID) - 1))


def test_the_lowest_mean_loss_wins() -> None:
    tuned = choose({0.1: [ended(3), ended(1)], 1.0: [ended(1.5), ended(1.5)], 10.0: [ended(4), ended(4)]})
    assert (tuned.factor, tuned.loss, tuned.at_edge) == (1.0, 1.5, False)
    assert tuned.losses == (2.0, 1.5, 4.0)


def test_one_failed_seed_makes_a_rate_infinitely_bad() -> None:
    tuned = choose({0.1: [ended(3), ended(3)], 1.0: [ended(0.1), FAILED], 10.0: [FAILED, FAILED]})
    assert tuned.factor == 0.1
    assert tuned.at_edge
    assert tuned.losses == (3.0, math.inf, math.inf)


def test_when_all_fail_the_reference_is_kept() -> None:
    tuned = choose({0.1: [FAILED], 1.0: [FAILED], 10.0: [FAILED]})
    assert tuned.factor == 1.0
    assert math.isinf(tuned.loss)


def test_a_grid_of_one_has_no_edge() -> None:
    assert not choose({1.0: [ended(1.0)]}).at_edge
    with pytest.raises(ValueError, match="empty"):
        choose({})


def test_fresh_and_tuning_seeds_never_meet() -> None:
    assert not set(fresh_seeds(10_000)) & set(tuning_seeds(10_000))
    assert max(tuning_seeds(10_000)) < 2**32
