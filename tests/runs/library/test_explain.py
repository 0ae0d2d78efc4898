"""Every discovered program has an explanation: complete sentences, numbers valid in JSON, formulas for the report."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.runs.cli.json_values import behaviour_json
from optsearch.runs.report.explain import cost_table, explain, formula, influence_marks, response_charts
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights


def mutated(seed: int, steps: int) -> Program:
    """A library program after so many random mutations."""
    rng, mutator = np.random.default_rng(seed), Mutator(MutationWeights(insert=3.0))
    program = LIBRARY[sorted(LIBRARY)[seed % len(LIBRARY)]]
    for _ in range(steps):
        program, _ = mutator.mutate(rng, program)
    return program


@pytest.mark.parametrize("seed", [3, *(pytest.param(s, marks=pytest.mark.slow) for s in (0, 1, 2, 4, 5))])
def test_random_programs_are_explained(seed: int) -> None:
    program = mutated(seed, 4 * seed + 2)
    explanation = explain(program)
    assert json.loads(json.dumps(behaviour_json(explanation), allow_nan=False))["says"]
    for topic, sentence in explanation.says():
        assert sentence.endswith("."), topic
        assert not re.search(r"\b(nan|inf|None)\b", sentence), sentence
    for chart in response_charts(explanation, "it"):
        json.dumps(chart.bare(), allow_nan=False)
    marks = influence_marks(explanation.influences)
    assert all(1 < line < len(program.body) + 2 for line in marks)


@pytest.mark.parametrize("name", sorted(LIBRARY))
def test_formulas_are_mathml(name: str) -> None:
    lines = formula(LIBRARY[name])
    assert len(lines) > 2
    for line in lines:
        ElementTree.fromstring(f"<p>{line}</p>")  # noqa: S314 - our own text
        assert "\\" not in line, "LaTeX that was not converted"


def test_costs_stand_beside_adamw() -> None:
    lion, sgd = explain(LIBRARY["lion"]), explain(LIBRARY["sgd"])
    assert ("bytes of state (float32)", "4", "8") in cost_table(lion.cost)
    assert ("bytes read and written", "20", "28") in cost_table(lion.cost)
    assert ("state arrays", "0", "2") in cost_table(sgd.cost)
    assert sgd.says()[0][1].startswith("It keeps 0 state arrays, 0 bytes a parameter (AdamW 8)")


def test_dead_statements_change_nothing() -> None:
    dead = parse(str(LIBRARY["lion"]).replace("  m = ", "  x = arctanh(w)\n  m = "))
    said, other = explain(dead).says(), explain(LIBRARY["lion"]).says()
    assert [words for topic, words in said if topic != "statements"] == [w for t, w in other if t != "statements"]
