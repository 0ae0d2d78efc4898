"""Fixtures for the tests of the language: random parameter trees and programs, and the effect of rounding on a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from optsearch.dsl.execute import apply_on_tree
from optsearch.dsl.functions import Function
from optsearch.dsl.generate import random_program
from optsearch.dsl.program import OUTPUT, Program
from optsearch.dsl.walk import walk

Leaves = list[np.ndarray]


@pytest.fixture(scope="session")
def random_leaves() -> Callable[..., Leaves]:
    """``random_leaves(seed, shapes)``: one normal float32 array for each shape."""

    def make(seed: int, shapes: tuple[tuple[int, ...], ...] = ((3,), (2, 2), ())) -> Leaves:
        rng = np.random.default_rng(seed)
        return [np.asarray(rng.standard_normal(shape), np.float32) for shape in shapes]

    return make


@pytest.fixture(scope="session")
def programs() -> Callable[..., list[Program]]:
    """``programs(count, seed)``: random programs of 1 to 25 statements with 0 to 3 state variables."""

    def make(count: int, seed: int = 0, **options: Any) -> list[Program]:
        rng = np.random.default_rng(seed)
        names = ("m", "v", "s")
        return [
            random_program(rng, state=names[: rng.integers(4)], statements=int(rng.integers(1, 26)), **options)
            for _ in range(count)
        ]

    return make


class _Rounding:
    """The float64 meaning with every result, constants included, off by random rounding.

    With ``single`` the results are those that float32 can hold: too large is infinite, too small may be zero.
    """

    def __init__(self, rng: np.random.Generator, size: float, single: bool):
        self.rng, self.size, self.single = rng, size, single
        self.flush = single and rng.random() < 0.5

    def rounded(self, x: Any) -> Any:
        if isinstance(x, list):
            return [self.rounded(leaf) for leaf in x]
        x = np.asarray(x, np.float64)
        x = x * (1.0 + self.size * self.rng.uniform(-1.0, 1.0, x.shape))
        if self.single:
            x = np.asarray(x.astype(np.float32), np.float64)
            if self.flush:
                x = np.where(np.abs(x) < np.finfo(np.float32).tiny, 0.0, x)
        return x

    def constant(self, value: float) -> Any:
        return self.rounded(value)

    def apply(self, function: Function, operands: list[Any]) -> Any:
        return self.rounded(apply_on_tree(function.reference, function.scope, operands))


@pytest.fixture(scope="session")
def trajectories() -> Callable[..., np.ndarray]:
    """``trajectories(program, leaves, ...)``: updates of several steps, under several roundings.

    Returns an array [runs, steps * parameters]; the first run has no rounding but float64's own, or with
    ``first_single`` float32's own.
    """

    def run(
        program: Program,
        leaves: Leaves,
        steps: int,
        runs: int,
        size: float,
        *,
        single: bool = False,
        first_single: bool = False,
        lr: float = 0.1,
    ) -> np.ndarray:
        results = []
        for index in range(runs):
            rng = np.random.default_rng(index)
            domain = _Rounding(rng, size if index else 0.0, single if index else first_single)
            gradients = np.random.default_rng(99)
            trees = {"w": [np.asarray(leaf, np.float64) for leaf in leaves]}
            trees |= {name: [np.zeros(leaf.shape) for leaf in leaves] for name in program.state}
            updates = []
            with np.errstate(all="ignore"):
                for _ in range(steps):
                    g = [np.float32(gradients.standard_normal(leaf.shape)).astype(np.float64) for leaf in leaves]
                    values = walk(program, {**trees, "g": g, "lr": np.float64(lr)}, domain)
                    trees = {name: values[name] for name in program.state} | {
                        "w": [w - u for w, u in zip(trees["w"], values[OUTPUT], strict=True)]
                    }
                    updates += [np.ravel(leaf) for leaf in values[OUTPUT]]
            results.append(np.concatenate(updates))
        return np.array(results)

    return run


@pytest.fixture(scope="session")
def beyond_rounding() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """``beyond_rounding(values, runs)``: where ``values`` differ from the runs by more than these among each other.

    Returns two masks: what differs, and what could be compared at all: where roundings leave the result as it is.
    """

    def judge(values: np.ndarray, runs: np.ndarray, slack: float = 30.0) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(all="ignore"):
            centre = runs[0]
            spread = np.max(np.abs(runs - centre), axis=0)
            scale = np.abs(centre)
            finite = np.isfinite(runs).all(axis=0)
            same_fault = (np.isnan(runs).all(axis=0) & np.isnan(values)) | (runs == values).all(axis=0)
            comparable = finite & (spread <= 1e-3 * scale + 1e-30)
            differs = comparable & ~(np.abs(values - centre) <= slack * spread + 1e-30) & ~same_fault
        return differs, comparable

    return judge
