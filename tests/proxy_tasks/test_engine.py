"""The interpreter implements the function table: compared with its JAX definitions and the float64 reference."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optsearch.dsl import execute
from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.execution import engine
from optsearch.proxy_tasks.execution.encoding import FIRST_STATE, GRADIENT, ROWS, WEIGHTS, encode
from optsearch.proxy_tasks.execution.engine import Layout
from optsearch.proxy_tasks.execution.script import Scripts, scripts

SHAPES = ((3, 4), (4,), (), (4, 2), (2, 2, 3), (4,))
"""Two matrices of one shape up to transposition, and two vectors of one length, among others."""

STEPS = 3
TOLERANCE = 1e-3


def tree(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES]


@cache
def interpreter() -> Any:
    layout = Layout.of([np.zeros(shape) for shape in SHAPES])

    @jax.jit
    def run(programs: Scripts, w: jax.Array, gradients: jax.Array, rates: jax.Array) -> jax.Array:
        lanes = rates.shape[0]
        table = engine.schedule_table(programs, rates)
        start = jnp.zeros((lanes, ROWS, layout.size), jnp.float32)

        def step(file: jax.Array, index: jax.Array) -> tuple[jax.Array, jax.Array]:
            file = file.at[:, WEIGHTS].set(w[None]).at[:, GRADIENT].set(gradients[index][None])
            file = engine.interpret(programs.step, layout, file, table[index], matrices=True)
            return file, file[:, jnp.array([WEIGHTS, FIRST_STATE, FIRST_STATE + 1])]

        return jax.lax.scan(step, start, jnp.arange(STEPS))[1]

    return run


def together(programs: list[Program], w: Any, gradients: Any, rates: np.ndarray, grouped: bool) -> np.ndarray:
    """For each step and program the new weights and two state variables, as rows; the weights are the same again."""
    codes = [code for code in map(encode, programs) if code is not None]
    assert len(codes) == len(programs)
    rows = np.stack([flat(gradient) for gradient in gradients])
    spread = np.broadcast_to(rates, (len(codes), STEPS))
    return np.asarray(interpreter()(scripts(codes, grouped=grouped), flat(w), rows, spread))


def interpreted(program: Program, w: Any, gradients: Any, rates: np.ndarray) -> list[np.ndarray]:
    """For each step the new weights and the state, as rows."""
    steps = together([program], w, gradients, rates, grouped=False)
    return [step[0, : 1 + len(program.state)] for step in steps]


def flat(leaves: Any) -> np.ndarray:
    """One number per parameter; numbers per row or column are repeated, as in the interpreter."""
    return np.concatenate([np.ravel(np.broadcast_to(x, shape)) for x, shape in zip(leaves, SHAPES, strict=True)])


def defined(program: Program, w: Any, gradients: Any, rates: np.ndarray) -> list[np.ndarray]:
    state: Any = execute.first_state(program, w)
    steps = []
    for gradient, rate in zip(gradients, rates, strict=True):
        update, state = execute.step(program, [jnp.asarray(x) for x in w], gradient, state, rate)
        steps.append(np.stack([flat(w) - flat(update), *map(flat, state)]))
    return steps


def compiled(program: Program, w: Any, gradients: Any, rates: np.ndarray) -> list[np.ndarray]:
    """Like ``defined``, each step compiled as a whole."""
    step = jax.jit(lambda w, g, state, lr: execute.step(program, w, g, state, lr))
    state: Any = execute.first_state(program, w)
    steps = []
    for gradient, rate in zip(gradients, rates, strict=True):
        update, state = step([jnp.asarray(x) for x in w], gradient, state, rate)
        steps.append(np.stack([flat(w) - flat(update), *map(flat, state)]))
    return steps


def referenced(program: Program, w: Any, gradients: Any, rates: np.ndarray) -> list[np.ndarray]:
    state: Any = execute.reference_state(program, w)
    steps = []
    for gradient, rate in zip(gradients, rates, strict=True):
        update, state = execute.reference_step(program, w, gradient, state, float(rate))
        steps.append(np.stack([flat(w) - flat(update), *map(flat, state)]))
    return steps


def inputs(rng: np.random.Generator) -> tuple[Any, Any, np.ndarray]:
    return tree(rng), [tree(rng) for _ in range(STEPS)], np.array([0.5, 1.0, 0.75], np.float32)


@pytest.mark.parametrize("name", LIBRARY)
def test_library_programs_agree_with_the_float64_reference(name: str) -> None:
    w, gradients, rates = inputs(np.random.default_rng(1))
    program = prune(LIBRARY[name])
    expected = referenced(program, w, gradients, rates)
    for got, want in zip(interpreted(program, w, gradients, rates), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


def stable(reference: np.ndarray, moved: np.ndarray) -> bool:
    """Whether a relative change of the inputs by 1e-6 moves the result by less than 1e-4."""
    with np.errstate(all="ignore"):
        size = 1.0 + np.abs(reference)
        return bool(np.all(np.abs(moved - reference) < 1e-4 * size) and size.max() < 1e6)


@pytest.mark.parametrize("programs", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_generated_programs_agree_with_the_definition_and_with_the_reference(programs: int) -> None:
    """Compared while the float64 result is stable; where it is not, rounding alone explains any difference."""
    rng = np.random.default_rng(2)
    compared = 0
    for _ in range(programs):
        program = prune(random_program(rng, statements=int(rng.integers(1, 12))))
        w, gradients, rates = inputs(rng)
        nudged = [[leaf * (1 + 1e-6) for leaf in gradient] for gradient in gradients]
        got = interpreted(program, w, gradients, rates)
        meant = defined(program, w, gradients, rates)
        reference = referenced(program, w, gradients, rates)
        moved = referenced(program, [leaf * (1 + 1e-6) for leaf in w], nudged, rates)
        for step in range(STEPS):
            if not stable(reference[step], moved[step]):
                break
            compared += 1
            size = 1.0 + np.abs(reference[step])
            np.testing.assert_allclose(got[step] / size, meant[step] / size, atol=TOLERANCE, err_msg=str(program))
            np.testing.assert_allclose(got[step] / size, reference[step] / size, atol=TOLERANCE, err_msg=str(program))
    assert compared > programs


REWRITTEN = {
    "factors": "x = g * 1e-30; x = x * 1e-12; x = x * 1e+30; update = x * 1e+12",
    "more factors": "x = g * 1e+30; x = x * 1e+30; x = x * 1e-30; update = x * 1e-30",
    "terms": "x = g + 1e+06; x = x - 1e+06; update = x + 0.3",
    "quotients": "x = g / 3e+38; update = x * 3e+38",
    "folded": "a = eps(); a = a + 1.0; a = a - 1.0; a = sign(a); update = g * a",
    "logarithm": "x = g * 1e+04; x = exp(x); update = log(x)",
    "exponentials": "x = abs(g); x = x + 88.0; y = negative(x); x = exp(x); x = x * 1e+02; y = exp(y); update = x * y",
    "roots": "x = g * 1e-30; x = x * x; update = sqrt(x)",
    "inverse": "x = reciprocal(g); x = x * 1e+35; update = reciprocal(x)",
    "state": "m = m * 1e-30; m = m + g; x = m * 1e-12; x = x * 1e+30; update = x * 1e+12",
}
"""Programs that the laws of real numbers change: XLA applies these where it can look across statements."""


@pytest.mark.parametrize("name", REWRITTEN)
def test_compiled_statements_keep_their_order_and_overflow_where_interpreted_ones_do(name: str) -> None:
    body = REWRITTEN[name].replace(";", "\n")
    program = parse(f"def train(w, g, m, lr):\n{body}\nreturn update, m\n")
    w, gradients, rates = inputs(np.random.default_rng(5))
    got = interpreted(program, w, gradients, rates)
    for one, other in zip(got, compiled(program, w, gradients, rates), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-30)


@pytest.mark.slow
def test_compiled_programs_are_finite_where_interpreted_ones_are() -> None:
    rng = np.random.default_rng(6)
    extreme = (1e-30, 1e30, 1e-12, 1e12, -1e8, 3e38, 1e-8, 1.0)
    names = ("add", "subtract", "multiply", "divide", "reciprocal", "square", "sqrt", "exp", "log", "interp", "tanh")
    functions = [FUNCTIONS[name] for name in names]
    finite = 0
    for _ in range(200):
        program = random_program(rng, statements=int(rng.integers(2, 9)), functions=functions)
        body = [
            s._replace(args=tuple(a if isinstance(a, str) else extreme[rng.integers(len(extreme))] for a in s.args))
            for s in program.body
        ]
        program = prune(Program(program.state, tuple(body)))
        w, gradients, rates = inputs(rng)
        meant = compiled(program, w, gradients, rates)
        for one, other in zip(interpreted(program, w, gradients, rates), meant, strict=True):
            assert (np.isfinite(one) == np.isfinite(other)).all(), str(program)
            finite += np.isfinite(one).all()
    assert finite > 200


def test_programs_that_run_together_do_what_they_do_alone() -> None:
    """In the grouped order; training with several lanes tests the serial one."""
    rng = np.random.default_rng(3)
    w, gradients, rates = inputs(rng)
    programs = [prune(random_program(rng, statements=int(rng.integers(1, 12)))) for _ in range(13)]
    programs += [prune(LIBRARY["adamw"]), prune(LIBRARY["lion"]), prune(LIBRARY["sgd"])]
    steps = together(programs, w, gradients, rates, grouped=True)
    for lane, program in enumerate(programs):
        alone = interpreted(program, w, gradients, rates)
        for step in range(STEPS):
            got = steps[step, lane, : len(alone[step])]
            np.testing.assert_allclose(got, alone[step], rtol=1e-5, atol=1e-6, err_msg=str(program))
