"""Significance tests: agreement with scipy, and error rates over simulated studies."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from optsearch.selection.statistics.intervals import minimum_detectable_difference
from optsearch.selection.statistics.significance import (
    EXACT,
    PERMUTATIONS,
    holm,
    permutation_test,
    replicates_needed,
    smallest_p_value,
)

LEVEL = 0.05


def welch(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    a, b = np.moveaxis(first, axis, -1), np.moveaxis(second, axis, -1)
    error = a.var(-1, ddof=1) / a.shape[-1] + b.var(-1, ddof=1) / b.shape[-1]
    return np.abs(a.mean(-1) - b.mean(-1)) / np.sqrt(error)


@pytest.mark.parametrize(("one", "two"), [(2, 3), (3, 3), (5, 5), (4, 6)])
def test_exact_p_values_are_scipys(one: int, two: int) -> None:
    rng = np.random.default_rng(one)
    first, second = rng.normal(0.4, 1.0, one), rng.normal(0.0, 2.0, two)
    expected = stats.permutation_test(
        (first, second), welch, permutation_type="independent", n_resamples=np.inf, alternative="greater"
    ).pvalue
    assert permutation_test([(first.tolist(), second.tolist())]) == pytest.approx(expected)


def test_two_tasks_are_permuted_independently() -> None:
    rng = np.random.default_rng(0)
    tasks = [(rng.normal(0.5, 1.0, 3).tolist(), rng.normal(0.0, 1.0, 3).tolist()) for _ in range(2)]
    scaled = [([100 * x for x in a], [100 * x for x in b]) for a, b in tasks]
    p = permutation_test(tasks)
    assert p == permutation_test([scaled[0], tasks[1]]), "the unit of a task does not matter"
    assert round(p * 400) == pytest.approx(p * 400), "20 choices on each task"
    assert permutation_test([([1.0, 1.1, 1.2], [5.0, 5.1, 5.2])] * 2) == pytest.approx(2 / 400)


def test_many_permutations_are_sampled_and_agree_with_welchs_test() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.5, 1.0, 20), rng.normal(0.0, 1.5, 20)
    assert math.comb(40, 20) > EXACT
    expected = stats.ttest_ind(first, second, equal_var=False).pvalue
    assert permutation_test([(first.tolist(), second.tolist())]) == pytest.approx(expected, abs=0.01)
    assert (
        permutation_test([((first + 100).tolist(), second.tolist())]) == smallest_p_value(20) == 1 / (1 + PERMUTATIONS)
    )


@pytest.mark.parametrize("level", [0.05, 0.025, 0.01, 0.05 / 30])
def test_the_fewest_replicates_are_enough(level: float) -> None:
    count = replicates_needed(level)
    assert smallest_p_value(count) <= level < smallest_p_value(count - 1)
    rng = np.random.default_rng(count)
    apart = [(rng.normal(0.0, 1.0, count).tolist(), rng.normal(99.0, 1.0, count).tolist())]
    assert permutation_test(apart) == pytest.approx(smallest_p_value(count))


def test_ties_and_bad_values() -> None:
    assert permutation_test([([0.0, 0.0], [0.0, 0.0])]) == 1.0
    assert permutation_test([([1.0] * 4, [2.0] * 4)]) == smallest_p_value(4) == 2 / 70
    assert smallest_p_value(1) == 1.0
    with pytest.raises(ValueError, match="finite"):
        permutation_test([([1.0, math.nan], [1.0, 2.0])])
    for tasks in ([], [([1.0], [1.0, 2.0])]):
        with pytest.raises(ValueError, match="at least two replicates"):
            permutation_test(tasks)
    with pytest.raises(ValueError, match="below the smallest p-value"):
        replicates_needed(1e-9)


def test_holms_correction_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@pytest.mark.parametrize("seed", range(20))
def test_holms_correction_lies_between_none_and_bonferronis(seed: int) -> None:
    p_values = np.random.default_rng(seed).uniform(size=7) ** 3
    corrected = np.array(holm(p_values.tolist()))
    assert (corrected >= p_values).all()
    assert (corrected <= np.minimum(7 * p_values, 1.0) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(p_values)]) >= 0).all()


def test_tests_that_cannot_reach_a_p_value_do_not_count_against_it() -> None:
    step = 2 / 252
    assert holm([0.004, 0.5, 0.5], [1e-9, step, step])[0] == pytest.approx(0.004)
    assert holm([0.01, 0.5, 0.5], [1e-9, step, step])[0] == pytest.approx(0.01 + 2 * step)
    assert holm([step, step, 0.5], [step, step, step])[:2] == pytest.approx([3 * step, 3 * step])
    assert holm([0.01, 0.02], [0.0, 0.0]) == holm([0.01, 0.02])


@pytest.mark.parametrize("seed", range(20))
def test_the_discrete_correction_is_never_stricter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    least = rng.choice([1e-5, 2 / 70, 2 / 252], 9)
    p_values = np.minimum(np.ceil(rng.uniform(size=9) ** 3 / least) * least, 1.0)
    discrete, plain = holm(p_values.tolist(), least.tolist()), holm(p_values.tolist())
    assert all(p <= a <= b + 1e-12 for p, a, b in zip(p_values, discrete, plain, strict=True))


def test_the_family_wise_error_rate_of_discrete_tests_is_within_the_level() -> None:
    """Three exact tests of 4 against 4 replicates and one that can take any p-value, all without a difference."""
    rng, trials, false = np.random.default_rng(12), 2000, 0
    step = smallest_p_value(4)
    for _ in range(trials):
        p_values = [permutation_test([(rng.normal(size=4).tolist(), rng.normal(size=4).tolist())]) for _ in range(3)]
        corrected = holm([*p_values, float(rng.uniform())], [step] * 3 + [0.0])
        false += min(corrected) <= LEVEL
    assert false / trials < LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / trials)


Draw = Callable[[np.random.Generator, int], np.ndarray]

NOISE: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(0.0, 1.0, n),
    "heavy-tailed": lambda rng, n: rng.standard_t(2.5, n),
    "skewed": lambda rng, n: rng.lognormal(0.0, 1.0, n) - math.exp(0.5),
    "10 % blow-ups": lambda rng, n: rng.normal(0.0, 1.0, n) + 20.0 * (rng.random(n) < 0.1) - 2.0,
}
"""Noise of a replicate, with mean 0."""


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("replicates", [5, pytest.param(8, marks=pytest.mark.slow)])
def test_equal_contenders_are_told_apart_no_more_often_than_the_level(noise: str, replicates: int) -> None:
    rng, draw, trials = np.random.default_rng(4), NOISE[noise], 1000
    found = 0
    for _ in range(trials):
        seeds = rng.normal(0.0, 0.5, replicates)  # fresh seeds, the same for both
        sides = [(seeds + draw(rng, replicates)).tolist() for _ in range(2)]
        found += permutation_test([(sides[0], sides[1])]) <= LEVEL
    assert found <= LEVEL * trials + 2.0 * math.sqrt(LEVEL * (1 - LEVEL) * trials)


def test_a_skewed_contender_against_a_symmetric_one_of_equal_mean_and_spread() -> None:
    """The limit of the test: the distributions differ although the means are equal.

    The sign-flip test of paired differences rejects 16 % here.
    """
    rng, trials = np.random.default_rng(5), 1000
    spread = math.sqrt((math.e - 1.0) * math.e)  # of the skewed noise
    found = sum(
        permutation_test([(NOISE["skewed"](rng, 8).tolist(), rng.normal(0.0, spread, 8).tolist())]) <= LEVEL
        for _ in range(trials)
    )
    assert found <= 0.08 * trials


def winners(rng: np.random.Generator, contenders: int, tasks: int, replicates: int, advantage: float) -> int:
    """Programs said to be better than the baseline in a simulated study; the first one is better on every task."""
    p_values: list[float] = []
    better: list[bool] = []
    for _ in range(tasks):
        control = rng.normal(0.0, 1.0, replicates)
        for contender in range(contenders):
            losses = rng.normal(0.0, 1.0, replicates) - (advantage if contender == 0 else 0.0)
            p_values.append(permutation_test([(losses.tolist(), control.tolist())]))
            better.append(bool(losses.mean() < control.mean()))
    return sum(p <= LEVEL and good for p, good in zip(holm(p_values), better, strict=True))


def test_false_winners_are_no_more_than_the_level() -> None:
    rng = np.random.default_rng(0)
    assert sum(winners(rng, 4, 2, 7, 0.0) > 0 for _ in range(300)) <= LEVEL * 300


def test_the_stated_power_is_reached() -> None:
    rng = np.random.default_rng(1)
    quantiles = stats.norm.ppf((np.arange(7) + 0.5) / 7)
    sample = (quantiles / quantiles.std(ddof=1)).tolist()  # standard deviation 1
    effect = minimum_detectable_difference(sample, sample, LEVEL / 3, power=0.8)
    assert sum(winners(rng, 3, 1, 7, effect) > 0 for _ in range(200)) >= 0.75 * 200


@pytest.mark.parametrize(("effect", "count", "power"), [(0.5, 64, 0.8015), (0.8, 26, 0.8075), (1.0, 17, 0.8070)])
def test_detectable_effects_are_the_published_ones(effect: float, count: int, power: float) -> None:
    # Sample sizes of two-sample t tests at the two-sided 5 % level: Cohen (1988), table 2.4.1; Faul et al. (2007).
    sample = stats.norm.ppf((np.arange(count) + 0.5) / count)
    sample = (sample / sample.std(ddof=1)).tolist()
    assert minimum_detectable_difference(sample, sample, 0.05, power) == pytest.approx(effect, abs=2e-3)


def test_one_replicate_detects_nothing() -> None:
    assert minimum_detectable_difference([1.0], [2.0], 0.05) == math.inf
    assert minimum_detectable_difference([1.0, 1.0], [2.0, 2.0], 0.05) == 0.0
