"""Unusual programs in both exports: arbitrary names, poles, extreme constants, and calls on constants only."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from exported import first_difference, known, load, optax_optimizer, torch_path

from optsearch.dsl.dataflow import prune
from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.export.torch import to_torch_source
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.generate import NewConstants, random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import MAX_NAME_LENGTH, Program, Statement, name_fault
from optsearch.dsl.transform import to_transformation
from optsearch.dsl.verify import verify

STEPS = 2
SHARD = 1000

EXTREME = (0.0, 1.0, -1.0, 0.5, 700.0, 1e-30, 1e-8, -1e-8, 1e8, 3e38, -3e38, 0.99999999, 3.1415927410125732)


class ExtremeConstants(NewConstants):
    """Constants at which functions have poles, overflow, or round to other numbers."""

    def draw(self, rng: np.random.Generator) -> float:
        return float(np.float32(rng.choice(EXTREME))) if rng.random() < 0.7 else super().draw(rng)


def identifiers(source: str) -> set[str]:
    """Every name of a file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "arg", "attr", "name"):
            found.add(getattr(node, field, None) or "")
    return found


def names() -> list[str]:
    """Names that a file might trip over, of those that the language allows."""
    used = {*dir(builtins), *dir(tuple), "torch", "jnp", "_", "__", "___", "_1", "__1", "_" * MAX_NAME_LENGTH}
    used |= {"_" + 31 * "a", 32 * "z", "variable", "variable2", "_variable", "beta1", "weight_decay"}
    for program in LIBRARY.values():
        used |= identifiers(to_optax_source(program)) | identifiers(to_torch_source(program))
    return sorted(name for name in used - {"w", "g", "lr", "update", ""} if name_fault(name) is None)


def renamed(program: Program, pool: list[str], rng: np.random.Generator) -> Program:
    """The program with names of the pool."""
    old = dict.fromkeys([*program.state, *(s.target for s in program.body)])
    free = [name for name in old if name not in ("w", "g", "lr", "update")]
    new = dict(zip(free, map(str, rng.choice(pool, len(free), replace=False)), strict=True))
    body = (
        Statement(
            new.get(s.target, s.target),
            s.function,
            tuple(new.get(a, a) if isinstance(a, str) else a for a in s.args),
        )
        for s in program.body
    )
    return Program(tuple(new[name] for name in program.state), tuple(body))


def strange(count: int, seed: int) -> Iterator[Program]:
    """Seeded programs; a third of them begin with calls on constants alone, on which the rest may build."""
    rng, pool, constants = np.random.default_rng(seed), names(), ExtremeConstants(share=0.5)
    pure = [f for f in FUNCTIONS.values() if f.scope.value == "element"]
    for number in range(count):
        state = ("m", "v", "s")[: rng.integers(4)]
        program = random_program(rng, state=state, statements=int(rng.integers(1, 16)), constants=constants)
        if number % 3 == 0:
            function = pure[rng.integers(len(pure))]
            first = Statement("k", function.name, tuple(constants.draw(rng) for _ in function.operands))
            last = Statement("update", ("add", "multiply", "power")[rng.integers(3)], ("update", "k"))
            program = Program(state, (first, *program.body, last))
        program = renamed(program, pool, rng)
        verify(program)
        yield program


def weights_after(optimizer: optax.GradientTransformation) -> list[np.ndarray]:
    """Weights and state after each step, statement by statement: both sides round alike."""
    rng = np.random.default_rng(0)
    params: Any = {"a": jnp.float32(rng.standard_normal(3)), "b": jnp.float32(0.5)}
    state, path = optimizer.init(params), []
    for _ in range(STEPS):
        grads = {"a": jnp.float32(rng.standard_normal(3)), "b": jnp.float32(rng.standard_normal())}
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        path += [np.asarray(x) for x in jax.tree.leaves((params, state))]
    return path


def check(program: Program, folder: Path) -> None:
    """Both files compute what the interpreter does, the one for optax in single precision."""
    exported = weights_after(optax_optimizer(to_optax_source(program), folder, 0.1, "for_optax"))
    for x, y in zip(exported, weights_after(to_transformation(prune(program), 0.1)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-30, err_msg=f"optax\n{program}")
    if find_spec("torch") is not None:
        import torch

        made = load(to_torch_source(program), folder, "for_torch")
        difference = first_difference(torch_path(made, STEPS), known(program, STEPS))
        assert difference is None, f"torch\n{program}"
        torch_path(made, 1, dtype=torch.float32)


def test_strange_programs(tmp_path: Path) -> None:
    for program in strange(12, seed=15):
        check(program, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(20))
def test_20000_strange_programs(shard: int, tmp_path: Path) -> None:
    for program in strange(SHARD, seed=100 + shard):
        check(program, tmp_path)
