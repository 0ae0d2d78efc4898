"""Exported files follow the trajectory of the interpreter: 100 steps in float64, to 1e-6 of the distance travelled.

Chaotic programs diverge from themselves if any result changes by one unit in the last place. Each program is compared
for as many steps as the interpreter agrees with itself under such perturbations; at least 90 of 100 programs must agree
for all 100 steps. Non-finite weights must appear at the same step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from exported import Known, first_difference, known, load, optax_path, torch_path

from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.export.torch import to_torch_source
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.dsl.transform import to_transformation

LEAST_WHOLE = 0.9
"""Least share of programs that are compared over all steps."""

MOST_BY_COMPILER = 0.03
"""Largest share of programs that XLA itself changes."""

DISCOVERED = Path(__file__).parents[2] / "runs" / "library" / "discovered"

Programs = Callable[..., list[Program]]


@dataclass(frozen=True)
class Compared:
    """Attributes:
    whole: share of programs that could be compared over all steps.
    by_compiler: share of programs whose optax file takes another way than the reference, the one that the program
        takes when values are not opaque to the compiler: XLA itself turns ``exp(x) ** y`` into ``exp(x * y)``.
    """

    whole: float
    by_compiler: float


def compare(programs: Sequence[Program], folder: Path) -> Compared:
    """Compares both files of every program with the interpreter."""
    whole = by_compiler = 0
    for number, program in enumerate(programs):
        interpreted = known(program)
        whole += interpreted.whole
        mine = optax_path(load(to_optax_source(program), folder, f"for_optax_{number}").optimizer)
        if first_difference(mine, interpreted) is not None:
            by_compiler += 1
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("jax.lax.optimization_barrier", lambda value: value)
                compiled = optax_path(lambda lr, program=program: to_transformation(program, lr))
            assert first_difference(mine, Known(compiled, interpreted.steps)) is None, f"optax\n{program}"
        if find_spec("torch") is not None:
            mine = torch_path(load(to_torch_source(program), folder, f"for_torch_{number}"))
            assert first_difference(mine, interpreted) is None, f"torch\n{program}"
    return Compared(whole / len(programs), by_compiler / len(programs))


SHIPPED = {
    **LIBRARY,
    **{path.stem: parse(path.read_text(encoding="utf-8")) for path in sorted(DISCOVERED.glob("*.txt"))},
}


def test_discovered_programs_are_among_them() -> None:
    assert len(SHIPPED) > len(LIBRARY)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_programs(name: str, tmp_path: Path) -> None:
    assert compare([SHIPPED[name]], tmp_path) == Compared(whole=1.0, by_compiler=0.0)


def test_generated_programs(tmp_path: Path, programs: Programs) -> None:
    compared = compare(programs(8, seed=5), tmp_path)
    assert compared.whole > 0.5, "the share of many programs is that of the slow test"
    assert compared.by_compiler <= MOST_BY_COMPILER


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(10))
def test_1000_generated_programs(shard: int, tmp_path: Path, programs: Programs) -> None:
    compared = compare(programs(1000, seed=6)[shard::10], tmp_path)
    print(compared)
    assert compared.whole >= LEAST_WHOLE
    assert compared.by_compiler <= MOST_BY_COMPILER


def test_a_wrong_file_is_found_out(tmp_path: Path) -> None:
    of_interpreter = known(LIBRARY["adam"])
    source = to_optax_source(LIBRARY["adam"])
    assert first_difference(optax_path(load(source, tmp_path, "right").optimizer), of_interpreter) is None
    wrong = source.replace("beta2=0.999)", "beta2=0.999001)")
    assert wrong != source
    assert first_difference(optax_path(load(wrong, tmp_path, "wrong").optimizer), of_interpreter) is not None
