"""Names and order change nothing that is computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dsl.dataflow import prune
from dsl.execute import reference_step
from dsl.fingerprint import fingerprint
from dsl.library import LIBRARY
from dsl.program import Program
from dsl.syntax import parse
from dsl.verify import verify
from simplify.order import order


@pytest.mark.parametrize("name", LIBRARY)
def test_library_keeps_its_statements(name: str) -> None:
    program = parse(str(prune(LIBRARY[name])).replace("0.8999999761581421", "0.9"))
    program = parse(str(program).replace("1.109133005142212", "1.109133").replace("0.4601978361606598", "0.46019784"))
    program = parse(str(program).replace("0.0002171761734643951", "0.00021717617"))
    assert sorted(s.function for s in order(program).body) == sorted(s.function for s in program.body)
    assert fingerprint(order(program)) == fingerprint(program)


def test_meaning_is_kept(generated: Callable[[int, int], list[Program]]) -> None:
    rng = np.random.default_rng(0)
    for program in map(prune, generated(300, 380)):
        ordered = order(program)
        verify(ordered)
        assert len(ordered.body) <= len(program.body)
        trees = [[rng.standard_normal(3)] for _ in range(2 + len(program.state))]
        one = reference_step(program, trees[0], trees[1], trees[2:], 0.3)
        other = reference_step(ordered, trees[0], trees[1], trees[2:], 0.3)
        np.testing.assert_allclose(one[0][0], other[0][0], rtol=1e-6)  # constants are those of float32
        for mine, theirs in zip(one[1], other[1], strict=True):
            np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-6)


def test_roles_give_names() -> None:
    ordered = order(prune(parse(str(LIBRARY["adamw"]).replace("m", "q").replace("v", "z").replace("suq", "sum"))))
    assert ordered.state == ("m", "v")
    assert {s.target for s in ordered.body} == {"g2", "m", "v", "sqrt_v", "update", "wd", "lr"}


def test_old_state_is_read_before_it_is_replaced() -> None:
    program = parse(
        "def train(w, g, m, lr):\n  old = m * 2.0\n  m = interp(g, m, 0.9)\n  update = m - old\n  return update, m\n"
    )
    assert order(program) == order(order(program))
    assert len(order(program).body) == 3


def test_states_that_swap_need_a_copy() -> None:
    program = parse(
        "def train(w, g, m, v, lr):\n  old = m * 1.0\n  m = v + g\n  v = old + w\n"
        "  update = m * v\n  return update, m, v\n"
    )
    assert fingerprint(order(program)) == fingerprint(program)
