"""The learning rate and the weight decay of a program keep the laws by which they are called so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from optsearch.dsl.execute import reference_state, reference_step
from optsearch.dsl.hyperparameters import weight_decay, with_rate
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify


def program(*lines: str, state: str = "") -> Program:
    names = f"{state}, " if state else ""
    return parse(
        f"def train(w, g, {names}lr):\n  " + "\n  ".join(lines) + f"\n  return {', '.join(['update', *state])}\n"
    )


def updates(program: Program, lr: float, steps: int = 3) -> np.ndarray:
    """Updates of several steps from random weights, flat; weights do not move."""
    rng = np.random.default_rng(0)
    w = [rng.standard_normal(shape) for shape in ((3, 2), (4,))]
    state, found = reference_state(program, w), []
    for _ in range(steps):
        g = [rng.standard_normal(x.shape) for x in w]
        update, state = reference_step(program, w, g, state, lr)
        found += [x.ravel() for x in update]
    return np.concatenate(found)


def test_a_program_at_its_rate_takes_the_same_steps(programs: Callable[..., list[Program]]) -> None:
    proportional = 0
    last = Statement("update", "multiply", ("update", "lr"))
    drawn = [Program(one.state, (*one.body, last)) for one in programs(300, seed=21)]
    for one in [*LIBRARY.values(), *drawn]:
        made, rate = with_rate(one)
        verify(made)
        if rate is None:
            continue
        proportional += 1
        for lr in (1.0, 0.03):
            ours, original = updates(made, lr * rate), updates(one, lr)
            finite = np.isfinite(original)
            np.testing.assert_allclose(ours[finite], original[finite], rtol=1e-6, atol=1e-30, err_msg=str(one))
        doubled, finite = updates(made, 2.0 * rate), np.isfinite(updates(made, rate))
        np.testing.assert_allclose(doubled[finite], 2.0 * updates(made, rate)[finite], rtol=1e-6, err_msg=str(one))
    assert proportional > 30


@pytest.mark.parametrize(
    ("lines", "rate", "left"),
    [
        (["update = g * lr"], 1.0, ["update = g * lr"]),
        (["lr = lr * 0.001", "update = g * lr"], 0.001, ["update = g * lr"]),
        (["lr = 0.001 * lr", "update = g * lr"], 0.001, ["update = g * lr"]),
        (["step = lr * 0.001", "update = g * step"], 0.001, ["update = g * lr"]),
        (["step = lr * 0.001", "lr = norm(w)", "a = step * lr", "update = a * g"], 0.001,
         ["step = lr * 1.0", "lr = norm(w)", "a = step * lr", "update = a * g"]),
        (["update = g * lr", "update = update * 0.01"], 0.01, ["update = g * lr"]),
        (["a = g * 0.5", "lr = lr * 0.01", "update = a * lr"], 0.005, ["update = g * lr"]),
        (["lr = lr * -0.01", "update = g * lr"], 0.01, ["lr = lr * -1.0", "update = g * lr"]),
        (["wd = w * 0.1", "u = g + wd", "lr = lr * 0.01", "update = u * lr"], 0.01,
         ["wd = w * 0.1", "u = g + wd", "update = u * lr"]),
        (["a = lr * 0.001", "a = abs(a)", "update = g * a"], 0.001, ["a = abs(lr)", "update = g * a"]),
        (["a = sqrt(lr)", "a = square(a)", "update = g * a"], 1.0, ["a = sqrt(lr)", "a = square(a)", "update = g * a"]),
        (["u = g * 1e-30", "update = u * lr"], 1.0, ["u = g * 1e-30", "update = u * lr"]),
    ],
)  # fmt: skip
def test_constants_of_the_rate_move_into_it(lines: list[str], rate: float, left: list[str]) -> None:
    found = with_rate(program(*lines))
    assert found.rate == pytest.approx(rate)
    assert [str(statement) for statement in found.program.body] == left


@pytest.mark.parametrize(
    "lines",
    [
        ["a = sqrt(lr)", "update = g * a"],
        ["a = g * lr", "update = tanh(a)"],
        ["a = g + lr", "update = a * lr"],
        ["a = g * lr", "b = w * 0.1", "update = a + b"],
        ["update = g * 0.1"],
        ["u = clip(g, lr)", "update = u * lr"],
    ],
)
def test_a_program_that_is_not_proportional_to_lr_has_no_rate(lines: list[str]) -> None:
    made = program(*lines)
    assert with_rate(made) == (made, None)


def test_lr_within_the_state_is_no_learning_rate() -> None:
    """The update of a step then has the rates of earlier steps, which a schedule changes."""
    assert with_rate(program("a = g * lr", "m = m + a", "update = m * 0.1", state="m")).rate is None


@pytest.mark.parametrize(
    ("lines", "decay"),
    [
        (["wd = w * 0.1", "u = g + wd", "update = u * lr"], 0.1),
        (["u = sign(g)", "wd = 0.25 * w", "u = u + wd", "update = u * lr"], 0.25),
        (["a = g * lr", "b = lr * 0.5", "b = b * w", "update = a + b"], 0.5),
    ],
)
def test_decoupled_weight_decay(lines: list[str], decay: float) -> None:
    made = program(*lines)
    found = weight_decay(made, has_rate=True)
    assert found is not None
    assert found.is_decoupled
    index, position = found.place
    assert made.body[index].args[position] == decay


def test_weight_decay_of_the_gradient() -> None:
    made = program("wd = w * 0.1", "g = g + wd", "update = sign(g)", "update = update * lr")
    assert weight_decay(made, has_rate=True) == ((0, 1), False)
    assert weight_decay(made, has_rate=False) == ((0, 1), False)


@pytest.mark.parametrize(
    "lines",
    [
        ["wd = w * 0.1", "wd = tanh(wd)", "u = g + wd", "update = u * lr"],
        ["wd = w * 0.1", "wd = wd * 0.1", "u = g + wd", "update = u * lr"],
        ["wd = w * 0.1", "u = g - wd", "update = u * lr"],
        ["wd = w * 0.1", "wd = clip(wd, 90.0)", "u = g + wd", "update = u * lr"],
        ["wd = w * 0.1", "u = wd * g", "update = u * lr"],
        ["wd = w * 0.1", "n = global_norm(wd)", "u = g + wd", "u = u / n", "update = u * lr"],
        ["wd = w * 0.1", "more = w * 0.2", "u = g + wd", "u = u + more", "update = u * lr"],
        ["u = g * 0.1", "update = u * lr"],
    ],
)
def test_other_constants_are_no_weight_decay(lines: list[str]) -> None:
    assert weight_decay(program(*lines), has_rate=True) is None
