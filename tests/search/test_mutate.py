"""Children are valid and differ by one mutation; mutation frequencies match their weights."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, ProgramError, Statement
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify
from optsearch.search.variation.mutate import CROSS, MutationError, Mutator, is_deletable
from optsearch.search.variation.mutation_config import (
    CONSTANTS,
    LARGEST_STEP,
    ConstantsConfig,
    LimitsConfig,
    MutationWeights,
)

NAMES = tuple(MutationWeights.model_fields)


def only(name: str) -> MutationWeights:
    return MutationWeights(**{field: float(field == name) for field in NAMES})


def constants(program: Program) -> list[float]:
    return [arg for statement in program.body for arg in statement.args if not isinstance(arg, str)]


def skeleton(program: Program) -> list[tuple[str, str, tuple[object, ...]]]:
    return [(s.target, s.function, tuple(a if isinstance(a, str) else 0 for a in s.args)) for s in program.body]


def test_long_lines_of_descent_stay_valid() -> None:
    mutator = Mutator(MutationWeights(), limits=LimitsConfig(statements=30))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        program = LIBRARY["adamw"]
        for _ in range(300):
            child, mutation = mutator.mutate(rng, program)
            verify(child)
            assert parse(str(child)) == child
            assert child != program
            assert child.state == program.state
            assert len(child.body) <= 30
            assert mutation.name in NAMES
            program = child


@pytest.mark.parametrize("name", [name for name in NAMES if name != CROSS])  # which has its own tests
def test_a_mutation_changes_what_it_says(name: str) -> None:
    mutator = Mutator(only(name))
    rng = np.random.default_rng(0)
    for seed in range(40):
        parent = random_program(np.random.default_rng(seed), statements=12)
        movable = [c for c in constants(parent) if name != "complement" or 0 < abs(1 - c) < 0.5]
        if name in CONSTANTS and not movable:
            continue
        child, mutation = mutator.mutate(rng, parent)
        assert mutation.name == name
        before, after = str(parent).splitlines(), str(child).splitlines()
        place = mutation.line - 1
        if name == "insert":
            assert after[place].strip() == mutation.after
            assert after[:place] + after[place + 1 :] == before
        elif name == "delete":
            assert before[place].strip() == mutation.before
            assert before[:place] + before[place + 1 :] == after
        elif name in ("wrap", "duplicate"):
            assert before[place].strip() == mutation.before
            new, reader = after[place].strip(), after[place + 1].strip()
            assert mutation.after == f"{new}; {reader}"
            assert after[:place] + after[place + 2 :] == before[:place] + before[place + 1 :]
            inserted, old, read = child.body[place - 1], parent.body[place - 1], child.body[place]
            (changed,) = [i for i, (a, b) in enumerate(zip(old.args, read.args, strict=True)) if a != b]
            assert read.args[changed] == inserted.target
            assert old.args[changed] in inserted.args
            assert name == "wrap" or is_copied(inserted, parent)
        elif name == "retune":
            changed = [n for n, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
            assert changed[0] == place
            assert "; ".join(before[n].strip() for n in changed) == mutation.before
            assert "; ".join(after[n].strip() for n in changed) == mutation.after
            assert skeleton(child) == skeleton(parent)
        else:
            assert before[place].strip() == mutation.before
            assert after[place].strip() == mutation.after
            assert before[:place] + before[place + 1 :] == after[:place] + after[place + 1 :]
            old, new = parent.body[place - 1], child.body[place - 1]
            assert (old.target, old.function) == (new.target, new.function)
            assert sum(a != b for a, b in zip(old.args, new.args, strict=True)) == 1


def is_copied(statement: Statement, program: Program) -> bool:
    return any(
        line.function == statement.function and sum(a != b for a, b in zip(line.args, statement.args, strict=True)) <= 1
        for line in program.body
    )


def test_a_copy_mixes_the_gradient_in_once_more_as_lion_does() -> None:
    mutator, rng, parent = Mutator(only("duplicate")), np.random.default_rng(0), LIBRARY["signum"]
    children = {str(mutator.mutate(rng, parent)[0]) for _ in range(300)}
    lion = str(parent).replace("update = sign(m)", "v1 = interp(g, m, 0.9)\n  update = sign(v1)")
    assert lion in children


def test_constants_only_keeps_the_structure() -> None:
    mutator = Mutator(MutationWeights().constants_only())
    rng = np.random.default_rng(1)
    program = parent = LIBRARY["adamw"]
    for _ in range(300):
        program, _ = mutator.mutate(rng, program)
        assert skeleton(program) == skeleton(parent)
    assert constants(program) != constants(parent)


def test_retuning_moves_weights_by_their_odds_and_others_by_a_factor() -> None:
    mutator, rng = Mutator(only("retune")), np.random.default_rng(4)
    parent = parse(
        "def train(w, g, m, lr):\n  m = interp(g, m, 0.999)\n  g = m * 3.0\n  w = w * -0.25\n  g = g + w\n"
        "  update = lr * g\n  return update, m\n"
    )
    seen: list[list[float]] = []
    for _ in range(2000):
        seen.append(constants(mutator.mutate(rng, parent)[0]))
    weights, factors, negative = np.array(seen).T
    assert ((weights > 0) & (weights < 1)).all()
    assert weights.min() < 0.5
    assert weights.max() > 0.99999
    assert (factors > 0).all()
    assert factors.max() > 100
    assert (negative < 0).all()
    moved = np.stack([weights != 0.999, factors != 3.0, negative != -0.25])
    assert moved.any(axis=0).all()
    assert np.abs(moved.mean(axis=1) - 4 / 7).max() < 0.05  # one half each, given that any has moved
    odds = np.abs(np.log2(weights / (1 - weights) * 0.001 / 0.999)[moved[0]])
    assert np.median(odds) < 0.6
    assert odds.max() > 8


def test_weights_are_respected() -> None:
    weights = MutationWeights(
        insert=4.0, delete=2.0, modify=3.0, scale=1.0, complement=0.0, redraw=0.5, retune=0.0, wrap=0.0
    )
    mutator, rng = Mutator(weights), np.random.default_rng(2)
    draws = 6000
    counts = Counter(mutator.mutate(rng, LIBRARY["lion-raw"])[1].name for _ in range(draws))
    expected = {name: draws * weight / 10.5 for name, weight in weights.as_dict().items() if weight}
    assert set(counts) == set(expected)
    chi_square = sum((counts[name] - number) ** 2 / number for name, number in expected.items())
    assert chi_square < 18.5  # 99.9 % of chi-square with 4 degrees of freedom


def test_deletable_statements_are_those_without_which_a_program_is_valid() -> None:
    kept = 0
    for seed in range(100):
        program = random_program(np.random.default_rng(seed), statements=15)
        valid: list[int] = []
        for place in range(len(program.body)):
            try:
                verify(Program(program.state, (*program.body[:place], *program.body[place + 1 :])))
            except ProgramError:
                kept += 1
            else:
                valid.append(place)
        found = [place for place in range(len(program.body)) if is_deletable(program, place)]
        assert found == valid, str(program)
    assert kept > 50


def test_inserted_and_deleted_places_are_uniform() -> None:
    rng = np.random.default_rng(3)
    program = parse("def train(w, g, lr):\n" + "  update = g * lr\n" * 9 + "  return update\n")
    draws = 5000
    for name, places in (("insert", 10), ("delete", 9)):
        # A scalar `update` at the end is invalid and drawn again; only `negative` of a new variable always fits.
        mutator = Mutator(only(name), functions=("dot", "negative"))
        counts = Counter(mutator.mutate(rng, program)[1].line for _ in range(draws))
        assert len(counts) == places
        if name == "delete":
            chi_square = sum((counts[line] - draws / places) ** 2 / (draws / places) for line in counts)
            assert chi_square < 26.1  # 99.9 % of chi-square with 8 degrees of freedom


def test_scale_is_log_normal_and_complement_moves_the_distance_from_one() -> None:
    parent = parse("def train(w, g, m, lr):\n  m = interp(g, m, 0.99)\n  update = m * lr\n  return update, m\n")
    rng = np.random.default_rng(4)
    for name, exponent in (
        ("scale", lambda c: np.log2(c / 0.99)),
        ("complement", lambda c: np.log2((1 - c) / (1 - 0.99))),
    ):
        mutator = Mutator(only(name))
        draws = np.array([exponent(constants(mutator.mutate(rng, parent)[0])[0]) for _ in range(4000)])
        assert abs(draws.mean()) < 0.06
        assert draws.std() == pytest.approx(1.0, abs=0.05)


def test_the_draw_depends_on_the_generator_alone() -> None:
    mutator = Mutator(MutationWeights())
    make = lambda: np.random.Generator(np.random.Philox(key=7, counter=[0, 0, 0, 5]))  # noqa: E731
    assert mutator.mutate(make(), LIBRARY["adamw"]) == mutator.mutate(make(), LIBRARY["adamw"])


def test_only_listed_functions_are_inserted() -> None:
    mutator, rng = Mutator(only("insert"), functions=("sign", "add")), np.random.default_rng(5)
    assert {mutator.mutate(rng, LIBRARY["adamw"])[1].after.count("sign(") for _ in range(50)} == {0, 1}
    with pytest.raises(ValueError, match="unknown function 'sgin'"):
        Mutator(MutationWeights(), functions=("sgin",))


def test_a_full_program_is_not_extended() -> None:
    mutator = Mutator(MutationWeights(), limits=LimitsConfig(statements=9))
    rng = np.random.default_rng(6)
    assert "insert" not in {mutator.mutate(rng, LIBRARY["adamw"])[1].name for _ in range(200)}


def test_nothing_to_mutate_is_said() -> None:
    program = Program((), (Statement("update", "multiply", ("g", "lr")),))
    with pytest.raises(MutationError, match="applies to"):
        Mutator(MutationWeights().constants_only()).mutate(np.random.default_rng(0), program)
    with pytest.raises(MutationError):
        Mutator(only("delete")).mutate(np.random.default_rng(0), program)


@pytest.mark.parametrize("bad", [{"insert": -1.0}, {"insert": float("inf")}, {"insrt": 1.0}, dict.fromkeys(NAMES, 0.0)])
def test_weights_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        MutationWeights(**bad)


class Extreme(np.random.Generator):
    """Draws the largest normal numbers that NumPy can."""

    def standard_normal(self, *arguments: object, **options: object) -> float:
        return 13.7 * (1 if self.random() < 0.5 else -1)


@pytest.mark.parametrize("step", [LARGEST_STEP, 1e-300])
@pytest.mark.parametrize("name", CONSTANTS)
def test_the_largest_and_smallest_steps_give_valid_constants(name: str, step: float) -> None:
    mutator = Mutator(only(name), constants=ConstantsConfig(step=step, spread=1e6, mean=1e6, near_one=1.0))
    rng = Extreme(np.random.PCG64(0))
    for number in range(200):
        try:
            child, _ = mutator.mutate(rng, LIBRARY[("adamw", "lion")[number % 2]])
        except MutationError:  # a step that ends too far away or where it began is not taken
            continue
        verify(child)
        assert all(np.isfinite(np.float32(constant)) for constant in constants(child))
