"""Exported files take the way of the interpreter: 100 steps in float64, to 1e-6 of the way gone.

Chaotic programs part from themselves when any result is off by one unit in the last place. Each is compared for as many
steps as the interpreter agrees with itself under such roundings, and at least 85 of 100 for all 100 steps. Weights that
are not finite have to be so from the same step on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from exported import first_difference, known, load, optax_path, torch_path

from dsl.export import to_optax_source
from dsl.export_torch import to_torch_source
from dsl.library import LIBRARY
from dsl.program import Program

LEAST_WHOLE = 0.85
"""Least share of programs that are compared over all steps."""

Programs = Callable[..., list[Program]]


def compare(programs: Sequence[Program], folder: Path) -> float:
    """Compares both files of every program with the interpreter; the share that could be compared for all steps."""
    whole = 0
    for number, program in enumerate(programs):
        of_interpreter = known(program)
        whole += of_interpreter.whole
        mine = optax_path(load(to_optax_source(program), folder, f"for_optax_{number}"))
        assert first_difference(mine, of_interpreter) is None, f"optax\n{program}"
        if find_spec("torch") is not None:
            mine = torch_path(load(to_torch_source(program), folder, f"for_torch_{number}"))
            assert first_difference(mine, of_interpreter) is None, f"torch\n{program}"
    return whole / len(programs)


@pytest.mark.parametrize("name", LIBRARY)
def test_library(name: str, tmp_path: Path) -> None:
    assert compare([LIBRARY[name]], tmp_path) == 1.0


def test_generated_programs(tmp_path: Path, programs: Programs) -> None:
    assert compare(programs(40, seed=5), tmp_path) >= LEAST_WHOLE


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(10))
def test_1000_generated_programs(shard: int, tmp_path: Path, programs: Programs) -> None:
    assert compare(programs(1000, seed=6)[shard::10], tmp_path) >= LEAST_WHOLE


def test_a_wrong_file_is_found_out(tmp_path: Path) -> None:
    of_interpreter = known(LIBRARY["lion"])
    source = to_optax_source(LIBRARY["lion"])
    assert first_difference(optax_path(load(source, tmp_path, "right")), of_interpreter) is None
    wrong = source.replace("beta2=0.99,", "beta2=0.990001,")
    assert wrong != source
    assert first_difference(optax_path(load(wrong, tmp_path, "wrong")), of_interpreter) is not None
