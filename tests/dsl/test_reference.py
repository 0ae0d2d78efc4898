"""docs/language.md matches the implementation: function table, edge cases and examples."""

from __future__ import annotations

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from optsearch.dsl.cost import cost
from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.reference import with_table
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify

TEXT = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
EDGES = re.findall(r"^\| `(\w+)\(([^)]*)\)` \| (\S+) \|", TEXT.partition("## At the edges")[2], re.MULTILINE)
EXAMPLES = re.findall(r"```\n(def train.*?)```", TEXT, re.DOTALL)


def test_the_table_is_up_to_date() -> None:
    assert with_table(TEXT) == TEXT, "run: python -m optsearch.dsl.reference docs/language.md"
    with pytest.raises(ValueError, match="needs the lines"):
        with_table("no marks")


@pytest.mark.parametrize(("name", "args", "result"), EDGES, ids=[f"{name}({args})" for name, args, _ in EDGES])
def test_edges(name: str, args: str, result: str) -> None:
    function, operands = FUNCTIONS[name], [float(arg) for arg in args.split(",")]
    found = function.jax(jnp, *[jnp.float32(x) for x in operands])
    np.testing.assert_allclose(found, float(result), rtol=1e-6)
    with np.errstate(all="ignore"):
        exact = function.reference(*[np.float64(x) for x in operands])
    if abs(exact) < 3e38 or not np.isfinite(exact):  # float64 overflows later
        np.testing.assert_allclose(exact, float(result), rtol=1e-6)


def test_there_are_edges_and_examples() -> None:
    assert len(EDGES) >= 40
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_are_programs(text: str) -> None:
    verify(parse(text))


def test_the_examples_are_what_the_text_says() -> None:
    assert parse(EXAMPLES[0]) == LIBRARY["lion"]
    assert prune(parse(EXAMPLES[1])).state == ("m",)
    assert [cost(LIBRARY[name]).traffic for name in ("sgd", "lion", "adam")] == [3, 5, 7]


def test_reductions_over_nothing_and_of_zero() -> None:
    zero, empty = [jnp.zeros(3)], []
    for name in ("global_norm", "dot", "cosine_sim"):
        for tree in (zero, empty):
            assert float(FUNCTIONS[name].jax(jnp, *[tree] * FUNCTIONS[name].arity)) == 0.0
    clip = FUNCTIONS["clip_by_global_norm"].jax
    assert float(jnp.max(clip(jnp, zero, jnp.float32(1.0))[0])) == 0.0
    np.testing.assert_allclose(clip(jnp, [jnp.array([3.0, 4.0])], jnp.float32(-1.0))[0], [0.6, 0.8], rtol=1e-6)
