"""Equal fingerprints imply equal training runs up to rounding; equivalent changes preserve the fingerprint."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsearch.dsl import fingerprint as fingerprint_module
from optsearch.dsl.dataflow import prune
from optsearch.dsl.fingerprint import FINGERPRINT_VERSION, fingerprint
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights


def program(body: str, state: str = "") -> Program:
    """``program("update = g * lr")``; statements are separated by semicolons, state names by commas."""
    names = "".join(f", {name}" for name in state.split(",") if name)
    return parse(f"def train(w, g{names}, lr):\n {body.replace(';', chr(10) + ' ')}\n return update{names}\n")


# --- Soundness


def pairs(count: int, seed: int) -> Iterator[tuple[Program, Program]]:
    """Mutants with one fingerprint that differ in their live statements."""
    rng = np.random.default_rng(seed)
    mutator = Mutator(
        MutationWeights(insert=2.0, delete=1.0, modify=2.0, scale=0.2, complement=0.0, redraw=0.2, retune=0.2)
    )
    seen: dict[str, list[Program]] = {}
    found = 0
    starts = [*LIBRARY.values()]
    while True:
        if rng.random() < 0.5:
            child = starts[rng.integers(len(starts))]
        else:
            child = random_program(rng, state=("m", "v")[: rng.integers(3)], statements=int(rng.integers(2, 8)))
        for _ in range(40):
            child, _ = mutator.mutate(rng, child)
            live = prune(child)
            same = seen.setdefault(fingerprint(child), [])
            if live in same:
                continue
            if same and len(same) < 8:
                yield same[-1], live
                found += 1
                if found == count:
                    return
            same.append(live)


def assert_sound(
    count: int,
    seed: int,
    random_leaves: Callable[..., list[np.ndarray]],
    trajectories: Callable[..., np.ndarray],
    beyond_rounding: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    """Updates agree until one is not finite: then the weights are not either, and training has failed."""
    leaves = random_leaves(seed, ((3,), (2,)))
    compared = total = 0
    for one, other in pairs(count, seed):
        runs = trajectories(one, leaves, steps=3, runs=4, size=1e-6, first_single=True)
        result = trajectories(other, leaves, steps=3, runs=1, size=0.0, first_single=True)[0]
        good = np.isfinite(runs[0]).reshape(3, -1).all(axis=1)
        failed = 5 * (int(np.argmin(good)) + 1 if not good.all() else 3)
        runs, result = runs[:, :failed], result[:failed]
        differs, comparable = beyond_rounding(result, runs)
        assert not differs.any(), f"{fingerprint(one)}\n{one}\n{other}\n{runs[0]}\n{result}"
        compared += comparable.sum()
        total += comparable.size
    assert compared > 0.5 * total


def test_pairs_with_one_fingerprint_train_the_same(
    random_leaves: Callable[..., list[np.ndarray]],
    trajectories: Callable[..., np.ndarray],
    beyond_rounding: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    assert_sound(400, 1, random_leaves, trajectories, beyond_rounding)


@pytest.mark.slow
def test_10_000_pairs_with_one_fingerprint_train_the_same(
    random_leaves: Callable[..., list[np.ndarray]],
    trajectories: Callable[..., np.ndarray],
    beyond_rounding: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    assert_sound(10_000, 2, random_leaves, trajectories, beyond_rounding)


DIFFERENT = [
    ("update = g * lr", "update = g * 0.5", ""),
    ("update = g * lr", "update = w * lr", ""),
    ("update = g - w", "update = w - g", ""),
    ("update = g / w", "update = w / g", ""),
    ("x = reciprocal(w); update = g / x", "update = g * w", ""),  # 1e-8 is added to a divisor
    ("x = sqrt(g); update = square(x)", "update = g * 1.0", ""),  # abs(g)
    ("x = square(g); update = sqrt(x)", "update = g * 1.0", ""),
    ("m = interp(g, m, 0.9); update = m * lr", "update = m * lr; m = interp(g, m, 0.9)", "m"),  # one step later
    ("m = m + g; update = m * lr", "m = g * 1.0; update = m * lr", "m"),
    ("update = m - v; m = m + g; v = v + w", "update = v - m; m = m + g; v = v + w", "m,v"),
    ("update = m + g; m = v * 1.0; v = g * 1.0", "update = m + g; m = g * 1.0; v = g * 1.0", "m,v"),
    ("x = arccosh(2.0); update = g * x", "x = arccosh(3.0); update = g * x", ""),
    ("x = norm(g); update = g * x", "x = global_norm(g); update = g * x", ""),
    ("update = power(g, 3.0)", "update = power(g, 2.0)", ""),
    ("x = exp2(g); x = clip(x, 0.0); update = sign(x)", "x = exp2(g); update = sign(x)", ""),
    ("x = sign(g); update = x * x", "update = w - w; update = update + 1.0", ""),  # sign(0) = 0
    # Infinite or no number, where the other is zero: poles, growth, overflow
    ("a = eps(); b = negative(a); r = reciprocal(b); z = r - r; update = g + z", "update = g * 1.0", ""),
    ("b = g - 1e-08; r = reciprocal(b); z = r - r; update = g + z", "update = g * 1.0", ""),  # a gradient is often zero
    ("b = clip(g, 1e-08); z = 0.0 / b; update = g + z", "update = g * 1.0", ""),
    ("z = 0.0 / -1e-08; update = g + z", "update = g * 1.0", ""),
    ("m = m * 2.0; m = m + g; z = m - m; update = g + z", "m = m + g; update = g * 1.0", "m"),
    ("m = interp(g, m, 1.5); z = m - m; update = g + z", "m = m + g; update = g * 1.0", "m"),
    ("m = m + v; v = v + m; v = v + g; z = v - v; update = g + z", "m = m + g; v = v + g; update = g * 1.0", "m,v"),
    ("x = maximum(g, 3e+38); y = w * x; update = y * x", "x = maximum(g, 3e+38); x = x * x; update = w * x", ""),
    # Rounded away in float32: constants, and terms that cancel
    ("x = interp(g, g, w); x = x - g; update = sign(x)", "x = g - g; update = sign(x)", ""),  # not exactly g
    ("x = interp(g, g, 0.3); x = x - g; update = sign(x)", "x = g - g; update = sign(x)", ""),
    ("x = square(g); x = sqrt(x); y = abs(g); x = x - y; update = sign(x)", "x = g - g; update = sign(x)", ""),
    (
        "m = interp(g, m, 0.9); x = m * 3.0; x = x / 3.0; x = x - m; update = sign(x)",
        "m = m + g; x = m - m; update = sign(x)",
        "m",
    ),
    (
        "x = g * 0.3; y = g * 0.7; x = x + y; x = x - g; update = sign(x)",  # another rounding
        "x = interp(g, g, w); x = x - g; update = sign(x)",
        "",
    ),
    ("a = eps(); a = a + 1.0; a = a - 1.0; a = sign(a); update = a * lr; update = update + w", "update = w + lr", ""),
    ("m = interp(g, m, 0.99999999); update = m * lr", "x = g * 1e-08; m = m + x; update = m * lr", "m"),
    ("x = g + 1e+06; update = x - 1e+06", "update = g * 1.0", ""),
    ("x = w + g; update = x - w", "update = g * 1.0", ""),
    ("x = g * 1e+08; x = x + g; y = g * 1e+08; update = x - y", "update = g * 1.0", ""),
    ("x = g * 1e-30; x = x * 1e-12; x = x * 1e+30; update = x * 1e+12", "update = g * 1.0", ""),
]


@pytest.mark.parametrize(("one", "other", "state"), DIFFERENT)
def test_different_meanings_have_different_fingerprints(one: str, other: str, state: str) -> None:
    assert fingerprint(program(one, state)) != fingerprint(program(other, state))


# --- Invariance

EQUAL = [
    ("update = g * lr", "update = lr * g"),
    ("update = g + w", "update = w + g"),
    ("x = g + 0.0; update = x * lr", "update = g * lr"),
    ("x = g * 1.0; update = x * lr", "update = g * lr"),
    ("x = g - g; update = x + w", "update = w * 1.0"),
    ("x = g * w; y = w * g; x = x - y; update = x + w", "update = w * 1.0"),
    ("x = reciprocal(g); x = x - x; update = x + w", "update = w * 1.0"),
    ("x = square(g); x = x + 1e-08; y = 0.0 / x; update = y + w", "update = w * 1.0"),
    ("x = g * 0.1; update = x * 3.0", "x = g * 3.0; update = x * 0.1"),
    ("x = negative(g); update = negative(x)", "update = g * 1.0"),
    ("update = interp(g, w, 0.0)", "update = g * 1.0"),
    ("update = interp(g, w, 1.0)", "update = w * 1.0"),
    ("x = sign(g); update = sign(x)", "update = sign(g)"),
    ("x = abs(g); update = abs(x)", "update = abs(g)"),
    ("x = square(g); update = abs(x)", "update = g * g"),
    ("x = negative(g); update = cos(x)", "update = cos(g)"),
    ("x = negative(g); x = sin(x); update = negative(x)", "update = sin(g)"),
    ("x = 2.0 * 3.0; update = g * x", "update = g * 6.0"),
    ("x = g * 2.0; update = x * 3.0", "update = g * 6.0"),
    ("x = g * 2.0; update = sign(x)", "update = sign(g)"),
    ("x = g * -2.0; x = sign(x); update = x * -1.0", "update = sign(g)"),
    ("x = square(g); update = sqrt(x)", "update = abs(g)"),
    ("x = lr * g; update = x * w", "x = g * w; update = lr * x"),
    ("x = w + g; update = x + lr", "x = g + lr; update = x + w"),
    ("x = g / w; update = x * lr", "x = g * lr; update = x / w"),
    ("x = maximum(g, w); update = maximum(x, g)", "update = maximum(w, g)"),
    ("x = minimum(g, 0.5); update = minimum(x, 2.0)", "update = minimum(g, 0.5)"),
    ("x = clip(g, 1.0); update = clip(x, 2.0)", "update = clip(g, 1.0)"),
    ("x = clip(g, 2.0); update = clip(x, 1.0)", "update = clip(g, -1.0)"),
    ("x = sinh(g); update = sign(x)", "update = sign(g)"),
    ("x = cbrt(g); update = sign(x)", "update = sign(g)"),
    ("x = sign(g); update = clip(x, 2.0)", "update = sign(g)"),
    ("x = sin(g); update = clip(x, 1.5)", "update = sin(g)"),
    ("update = power(g, 2.0)", "update = square(g)"),
    ("update = power(g, 1.0)", "update = g * 1.0"),
    ("x = exp(g); update = exp(x)", "x = exp(g); x = abs(x); update = exp(x)"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_cheap_identities_are_seen(one: str, other: str) -> None:
    assert fingerprint(program(one)) == fingerprint(program(other))


EQUAL_WITH_STATE = [
    ("m = interp(g, m, 0.9); z = m - m; update = w + z", "update = w * 1.0; m = m + g", "m"),
    ("m = m + g; v = v + m; z = v - v; update = w + z", "update = w * 1.0; m = m + g; v = v + g", "m,v"),
    (
        "m = interp(g, m, 0.9); x = interp(g, m, 0.5); update = x * lr",
        "m = interp(g, m, 0.9); x = g + m; x = x * 0.5; update = x * lr",
        "m",
    ),
    ("m = m + g; update = m * lr", "m = g + m; v = v * 0.5; update = lr * m", "m,v"),
    ("m = interp(g, m, 0.9); update = m * lr", "v = interp(g, v, 0.9); m = w * w; update = v * lr", "m,v"),
    ("m = m + g; v = v + g; update = m + v", "m = m + g; update = m * 2.0", "m,v"),  # two copies of one state
    ("m = m * 0.9; update = m + g", "update = g * 1.0", "m"),  # starts at zero, stays there
    ("m = m * v; v = v * m; update = m + g", "update = g * 1.0", "m,v"),
    ("update = m - v; m = m + g; v = v + w", "update = v - m; m = m + w; v = v + g", "m,v"),
    ("m = m + g; v = v + m; update = v * lr", "v = v + g; m = m + v; update = m * lr", "m,v"),
]


@pytest.mark.parametrize(("one", "other", "state"), EQUAL_WITH_STATE)
def test_state_is_seen_through(one: str, other: str, state: str) -> None:
    assert fingerprint(program(one, state)) == fingerprint(program(other, state))


def test_every_law_of_the_table_is_used() -> None:
    """What a row declares, the fingerprint knows: commutativity and signs."""
    for function in FUNCTIONS.values():
        laws, name = function.laws, function.name
        tree = {0: "w", 1: "g"}
        if laws.commutative:
            one, other = (f"x = {name}({a}, {b}); update = w + x" for a, b in (("w", "g"), ("g", "w")))
            assert fingerprint(program(one)) == fingerprint(program(other)), name
        for position, parity in enumerate(laws.parity):
            if not parity:
                continue
            args = [tree.get(index, "lr") for index in range(function.arity)]
            if name == "clip_by_global_norm":
                args = ["w", "lr"]
            changed = [*args[:position], "n", *args[position + 1 :]]
            one = f"x = {name}({', '.join(args)}); update = w + x"
            sign = "-" if parity < 0 else "+"
            other = f"n = negative({args[position]}); x = {name}({', '.join(changed)}); update = w {sign} x"
            assert fingerprint(program(one)) == fingerprint(program(other)), f"{name}, operand {position}"


@st.composite
def some_programs(draw: st.DrawFn) -> Program:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    state = ("m", "v", "s")[: draw(st.integers(0, 3))]
    return random_program(rng, state=state, statements=draw(st.integers(1, 20)))


def renamed(old: Program, names: dict[str, str]) -> Program:
    body = [
        Statement(
            names.get(s.target, s.target),
            s.function,
            tuple(names.get(a, a) if isinstance(a, str) else a for a in s.args),
        )
        for s in old.body
    ]
    return Program(tuple(names.get(name, name) for name in old.state), tuple(body))


@given(some_programs(), st.randoms(use_true_random=False))
def test_names_do_not_matter(one: Program, random: object) -> None:
    names = {*one.state, *(s.target for s in one.body)} - {"w", "g", "lr", "update"}
    fresh = [f"x{index}" for index in range(len(names))]
    random.shuffle(fresh)
    other = renamed(one, dict(zip(sorted(names), fresh, strict=True)))
    verify(other)
    assert fingerprint(one) == fingerprint(other)


@given(some_programs())
def test_the_order_of_the_state_does_not_matter(one: Program) -> None:
    for state in permutations(one.state):
        assert fingerprint(one) == fingerprint(Program(state, one.body))


@given(some_programs(), st.data())
def test_the_order_of_independent_statements_does_not_matter(one: Program, data: st.DataObject) -> None:
    body = list(one.body)
    for _ in range(10):
        if len(body) < 2:
            return
        place = data.draw(st.integers(0, len(body) - 2))
        a, b = body[place], body[place + 1]
        if a.target != b.target and a.target not in b.args and b.target not in a.args:
            body[place : place + 2] = [b, a]
    assert fingerprint(one) == fingerprint(Program(one.state, tuple(body)))


@given(some_programs(), st.data())
def test_dead_code_does_not_matter(one: Program, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(one.body)))
    statement = Statement("unused", "sqrt", ("g",))
    other = Program((*one.state, "idle"), (*one.body[:place], statement, *one.body[place:]))
    assert fingerprint(one) == fingerprint(other) == fingerprint(prune(other))


@given(some_programs())
def test_operands_of_commutative_functions_may_be_swapped(one: Program) -> None:
    body = [s._replace(args=s.args[::-1]) if FUNCTIONS[s.function].laws.commutative else s for s in one.body]
    assert fingerprint(one) == fingerprint(Program(one.state, tuple(body)))


@given(some_programs())
def test_duplicated_state_does_not_matter(one: Program) -> None:
    """A second copy of everything, whose state is only mixed into the update as ``interp(update, copy, 0.5)``."""
    names = {name: f"{name}_copy" for name in (*one.state, *(s.target for s in one.body), "w", "g", "lr")}
    copies = [Statement(f"{name}_copy", "multiply", (name, 1.0)) for name in ("w", "g", "lr")]
    second = renamed(one, names)
    mixed = Statement("update", "interp", ("update", "update_copy", 0.5))
    other = Program((*one.state, *second.state), (*copies, *second.body, *one.body, mixed))
    verify(other)
    assert fingerprint(one) == fingerprint(other)


LONG = {
    "chain": "x = m * v;" + "x = sin(x);x = cosh(x);x = cbrt(x);" * 60 + "m = m + x;v = v + x;v = v + w;update = x + m",
    "sums": "x = m * v;" + "x = x + g;x = x * m;x = x + w;" * 60 + "m = m + x;v = v + x;v = v + w;update = x + m",
    "powers": "x = w + g;" + "x = x * x;x = x + g;" * 90 + "m = m + x;v = v * x;update = x + v",
    "extremes": "x = m * v;" + "x = maximum(x, m);x = minimum(x, v);" * 90 + "m = m + x;v = v + w;update = x + m",
    "shared": "x = square(g);s = abs(w);" + "p = reciprocal(x);q = x * s;q = reciprocal(q);x = p * q;" * 48
    + "update = abs(x)",
    "roots": "x = square(g);" + "p = sqrt(x);q = x * w;q = sqrt(q);x = p * q;" * 48 + "update = sign(x)",
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_the_longest_programs_take_no_time(name: str) -> None:
    """Shared values are looked at once: 2^48 paths lead through some of these programs, which would take years."""
    one = program(LONG[name], "" if name in ("shared", "roots") else "m,v")
    fingerprint(one)


# --- Stability

GOLDEN = {
    **LIBRARY,
    "reductions": program("n = norm(g); k = global_norm(w); x = dot(g, w); x = x * k; n = n / x; update = g * n"),
    "edges": program("x = arccosh(g); y = x - x; z = power(w, -0.5); y = y * z; update = interp(y, w, lr)"),
    "copies": program("m = m + g; v = v + g; s = s * m; update = m * v; update = update + s", "m,v,s"),
    "ties": program("a = m * v; update = a + m; m = m + g; v = interp(w, v, 0.5)", "m,v"),
}
"""Programs that take every path through the fingerprint."""


def test_a_fingerprint_is_16_hexadecimal_digits() -> None:
    for one in LIBRARY.values():
        assert len(fingerprint(one)) == 16
        int(fingerprint(one), 16)


def test_library_programs_have_different_fingerprints() -> None:
    assert len({fingerprint(one) for one in LIBRARY.values()}) == len(LIBRARY)


def test_fingerprints_of_this_version_never_change() -> None:
    """The golden file holds the fingerprints of every version; a change of any needs a new version and a new line."""
    golden = json.loads((Path(__file__).parent / "fingerprints.json").read_text(encoding="utf-8"))
    assert golden[str(FINGERPRINT_VERSION)] == {name: fingerprint(one) for name, one in GOLDEN.items()}


def test_fingerprints_do_not_depend_on_what_was_fingerprinted_before(programs: Callable[..., list[Program]]) -> None:
    many = programs(200, seed=4)
    names = [fingerprint(one) for one in many]
    fingerprint_module._memory.forget()
    assert [fingerprint(one) for one in reversed(many)] == names[::-1]
    for one, name in zip(many, names, strict=True):
        fingerprint_module._memory.forget()
        assert fingerprint(one) == name


def test_threads_do_not_disturb_each_other(programs: Callable[..., list[Program]]) -> None:
    many = programs(100, seed=5)
    names = [fingerprint(one) for one in many]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: [fingerprint(one) for one in many], range(8)):
            assert found == names


def test_another_process_gives_the_same_fingerprints() -> None:
    script = "from optsearch.dsl.library import LIBRARY; from optsearch.dsl.fingerprint import fingerprint\n"
    script += "print(*(fingerprint(p) for p in LIBRARY.values()))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert done.stdout.split() == [fingerprint(one) for one in LIBRARY.values()]
    assert isinstance(FINGERPRINT_VERSION, int)
