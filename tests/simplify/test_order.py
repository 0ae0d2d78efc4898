"""Renaming and reordering preserve all computed values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from optsearch.dsl.dataflow import prune
from optsearch.dsl.execute import reference_step
from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify
from optsearch.simplify.rewriting.order import order
from optsearch.simplify.rewriting.recognise import recognise


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
        for mine, theirs in [(one[0], other[0]), *zip(one[1], other[1], strict=True)]:
            size = np.max(np.abs(mine[0]), where=np.isfinite(mine[0]), initial=0.0)
            with np.errstate(over="ignore"):  # constants are those of float32, and terms may cancel
                np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-6, atol=1e-6 * size)


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


def test_values_that_are_shared_again_and_again_are_read_once() -> None:
    """Each value uses the two before it: its formula, written as a tree, would be as long as 1.6 ** 60."""
    body = [f"  x{n} = x{n - 1} * x{n - 2}\n" for n in range(2, 60)]
    text = f"def train(w, g, lr):\n  x0 = tanh(g)\n  x1 = sin(g)\n{''.join(body)}  update = x59 * lr\n  return update\n"
    program = parse(text)
    assert len(order(program).body) == len(program.body)
    assert recognise(program) is None
    with_memory = text.replace(
        "update = x59 * lr", "m = interp(x59, m, 0.9)\n  update = sign(m)\n  update = update * lr"
    )
    with_memory = with_memory.replace("g, lr)", "g, m, lr)").replace("return update", "return update, m")
    words = "this is Signum with beta = 0.9, on a long function of g in place of the gradient"
    assert str(recognise(parse(with_memory))) == words
