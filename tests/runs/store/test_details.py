"""Details recorded with a result are restored unchanged."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from optsearch.runs.store.schema import pack_details, unpack_details
from optsearch.runs.terminal.program_view import evaluation_ending
from optsearch.search.scoring.fitness import Fitness

PLAIN = Fitness(0.5, "ok", 300, 0.1)


@pytest.mark.parametrize(
    "fitness",
    [
        PLAIN,
        replace(PLAIN, curves=((1.0, 0.5), (0.9, 0.4))),
        replace(PLAIN, curves=((1.0, 0.5),), losses=(0.4, 0.3)),
        replace(PLAIN, rate=3.0),
        replace(PLAIN, curves=((1.0, 0.5), (0.9, 0.4)), cases=(0.4, 0.6)),
        replace(PLAIN, value=None, outcome="hurdle", steps=60, loss_so_far=762.62),
    ],
)
def test_details_come_back(fitness: Fitness) -> None:
    plain = Fitness(fitness.value, fitness.outcome, fitness.steps, fitness.seconds)
    assert unpack_details(pack_details(fitness), 0, plain) == fitness


def test_an_older_program_finds_the_keys_that_it_knows() -> None:
    assert {"curves", "losses"} <= set(json.loads(pack_details(replace(PLAIN, rate=3.0))))
    assert pack_details(PLAIN) == ""
    newer = json.dumps(json.loads(pack_details(replace(PLAIN, rate=3.0))) | {"a key of a later version": 1})
    assert unpack_details(newer, 0, PLAIN) == replace(PLAIN, rate=3.0)


def test_the_end_of_an_evaluation_in_words() -> None:
    assert evaluation_ending("ok", 300, None).startswith("All steps were run")
    stopped = evaluation_ending("hurdle", 60, 762.62)
    assert stopped.endswith("its training loss since the last checkpoint was 762.62 on average.")
    failed = evaluation_ending("non_finite", 1, None)
    assert failed.endswith("no training loss since its last checkpoint was finite.")
