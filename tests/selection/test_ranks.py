"""Statistics over tasks and rankings match scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from optsearch.selection.comparison.comparison import times_to_target
from optsearch.selection.statistics.ranks import kendall_tau, probability_of_improvement
from optsearch.selection.statistics.time_to_target import performance_profile, steps_to_target, target_place


def test_probability_of_improvement_is_mann_whitneys() -> None:
    rng = np.random.default_rng(0)
    mine, theirs = rng.integers(0, 6, 9).astype(float), rng.integers(1, 7, 7).astype(float)
    statistic = stats.mannwhitneyu(theirs, mine).statistic
    assert probability_of_improvement(mine.tolist(), theirs.tolist()) == pytest.approx(statistic / 63)
    assert probability_of_improvement([math.inf], [1.0]) == 0.0
    assert probability_of_improvement([math.inf], [math.inf]) == 0.5


@pytest.mark.parametrize("levels", [4, 1000])
def test_kendalls_tau_is_scipys(levels: int) -> None:
    rng = np.random.default_rng(levels)
    first = rng.integers(0, levels, 15)
    second = first + rng.integers(0, levels, 15)
    assert kendall_tau(first.tolist(), second.tolist()) == pytest.approx(stats.kendalltau(first, second).statistic)
    assert kendall_tau([1, 1, 1], [1, 2, 3]) is None
    assert kendall_tau([], []) is None


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="both sides"):
        probability_of_improvement([1.0], [])


def test_steps_to_a_target() -> None:
    checkpoints, curve = (10, 20, 30), (4.0, 2.0, 1.0)
    assert steps_to_target(checkpoints, curve, 5.0) == 10
    assert steps_to_target(checkpoints, curve, 3.0) == 15
    assert steps_to_target(checkpoints, curve, 1.0) == 30
    assert steps_to_target(checkpoints, curve, 0.5) == math.inf
    assert steps_to_target(checkpoints, curve[:1], 3.0) == math.inf, "a run that failed before it got there"
    assert steps_to_target(checkpoints, (None, 2.0, 1.0), 3.0) == 20, "nothing to interpolate from"
    assert steps_to_target(checkpoints, (4.0, None, 1.0), 3.0) == 30
    assert steps_to_target(checkpoints, (None, None, None), 3.0) == math.inf


def test_a_profile_counts_failures() -> None:
    profile = performance_profile({"a": [10, 30, math.inf, math.inf], "b": [20, 20, 5, math.inf]}, (1.0, 1.5, 2.0))
    assert profile == {"a": [0.25, 0.5, 0.5], "b": [0.5, 0.5, 0.75]}


def test_time_to_what_the_reference_has_after_three_quarters_of_its_steps() -> None:
    assert target_place([10, 20, 30, 40]) == 2
    assert target_place([3, 6, 9, 12, 15]) == 3, "never before"
    curves = {"t": {"base": [[4.0, 3.0, 2.0, 1.5], [4.0, 3.0, 2.0, 1.0]], "quick": [[2.0, 1.0, 0.9, 0.8], [4.0]]}}
    found = times_to_target(curves, {"t": [10, 20, 30, 40]}, {"base": 2.0, "quick": 8.0}, "base")
    base, quick = found
    assert (base.reached, base.failed, base.median_steps) == (1.0, (("t", 0),), (("t", 30.0),))
    assert (quick.reached, quick.failed, quick.median_steps) == (0.5, (("t", 1),), (("t", None),))
    assert (base.profile_steps[0], quick.profile_steps) == (0.5, (0.5,) * 6), "10 steps against 30, and a failure"
    assert (base.profile_cost, quick.profile_cost) == ((1.0, *(1.0,) * 5), (0.0, 0.0, 0.0, 0.5, 0.5, 0.5)), "60 and 80"
