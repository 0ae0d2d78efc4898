"""The live view of `evaluate` and `select` fits 80 columns; piped output consists of plain lines."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.runs.terminal.training_view import TrainingView
from optsearch.selection.comparison.evaluate import EVALUATION, SENSITIVITY, TUNING, TrainingProgress
from optsearch.selection.contender import Contender, Trained, TrainingJob, baseline
from optsearch.selection.problem import Problem

MINE = Contender("a-run-with-a-very-long-name-indeed:12345", LIBRARY["adamw"])


def ended(
    done: int,
    contender: Contender,
    loss: float | None,
    stage: str = TUNING,
    task: str = "digits",
    replicate: int = 0,
) -> TrainingProgress:
    outcome = Outcome.OK if loss is not None else Outcome.NON_FINITE
    result = TrainingResult(outcome, loss, loss, None, 300, ())
    return TrainingProgress(
        stage, done, 40, replicate, TrainingJob(contender, Problem(task), (("rate", 1.0),), done), Trained(result, 0.1)
    )


def shown(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=80, height=40, no_color=True), file


def test_a_block_fits_80_columns_and_tells_how_everybody_stands() -> None:
    console, _ = shown(terminal=True)
    view = TrainingView(console, "larger", workers="2 workers")
    with view:
        for done, (who, loss) in enumerate([(MINE, 0.5), (MINE, 0.4), (baseline("lion"), None)], start=1):
            view(ended(done, who, loss))
        view(ended(4, MINE, 0.45, EVALUATION))
        view(ended(5, MINE, 0.47, EVALUATION))
        last = ended(6, baseline("lion"), 0.6, EVALUATION, task="teach")
        view(last)
        text = view._block(last)
    lines = text.plain.split("\n")
    view(replace(last, stage=SENSITIVITY, trained=Trained(replace(last.trained.result, test_loss=9.0), 0.1)))
    assert view._block(last).plain.count("teach, fresh seeds: lion 0.60000"), (
        "another rate does not change the standing"
    )
    assert "6 of 40 training runs" in lines[0]
    assert "ok 5" in text.plain
    assert "non_finite 1" in text.plain
    assert f"digits, fresh seeds: {MINE.name} 0.46000" in text.plain
    assert "teach, fresh seeds: lion 0.60000" in text.plain
    plain, file = shown(terminal=False)
    plain.print(text)
    assert len(file.getvalue().splitlines()) == len(lines), "cut, never wrapped"
    assert max(map(len, file.getvalue().splitlines())) <= 80


def test_replicates_are_points_on_a_common_scale() -> None:
    console, _ = shown(terminal=True)
    view = TrainingView(console, "evaluate")
    losses = [(MINE, 0.5), (baseline("lion"), 0.3), (MINE, 0.4), (baseline("lion"), 0.45)]
    for done, (contender, loss) in enumerate(losses, start=1):
        view(last := ended(done, contender, loss, EVALUATION, replicate=(done - 1) // 2))
    lines = view._block(last).plain.split("\n")
    points = {line.split()[0]: line.split()[-1] for line in lines if "●" in line}
    assert [at for at, cell in enumerate(points["lion"]) if cell == "●"] == [0, 18]
    assert [at for at, cell in enumerate(points[MINE.name[:32]]) if cell == "●"] == [12, 23]
    assert all(len(line) <= 80 for line in lines)


def test_the_leading_program_is_shown_without_its_dead_statements() -> None:
    console, _ = shown(terminal=True)
    view = TrainingView(console, "evaluate")
    view(ended(1, MINE, 0.5))
    view(last := ended(2, baseline("lion"), 0.4))
    assert "update = m / sqrt_v" in view._block(last).plain
    assert "lion 0.40000  a-run" in view._block(last).plain.replace("\n", " ")


def test_a_pipe_gets_plain_lines_and_quiet_gets_none() -> None:
    console, file = shown(terminal=False)
    with TrainingView(console, "larger") as view:
        view(ended(1, MINE, None))
        view(ended(2, MINE, 0.5))
        view(ended(40, baseline("lion"), 0.6))
    lines = file.getvalue().splitlines()
    assert [line[:12] for line in lines] == ["larger:   2%", "larger: 100%"], "one now and then, and the last"
    assert "failed" in lines[0]
    assert "\x1b" not in file.getvalue()
    console, file = shown(terminal=True)
    with TrainingView(console, "larger", quiet=True) as view:
        view(ended(40, MINE, 0.5))
    assert file.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_resumed_run_is_told(*, terminal: bool) -> None:
    console, file = shown(terminal=terminal)
    view = TrainingView(console, "larger")
    whole = ended(1, baseline("lion"), 0.5)
    with view:
        view(whole)
        view(replace(whole, trained=replace(whole.trained, resumed_from=4000)))
    assert file.getvalue().count("lion on digits was interrupted and resumed at step 4,000") == 1
