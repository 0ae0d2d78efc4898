"""Mutation weights follow the discounted rates of success."""

from __future__ import annotations

import numpy as np
import pytest

from optsearch.search.population.adaptation import PRIOR, Adaptation, AdaptationConfig


def test_factors_are_relative_success_rates() -> None:
    rng = np.random.default_rng(0)
    config = AdaptationConfig(floor=0.25, memory=50)
    adaptation = Adaptation(config)
    assert adaptation.factors == {}
    history: list[tuple[str, bool]] = []
    for _ in range(300):
        name = ("insert", "delete", "retune")[rng.integers(3)]
        history.append((name, bool(rng.random() < {"insert": 0.01, "delete": 0.1, "retune": 0.6}[name])))
        adaptation.note(*history[-1])
    weight = [(1 - 1 / 50) ** (len(history) - 1 - place) for place in range(len(history))]
    tried = {name: sum(w for w, (n, _) in zip(weight, history, strict=True) if n == name) for name, _ in history}
    better = {name: sum(w for w, (n, b) in zip(weight, history, strict=True) if n == name and b) for name, _ in history}
    overall = (sum(better.values()) + 1) / (sum(tried.values()) + 2)
    for name, factor in adaptation.factors.items():
        rate = (better[name] + PRIOR * overall) / (tried[name] + PRIOR)
        assert factor == pytest.approx(np.clip(rate / overall, 0.25, 4.0))
    assert adaptation.factors["retune"] > 1.0 > adaptation.factors["insert"]


def test_nothing_is_switched_off() -> None:
    adaptation = Adaptation(AdaptationConfig(floor=0.1))
    for _ in range(2000):
        adaptation.note("insert", False)
        adaptation.note("retune", True)
    assert adaptation.factors["insert"] == pytest.approx(0.1)
