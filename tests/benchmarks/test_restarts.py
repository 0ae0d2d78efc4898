"""Restarts are simulated from the courses of recorded searches."""

from __future__ import annotations

import math
from importlib import import_module
from types import ModuleType

import pytest

restarts: ModuleType = import_module("restarts")
Outcome = import_module("search_study").Outcome

SLOW = Outcome(0.0, 1000, "", ((100, 0.9), (900, 0.4)))
FAST = Outcome(0.0, 1000, "", ((50, 0.8), (500, 0.6)))


def test_the_best_of_the_heads_continues_with_what_is_left() -> None:
    assert restarts.best_after(SLOW, 99) == math.inf
    assert restarts.best_after(SLOW, 100) == 0.9
    assert restarts.continued([SLOW], 0, 1000, 0.5) == (0.4, 900)
    assert restarts.continued([SLOW, FAST], 100, 1000, 0.6) == (0.6, 600), "FAST is ahead after 100 steps"
    assert restarts.continued([SLOW, FAST], 100, 1000, 0.5) == (0.6, 1000), "and never reaches 0.5"
    assert restarts.continued([SLOW, FAST], 450, 900, 0.5) == (0.8, 900), "450 steps are left for FAST"


def test_rows_are_means_over_all_sets_of_searches() -> None:
    one, two = restarts.result("arm", [SLOW, FAST], [(1, 0), (2, 100)], 1000, 0.6)
    assert one["fitness"] == pytest.approx(0.5)
    assert one["steps"] == pytest.approx(math.sqrt(900 * 500))
    assert (two["fitness"], two["steps"]) == (0.6, pytest.approx(600))
    assert restarts.table([one], 0.6)[-1] == "| arm | 1 | 0 | 0.5000 | 671 |"
