"""The worth of a part is the tuned test loss without it, for the replacement that validates best."""

from __future__ import annotations

import math
import zlib
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.run import Trained
from optsearch.selection.comparison.settings import EvaluationSettings
from optsearch.selection.contender import TrainingJob

ablation: ModuleType = import_module("ablation")

LION = LIBRARY["lion"]
SETTINGS = EvaluationSettings(("digits",), 2, ("adamw",), trials=2, replicates=4)
SIGN = "leave out `update = sign(update)`"
MOMENTUM = "leave out `update = interp(g, m, 0.9)`"


def test_variants_lack_one_part() -> None:
    found = ablation.variants(LION)
    assert {SIGN, MOMENTUM} < {part for part, _ in found.values()}
    assert sum(part == MOMENTUM for part, _ in found.values()) == 3, "each operand may take its place"
    assert all(len(program.body) <= len(LION.body) for _, program in found.values())


def test_the_replacement_with_the_lowest_validation_loss_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = ablation.variants(LION)
    first, second, third = (name for name, (part, _) in lacking.items() if part == MOMENTUM)
    (sign,) = (name for name, (part, _) in lacking.items() if part == SIGN)
    validation = {sign: 1.5, first: 1.1, second: 1.2, third: 1.3}
    tested = {sign: 2.5, first: 2.2, second: 2.1, third: 1.0}

    def train(job: TrainingJob) -> Trained:
        luck = (zlib.crc32(f"{job.contender.name} {job.seed} {job.problem.name}".encode()) % 1000) / 1e6
        loss, test = (losses.get(job.contender.name, 1.0) + luck for losses in (validation, tested))
        curve = (loss,) * 10
        return Trained(TrainingResult(Outcome.OK, loss, test, None, 300, curve, None, curve), 0.1)

    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    evaluation, _ = ablation.evaluated(LION, SETTINGS, folder=tmp_path, workers=0)
    found = ablation.worths(evaluation, {name: part for name, (part, _) in lacking.items()})
    by_part = {row.part: row for row in found}
    assert set(by_part) == {part for part, _ in lacking.values()}
    assert by_part[MOMENTUM].variant == first
    assert by_part[MOMENTUM].loss == pytest.approx(2.2, abs=1e-3)
    row = by_part[SIGN]
    assert row.difference == pytest.approx(1.5, abs=1e-3)
    assert row.low < row.difference < row.high
    assert row.p == pytest.approx(2 / math.comb(8, 4))
    assert row.corrected == pytest.approx(min(1.0, row.p * len(found)))
    whole = ablation.losses_of(evaluation, ablation.WHOLE)
    assert whole == {"digits": pytest.approx(1.0, abs=1e-3)}
    table = ablation.table_of(found, whole, ablation.losses_of(evaluation, "adamw")).splitlines()
    assert len(table) == 4 + len(by_part)
    assert f"| {SIGN} | +1.5 [" in "\n".join(table)
