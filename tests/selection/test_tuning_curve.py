"""Loss against tuning budget, from recorded trials."""

from __future__ import annotations

import math

import numpy as np
import pytest
from invented import Invented

from optsearch.search.pool import Here
from optsearch.selection.comparison.evaluate import evaluate
from optsearch.selection.contender import baseline
from optsearch.selection.problem import Problem
from optsearch.selection.statistics.intervals import mean_interval
from optsearch.selection.tuning.tuner import Trial, TuningBudget, fresh_seeds
from optsearch.selection.tuning.tuning_curve import tuning_curve


def trials(seed: int, count: int = 20, seeds: int = 3) -> list[Trial]:
    """Trials of which each reaches some of the seeds, the fifth at the latest all of them; some fail."""
    rng, found = np.random.default_rng(seed), list[Trial]()
    for number in range(count):
        reached = seeds if number == 4 else int(rng.integers(1, seeds + 1))
        losses = tuple(math.inf if rng.random() < 0.1 and number != 4 else float(x) for x in rng.random(reached))
        found.append(Trial((("rate", float(number + 1)),), losses, sum(losses) / reached + float(rng.random())))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_after_n_trials_it_is_the_loss_of_the_best_of_the_first_n_with_all_seeds(seed: int) -> None:
    replicates = [trials(10 * seed + number) for number in range(4)]
    curve = tuning_curve("ae", "found", replicates)
    assert len(curve.losses) == 20
    for count, point in enumerate(curve.losses, start=1):
        whole = [[trial for trial in row[:count] if len(trial.losses) == 3] for row in replicates]
        selected = [min(row, key=lambda trial: trial.objective).mean if row else math.inf for row in whole]
        assert point == (mean_interval(selected) if max(selected) < math.inf else None)


def test_before_a_point_has_every_seed_there_is_no_loss() -> None:
    few, all_seeds = Trial((("rate", 1.0),), (0.1,), 0.1), Trial((("rate", 2.0),), (0.9, 0.9), 0.9)
    first, second = tuning_curve("ae", "found", [[few, all_seeds]]).losses
    assert first is None
    assert second is not None
    assert second.mean == 0.9, "a better loss on one seed is no selection"


def test_the_curve_of_an_evaluation_falls_to_the_tuned_loss() -> None:
    seeds, budget = [fresh_seeds(1, replicate=number) for number in range(3)], TuningBudget(24)
    pool = Here(Invented({"adamw": 1e-2}))
    found = evaluate([baseline("adamw")], [Problem("ae")], seeds, budget=budget, pool=pool)
    (curve,) = found.tuning_curves
    assert (curve.task, curve.contender, len(curve.losses)) == ("ae", "adamw", 24)
    means = [point.mean for point in curve.losses if point is not None]
    assert means == sorted(means, reverse=True)
    tuned = [row.tuned.loss for row in found.tuning]
    assert means[-1] == pytest.approx(sum(loss or 0.0 for loss in tuned) / 3)


def test_without_trials_there_is_no_curve() -> None:
    pool = Here(Invented({"adamw": 1e-3}))
    found = evaluate([baseline("adamw")], [Problem("ae")], [fresh_seeds(1)], budget=TuningBudget(0), pool=pool)
    assert found.tuning_curves == ()
