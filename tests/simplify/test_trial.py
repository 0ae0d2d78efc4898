"""The statistical test that decides on keeping a change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from optsearch.simplify.ablation.trial import NoWorse, half_width, student_quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 5, 11, 40])
@pytest.mark.parametrize("probability", [0.6, 0.95, 0.975, 0.99])
def test_quantile_of_student(degrees: int, probability: float) -> None:
    assert student_quantile(probability, degrees) == pytest.approx(stdtrit(degrees, probability), rel=1e-6)


def test_one_value_says_nothing() -> None:
    assert half_width([1.0], 0.05) == math.inf


def test_a_change_at_the_tolerance_is_rarely_kept() -> None:
    test, rng, kept = NoWorse(), np.random.default_rng(0), 0
    for _ in range(2000):
        values = rng.normal(test.tolerance, 0.01, max(test.looks))
        verdicts = (test.verdict(values[:count].tolist(), test.tolerance, i) for i, count in enumerate(test.looks))
        kept += next(verdict for verdict in verdicts if verdict is not None)
    assert kept / 2000 < 1.3 * test.alpha


def test_clear_cases_are_decided_at_the_first_look() -> None:
    test = NoWorse()
    assert test.verdict([0.0, 1e-4, -1e-4], 0.01, 0) is True
    assert test.verdict([0.1, 0.11, 0.09], 0.01, 0) is False
    assert test.verdict([0.0, 0.03, -0.02], 0.01, 0) is None
