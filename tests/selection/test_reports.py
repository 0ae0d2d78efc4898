"""Reports of training scripts: what is a report, what it decides, and the result of a run."""

from __future__ import annotations

import json

import pytest

from optsearch.proxy_tasks.outcome import Outcome
from optsearch.selection.scripts.contract import Reports, Stop

CHECKPOINTS = tuple(range(10, 101, 10))


def line(step: int, train: object = 1.0, validation: object = 2.0) -> str:
    return json.dumps({"step": step, "train_loss": train, "validation_loss": validation})


def read(*lines: str, stop: Stop = ()) -> Reports:
    reports = Reports(100, CHECKPOINTS, stop)
    for one in lines:
        reports.add(one)
    return reports


def test_a_complete_run_has_the_losses_of_its_last_report() -> None:
    reports = read(*(line(step, 3 - step / 100, 4 - step / 100) for step in range(0, 101, 10)), '{"test_loss": 2.5}')
    assert reports.outcome is Outcome.OK
    result = reports.result(Outcome.OK)
    assert (result.loss, result.test_loss, result.steps) == (3.0, 2.5, 100)
    assert result.train_losses == pytest.approx([3 - step / 100 for step in CHECKPOINTS])
    assert result.validation_losses == pytest.approx([4 - step / 100 for step in CHECKPOINTS])


def test_the_last_report_may_have_the_test_loss() -> None:
    reports = read('{"step": 100, "train_loss": 1, "validation_loss": 2, "test_loss": 3, "accuracy": 0.5}')
    result = reports.result(Outcome.OK)
    assert (reports.outcome, result.loss, result.test_loss, result.accuracy) == (Outcome.OK, 2.0, 3.0, 0.5)


def test_a_checkpoint_has_the_latest_report_before_it() -> None:
    result = read(line(25, 3.0, 4.0), line(47, 1.0, 2.0)).result(Outcome.CRASHED)
    assert result.validation_losses == (None, None, 4.0, 4.0)
    assert result.train_losses == (3.0, 3.0, 3.0, 3.0)
    assert (result.loss, result.test_loss, result.steps, result.loss_so_far) == (None, None, 47, 1.0)


@pytest.mark.parametrize("text", ["", "loss 1.0", "{", '{"lr": 1}', "[1]", "null", '{"step": 1' + "[" * 9000, "1"])
def test_other_lines_are_no_reports(text: str) -> None:
    reports = read(text)
    assert (reports.count, reports.outcome, reports.fault) == (0, None, "")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), None, 10**400])
def test_a_loss_that_is_not_finite_ends_the_run(value: object) -> None:
    assert read(line(10, value)).outcome is Outcome.NON_FINITE
    assert read(line(10, 1.0, value)).outcome is Outcome.NON_FINITE
    assert read(line(100), json.dumps({"test_loss": value})).outcome is Outcome.NON_FINITE


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([line(101)], "'step' must be a whole number from 0"),
        ([line(-1)], "'step' must be a whole number"),
        (['{"step": 1.5, "train_loss": 1, "validation_loss": 1}'], "'step' must be a whole number"),
        (['{"step": true, "train_loss": 1, "validation_loss": 1}'], "'step' must be a whole number"),
        ([line(5), line(5)], "from 6 (steps increase) to 100, the budget"),
        (['{"step": 1, "train_loss": 1}'], "a report without 'validation_loss'"),
        ([line(1, "1.0")], "'train_loss' is not a number"),
        (['{"test_loss": 1}'], "the step of the last report is missing"),
        ([line(50), '{"test_loss": 1}'], "report the losses after step 100 first (the step of the last report is 50)"),
        ([line(100), '{"test_loss": 1, "accuracy": 75}'], "'accuracy' is not a fraction"),
    ],
)
def test_a_report_that_breaks_the_contract_is_named(lines: list[str], says: str) -> None:
    reports = read(*lines)
    assert reports.outcome is Outcome.INCOMPLETE
    assert says in reports.fault


def test_a_rule_applies_to_the_first_report_from_its_step_on() -> None:
    rule = ((50, 2.0),)
    assert read(line(49, 1.0, 9.0), stop=rule).outcome is None
    assert read(line(49, 1.0, 9.0), line(60, 1.0, 2.5), stop=rule).outcome is Outcome.HURDLE
    assert read(line(50, 1.0, 2.0), line(60, 1.0, 2.5), stop=rule).outcome is None
    assert read(line(60, 1.0, 2.5)).outcome is None
