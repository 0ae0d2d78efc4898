"""Significance tests: agreement with scipy, and error rates over simulated studies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from optsearch.selection.significance import EXACT, holm, pairs_needed, permutation_test, smallest_p_value
from optsearch.selection.statistics import minimum_detectable_effect

LEVEL = 0.05


@pytest.mark.parametrize("count", [2, 3, 5, 8, 11])
def test_exact_p_values_are_scipys(count: int) -> None:
    values = np.random.default_rng(count).normal(0.4, 1.0, count)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    ).pvalue
    assert permutation_test(values.tolist()) == pytest.approx(expected)


def test_many_pairs_are_sampled_and_agree_with_students_test() -> None:
    values = np.random.default_rng(3).normal(0.5, 1.0, EXACT + 20)
    assert permutation_test(values.tolist()) == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, abs=0.01)
    assert permutation_test((values + 100).tolist()) == smallest_p_value(len(values))


@pytest.mark.parametrize("level", [0.05, 0.025, 0.01, 0.05 / 30])
def test_the_fewest_pairs_are_enough(level: float) -> None:
    count = pairs_needed(level)
    assert smallest_p_value(count) <= level < smallest_p_value(count - 1)


def test_ties_and_nothing_at_all() -> None:
    assert permutation_test([]) == permutation_test([0.0, 0.0]) == 1.0
    assert permutation_test([1.0] * 6) == smallest_p_value(6) == 2 / 64
    with pytest.raises(ValueError, match="finite"):
        permutation_test([1.0, math.nan])


def test_holms_correction_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@pytest.mark.parametrize("seed", range(20))
def test_holms_correction_lies_between_none_and_bonferronis(seed: int) -> None:
    p_values = np.random.default_rng(seed).uniform(size=7) ** 3
    corrected = np.array(holm(p_values.tolist()))
    assert (corrected >= p_values).all()
    assert (corrected <= np.minimum(7 * p_values, 1.0)).all()
    assert (np.diff(corrected[np.argsort(p_values)]) >= 0).all()


def winners(rng: np.random.Generator, contenders: int, tasks: int, seeds: int, advantage: float) -> int:
    """Programs said to be better than the baseline in a simulated study; the first one is better on every task."""
    p_values: list[float] = []
    better: list[bool] = []
    for _ in range(tasks):
        shared = rng.normal(0.0, 3.0, seeds)  # initial weights and batches, the same for all
        control = shared + rng.normal(0.0, 1.0, seeds)
        for contender in range(contenders):
            losses = shared + rng.standard_t(5, seeds) - (advantage if contender == 0 else 0.0)
            p_values.append(permutation_test((losses - control).tolist()))
            better.append(bool(losses.mean() < control.mean()))
    return sum(p <= LEVEL and good for p, good in zip(holm(p_values), better, strict=True))


def test_false_winners_are_no_more_than_the_level() -> None:
    rng = np.random.default_rng(0)
    assert sum(winners(rng, 4, 2, 10, 0.0) > 0 for _ in range(200)) <= LEVEL * 200


def test_the_stated_power_is_reached() -> None:
    rng = np.random.default_rng(1)
    deviation = math.sqrt(1.0 + 5.0 / 3.0)  # of a normal and a t(5) variable
    effect = minimum_detectable_effect(deviation, 12, LEVEL / 3, power=0.8)
    assert sum(winners(rng, 3, 1, 12, effect) > 0 for _ in range(200)) >= 0.8 * 200


@pytest.mark.parametrize(("effect", "pairs", "power"), [(0.5, 34, 0.8078), (0.8, 15, 0.8213), (0.2, 199, 0.8017)])
def test_detectable_effects_are_the_published_ones(effect: float, pairs: int, power: float) -> None:
    # Sample sizes of paired t tests at the two-sided 5 % level: Cohen (1988), table 2.4.1; Faul et al. (2007), G*Power.
    assert minimum_detectable_effect(1.0, pairs, 0.05, power) == pytest.approx(effect, abs=2e-3)


def test_one_pair_detects_nothing() -> None:
    assert minimum_detectable_effect(1.0, 1, 0.05) == math.inf
    assert minimum_detectable_effect(0.0, 5, 0.05) == 0.0
