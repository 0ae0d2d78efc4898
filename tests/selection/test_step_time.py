"""Step times: contenders take turns, compilation is not timed, and ratios are formed within a round."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.trainer import Trainer
from optsearch.selection.comparison.step_time import FEWEST, LEAST_S, Run, in_turns, step_times, timed
from optsearch.selection.contender import Contender, baseline
from optsearch.selection.problem import Problem
from optsearch.selection.space import RATE

CHECKPOINTS = (30, 60, 90, 120)


class Machine:
    """A clock and contenders that advance it.

    Args:
        speed: factor on the time of a run, by the number of runs so far.
    """

    def __init__(self, speed: Callable[[int], float] = lambda run: 1.0):
        self.now, self.runs, self.speed = 0.0, list[tuple[str, int]](), speed

    def clock(self) -> float:
        return self.now

    def contender(self, name: str, step_s: float, *, compile_s: float = 100.0, fails_at: int | None = None) -> Run:
        def run(step: int) -> int:
            ran = step if fails_at is None else min(step, fails_at)
            first = name not in {known for known, _ in self.runs}
            self.now += ran * step_s * self.speed(len(self.runs)) + compile_s * first
            self.runs.append((name, step))
            return ran

        return run


def test_sides_take_turns_and_every_other_round_is_reversed() -> None:
    machine, order = Machine(), list[str]()

    def side(name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            order.append(name)
            machine.now += seconds

        return run

    found = in_turns({"a": side("a", 1.0), "b": side("b", 2.0), "c": side("c", 3.0)}, 3, machine.clock)
    assert "".join(order) == "abccbaabc"
    assert found == {"a": [1.0] * 3, "b": [2.0] * 3, "c": [3.0] * 3}


def test_the_time_of_a_step_is_that_of_the_contender_without_compilation() -> None:
    machine = Machine()
    runs = {"base": machine.contender("base", 0.01), "mine": machine.contender("mine", 0.025)}
    base, mine = timed("t", runs, CHECKPOINTS, "base", 5, machine.clock)
    assert (base.task, base.contender, base.rounds) == ("t", "base", 5)
    assert base.milliseconds == pytest.approx(10.0)
    assert mine.milliseconds == pytest.approx(25.0)
    assert (base.ratio, base.low, base.high) == (1.0, 1.0, 1.0)
    assert (mine.ratio, mine.low, mine.high) == pytest.approx((2.5, 2.5, 2.5))


@pytest.mark.parametrize(("step_s", "steps"), [(1.0, 30), (LEAST_S / 80, 90), (1e-6, 120)])
def test_a_timed_run_is_as_long_as_needed_and_not_longer(step_s: float, steps: int) -> None:
    machine = Machine()
    runs = {"base": machine.contender("base", step_s), "slow": machine.contender("slow", 5.0 * step_s)}
    found = timed("t", runs, CHECKPOINTS, "base", 5, machine.clock)
    assert [row.steps for row in found] == [steps] * 2
    assert machine.runs[-10:] == [(name, steps) for name in ["base", "slow", "slow", "base"] * 2 + ["base", "slow"]]


def test_one_disturbance_moves_no_median_but_shows_in_the_spread() -> None:
    def disturbed(run: int) -> float:
        return (
            10.0 if run == 6 else 1.0
        )  # two runs that compile, two that choose the length, two that look for failures

    machine = Machine(disturbed)
    runs = {"base": machine.contender("base", 0.01), "mine": machine.contender("mine", 0.02)}
    base, mine = timed("t", runs, CHECKPOINTS, "base", 5, machine.clock)
    assert base.milliseconds == pytest.approx(10.0)
    assert mine.ratio == pytest.approx(2.0)
    assert mine.low == pytest.approx(0.2), "the reference took ten times as long in the first round"
    assert mine.high == pytest.approx(2.0)


def test_a_drift_of_the_machine_moves_no_ratio_within_a_round() -> None:
    """The machine becomes slower by 1 % with each run; rounds in one direction alone would give 1.01."""
    machine = Machine(lambda run: 1.01**run)
    runs = {"base": machine.contender("base", 0.01), "mine": machine.contender("mine", 0.01)}
    _, mine = timed("t", runs, CHECKPOINTS, "base", 6, machine.clock)
    assert mine.ratio == pytest.approx(1.0, abs=1e-4)


def test_what_diverges_has_no_time() -> None:
    machine = Machine()
    runs = {"base": machine.contender("base", 0.01), "mine": machine.contender("mine", 0.01, fails_at=7)}
    base, mine = timed("t", runs, CHECKPOINTS, "base", 5, machine.clock)
    assert base.milliseconds == pytest.approx(10.0)
    assert (mine.milliseconds, mine.ratio, mine.low, mine.high) == (None,) * 4
    base, mine = timed("t", runs, CHECKPOINTS, "mine", 5, machine.clock)
    assert (base.ratio, base.low, base.high) == (None,) * 3
    assert base.milliseconds == pytest.approx(10.0), "known without a reference"


def test_too_few_rounds_and_an_unknown_reference_are_refused() -> None:
    with pytest.raises(ValueError, match="4 rounds are too few for a median: use at least 5"):
        step_times([], [], {}, "adamw", 0, rounds=FEWEST - 1)
    with pytest.raises(ValueError, match="the reference 'adamw' is not a contender"):
        step_times([baseline("sgd")], [], {}, "adamw", 0)


def test_real_contenders_compile_once_each_and_are_not_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    trainers = list[Trainer]()
    make = Trainer.__init__

    def kept(self: Trainer, *arguments: object, **options: object) -> None:
        make(self, *arguments, **options)  # type: ignore[arg-type]
        trainers.append(self)

    monkeypatch.setattr(Trainer, "__init__", kept)
    diverging = parse("def train(w, g, lr):\n  update = g * -1e30\n  return update\n")
    contenders = [Contender("mine", LIBRARY["sgd"]), Contender("diverging", diverging), baseline("sgd")]
    values = {("ae", one.name): ((RATE, 0.1),) for one in contenders}
    found = step_times(contenders, [Problem("ae")], values, "sgd", 1, rounds=5)
    assert [(row.task, row.contender, row.rounds) for row in found] == [("ae", one.name, 5) for one in contenders]
    mine, failed, base = found
    assert mine.milliseconds is not None
    assert mine.milliseconds > 0.0
    assert mine.ratio is not None
    assert failed.milliseconds is None
    assert base.ratio == 1.0
    assert [(trainer.method, trainer.compilations) for trainer in trainers] == [("compile", 1)] * 3
