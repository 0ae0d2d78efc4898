"""Whether a lead lasts: slopes are exact on lines, intervals cover, verdicts follow from them; longer tasks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.task import TaskError
from optsearch.selection.comparison.comparison import UNREPLICATED
from optsearch.selection.comparison.trend import FADES, GROWS, HOLDS, UNDECIDED, Trend, trends
from optsearch.selection.problem import Problem, problems

STEPS = (100, 400, 1600)


def trend_of(differences: np.ndarray) -> Trend:
    """The trend of a program whose loss differs from the baseline's by so much: [horizons, replicates]."""
    losses = {
        f"task@{place}x": {
            "mine": [[1.0 + float(value)] * 2 for value in row],
            "other": [[1.0] * 2 for _ in row],
        }
        for place, row in enumerate(differences)
    }
    places = [(name, steps) for name, steps in zip(losses, STEPS, strict=True)]
    (found,) = trends(losses, {"task": places[::-1]}, ["mine"], dict.fromkeys(losses))
    return found


def test_the_slope_of_a_line_is_exact() -> None:
    """A difference that falls by 0.01 with each doubling, in every replicate."""
    line = np.array([[-0.01 * math.log2(steps) + shift for shift in (0.0, 0.1, 0.3)] for steps in STEPS])
    found = trend_of(line)
    assert found.steps == STEPS
    assert found.slope.mean == pytest.approx(-0.01)
    assert found.slope.high - found.slope.low == pytest.approx(0.0, abs=1e-12)
    assert [each.mean for each in found.differences] == pytest.approx(line.mean(axis=1))
    assert found.verdict == GROWS


NOISE = np.array([[0.01, -0.01, 0.0], [-0.01, 0.0, 0.01], [0.0, 0.01, -0.01]])


@pytest.mark.parametrize(
    ("means", "verdict"),
    [
        ((-0.1, -0.2, -0.3), GROWS),
        ((0.3, 0.2, 0.1), GROWS),  # behind, but less and less
        ((-0.3, -0.2, -0.1), FADES),
        ((-0.1, 0.0, 0.1), FADES),
        ((-0.1, -0.1, -0.1), HOLDS),
        ((0.1, 0.1, 0.1), UNDECIDED),
        ((0.0, 0.0, 0.0), UNDECIDED),
    ],
)
def test_the_verdict_says_what_the_intervals_show(means: tuple[float, ...], verdict: str) -> None:
    assert trend_of(np.array(means)[:, None] + NOISE).verdict == verdict


def test_one_replicate_shows_no_trend() -> None:
    found = trend_of(np.array([[-0.1], [-0.2], [-0.3]]))
    assert (found.verdict, found.slope.low) == (UNREPLICATED, None)


def test_a_single_horizon_has_no_trend() -> None:
    rows = {"task": {"mine": [[1.0], [1.1]], "other": [[1.2], [1.3]]}}
    assert trends(rows, {"task": [("task", 100)]}, ["mine"], {"task": None}) == ()


def test_a_failed_run_counts_as_the_worst_loss() -> None:
    rows = {
        "task@1x": {"mine": [[1.0], [1.0]], "other": [[1.2], [1.2]]},
        "task@2x": {"mine": [[math.inf], [1.0]], "other": [[1.2], [1.5]]},
    }
    (found,) = trends(rows, {"task": [("task@1x", 10), ("task@2x", 20)]}, ["mine"], dict.fromkeys(rows))
    assert found.differences[1].mean == pytest.approx(((1.5 - 1.2) + (1.0 - 1.5)) / 2)


def test_the_interval_of_the_slope_covers() -> None:
    """Five replicates, differences with noise of their own at each horizon: 95 % cover the true slope."""
    rng, truth, count = np.random.default_rng(0), 0.02, 600
    covered = 0
    for _ in range(count):
        noise = 0.1 * rng.standard_normal((3, 5)) + 0.2 * rng.standard_normal(5)
        slope = trend_of(np.array([[truth * math.log2(steps)] for steps in STEPS]) + noise).slope
        covered += slope.low <= truth <= slope.high
    assert 0.95 - 3 * math.sqrt(0.05 * 0.95 / count) <= covered / count <= 0.99


# --- Longer tasks


def test_a_horizon_multiplies_the_steps() -> None:
    own = get_task("digits")
    short, long = (problem.load() for problem in problems(["digits"], horizons=[1.0, 4.0]))
    assert (short.name, long.name) == ("digits@1x", "digits@4x")
    assert (short.steps, long.steps) == (own.steps, 4 * own.steps)
    assert short.version == own.version != long.version, "kept trainings of the task itself are used again"
    both = Problem("digits", 16, horizon=0.5)
    assert both.name == "digits@16@0.5x"
    assert both.load().steps == round(0.5 * Problem("digits", 16).load().steps)


@pytest.mark.parametrize(
    ("horizons", "message"),
    [
        ([1.0, 1.0], "duplicate number of steps"),
        ([0.0], "must lie between 0 and"),
        ([math.nan], "must lie between 0 and"),
        ([1e9], "must lie between 0 and"),
        ([1e-6], "a run needs at least"),
    ],
)
def test_horizons_out_of_range_are_named(horizons: list[float], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        problems(["digits"], horizons=horizons)
