"""Sensitivity and cost from trials and traces."""

from __future__ import annotations

import math

import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.selection.baselines.table import BASELINES
from optsearch.selection.comparison.work import operations_per_parameter, state_bytes_per_parameter
from optsearch.selection.contender import Contender, baseline
from optsearch.selection.tuning.sensitivity import sensitivity
from optsearch.selection.tuning.tuner import Trial


def trial(rate: float, decay: float, *losses: float) -> Trial:
    return Trial((("rate", rate), ("weight_decay", decay)), losses, sum(losses) / len(losses))


def test_the_lowest_loss_of_each_cell_counts() -> None:
    found = sensitivity(
        [trial(1.1, 0.1, 2.0, 9.0), trial(1.2, 0.11, 1.0), trial(11.0, 0.1, 1.04), trial(200.0, 2.0, math.inf)]
    )
    assert [cell.loss for cell in found.curve] == [1.0, 1.04, math.inf]
    assert [cell.rate for cell in found.curve] == pytest.approx([10**0.125, 10**1.125, 10**2.375])
    assert [(cell.decay, cell.loss) for cell in found.heat_map] == [
        (pytest.approx(10**-0.75), 1.0),
        (pytest.approx(10**-0.75), 1.04),
        (pytest.approx(10**0.25), math.inf),
    ]
    assert found.good_rates == (1.2, 11.0)


def test_without_decay_there_is_no_heat_map_and_without_success_no_good_rate() -> None:
    found = sensitivity([Trial((("rate", 1.0),), (math.inf,), math.inf)])
    assert (found.heat_map, found.good_rates) == ((), None)
    assert sensitivity([]).curve == ()


@pytest.mark.parametrize("name", sorted(BASELINES.keys() & LIBRARY.keys()))
def test_a_program_and_its_baseline_cost_about_the_same(name: str) -> None:
    mine, theirs = operations_per_parameter(Contender("mine", LIBRARY[name])), operations_per_parameter(baseline(name))
    assert abs(mine - theirs) <= 10


def test_matrix_products_count() -> None:
    assert operations_per_parameter(baseline("muon")) > 50 * operations_per_parameter(baseline("adamw"))


def test_state_is_counted_in_bytes_per_parameter() -> None:
    for name, expected in (("sgd", 0.0), ("lion", 4.0), ("adamw", 8.0), ("muon", 4.0)):
        assert state_bytes_per_parameter(baseline(name)) == pytest.approx(expected, abs=0.1)
    for name, expected in (("sgd", 0.0), ("lion", 4.0), ("adamw", 8.0)):
        assert state_bytes_per_parameter(Contender("mine", LIBRARY[name])) == expected
