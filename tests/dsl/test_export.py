"""Exported files have no dependency on this package and train as the program does."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from exported import load, optax_optimizer

from optsearch.dsl.export.arguments import Advice
from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, ProgramError
from optsearch.dsl.syntax import parse
from optsearch.dsl.transform import to_transformation

TREE_SHAPES = {"kernel": (4, 3), "scale": (), "bias": (3,)}


def tree(rng: np.random.Generator, dtype: object = jnp.float32) -> dict[str, jax.Array]:
    return {name: jnp.asarray(rng.standard_normal(shape), dtype) for name, shape in TREE_SHAPES.items()}


def path_of(optimizer: optax.GradientTransformation, steps: int, dtype: object = jnp.float32) -> list[dict]:
    """Parameters after every step on random gradients."""
    rng = np.random.default_rng(0)
    params = tree(rng, dtype)
    state, update, path = optimizer.init(params), jax.jit(optimizer.update), []
    for _ in range(steps):
        updates, state = update(tree(rng, dtype), state, params)
        params = optax.apply_updates(params, updates)
        path.append(params)
    return path


def assert_same_path(one: list[dict], other: list[dict]) -> None:
    """Equal to 1e-6 of what the parameters have grown to; not finite at the same steps."""
    for a, b in zip(one, other, strict=True):
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", LIBRARY)
def test_exported_file_trains_as_the_program(name: str, tmp_path: Path) -> None:
    program = LIBRARY[name]
    exported = optax_optimizer(to_optax_source(program), tmp_path, 0.01)
    assert_same_path(path_of(exported, 100), path_of(to_transformation(program, 0.01), 100))


def test_a_learning_rate_schedule_is_the_lr_of_the_program(tmp_path: Path) -> None:
    schedule = optax.cosine_decay_schedule(0.5, 20)
    exported = optax_optimizer(to_optax_source(LIBRARY["adamw"]), tmp_path, schedule)
    assert_same_path(path_of(exported, 20), path_of(to_transformation(LIBRARY["adamw"], schedule), 20))


def test_half_precision_parameters_train_as_with_the_program(tmp_path: Path) -> None:
    for name in ("adam", "lion"):
        one = path_of(optax_optimizer(to_optax_source(LIBRARY[name]), tmp_path, 1.0, name), 20, jnp.bfloat16)
        other = path_of(to_transformation(LIBRARY[name], 1.0), 20, jnp.bfloat16)
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            assert x.dtype == y.dtype == jnp.bfloat16
            np.testing.assert_array_equal(np.asarray(x, np.float32), np.asarray(y, np.float32))


def test_constants_are_keyword_arguments(tmp_path: Path) -> None:
    changed = parse(str(LIBRARY["lion"]).replace("w * 0.1", "w * 0.3").replace("0.99)", "0.95)"))
    exported = optax_optimizer(to_optax_source(LIBRARY["lion"]), tmp_path, 0.01, beta2=0.95, weight_decay=0.3)
    one = path_of(exported, 20)
    assert_same_path(one, path_of(to_transformation(changed, 0.01), 20))


@pytest.mark.parametrize("name", ["adamw", "lion", "sgd"])
def test_the_learning_rate_is_that_of_optax(name: str, tmp_path: Path) -> None:
    """At its default the file takes the steps of the program to the last bit."""
    optimizer = load(to_optax_source(LIBRARY[name]), tmp_path).optimizer
    for one, other in zip(path_of(optimizer(), 5), path_of(to_transformation(LIBRARY[name], 1.0), 5), strict=True):
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6)  # compiled as a whole, XLA contracts products and sums
    params, grads = jnp.full(3, 4.0), jnp.ones(3)
    if name == "sgd":
        made, theirs = optimizer(learning_rate=0.125), optax.sgd(learning_rate=0.125)
    elif name == "lion":
        made, theirs = (f(learning_rate=0.125, weight_decay=0.5) for f in (optimizer, optax.lion))
    else:
        return
    ours, expected = (o.update(grads, o.init(params), params)[0] for o in (made, theirs))
    np.testing.assert_array_equal(ours, expected)


def test_the_learning_rate_may_be_injected(tmp_path: Path) -> None:
    optimizer = load(to_optax_source(LIBRARY["adamw"]), tmp_path).optimizer
    schedule = optax.linear_schedule(0.01, 0.0, 10)
    for rate in (0.01, schedule):
        injected = optax.inject_hyperparams(optimizer)(learning_rate=rate, weight_decay=0.1)
        assert_same_path(path_of(injected, 5), path_of(optimizer(rate, weight_decay=0.1), 5))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("value", [-0.1, float("nan"), jnp.float32(-0.1)])
@pytest.mark.parametrize("setting", ["learning_rate", "weight_decay"])
def test_negative_settings_are_refused(setting: str, value: float, tmp_path: Path) -> None:
    optimizer = load(to_optax_source(LIBRARY["adamw"]), tmp_path).optimizer
    with pytest.raises(ValueError, match=f"{setting} is {value}: it must be at least 0"):
        optimizer(**{setting: value})
    optimizer(learning_rate=0.0, weight_decay=0)


def test_a_program_without_a_learning_rate_has_none(tmp_path: Path) -> None:
    program = parse("def train(w, g, lr):\n a = sqrt(lr)\n update = g * a\n return update\n")
    optimizer = load(to_optax_source(program), tmp_path).optimizer
    with pytest.raises(TypeError, match="learning_rate"):
        optimizer(learning_rate=1e-3)
    with pytest.raises(TypeError, match="positional"):
        optimizer(1e-3)
    assert "`rate_factor` is not a learning rate" in optimizer.__doc__
    update, _ = optimizer(rate_factor=0.25).update(jnp.ones(2), optimizer().init(jnp.ones(2)), jnp.ones(2))
    np.testing.assert_array_equal(update, [-0.5, -0.5])


def test_the_file_says_range_schedule_and_cost() -> None:
    advice = Advice("It was found under a constant schedule.", (0.5, 4.0))
    said = " ".join(to_optax_source(LIBRARY["lion"], advice=advice).split())
    assert "a range to try is 5e-05 to 0.0004. It was found under a constant schedule." in said
    assert "The learning rate of the file is 0.0001 times this lr, which is a schedule with a peak of 1." in said
    assert "it keeps 1 number and does the arithmetic of 10 additions a step; AdamW keeps 2" in said


def test_notes_stand_in_the_docstring() -> None:
    source = to_optax_source(LIBRARY["lion"], "Lion", ["Found by quickstart, program 12", 'loss 0.5"""\nimport os'])
    docstring = ast.get_docstring(ast.parse(source)) or ""
    assert "Found by quickstart, program 12." in docstring
    assert "import os" not in source.splitlines()


def test_the_file_imports_only_jax_and_optax() -> None:
    for program in LIBRARY.values():
        imported = set()
        for node in ast.walk(ast.parse(to_optax_source(program))):
            if isinstance(node, ast.Import):
                imported.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).partition(".")[0])
        assert imported == {"jax", "optax", "typing"}


def test_the_file_runs_where_this_project_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "lion.py").write_text(to_optax_source(LIBRARY["lion"], "Lion"), encoding="utf-8")
    script = (
        "import sys; sys.path = [p for p in sys.path if 'site-packages' in p or 'lib/python' in p] + ['.']\n"
        "import jax.numpy as jnp, lion\n"
        "o = lion.optimizer(0.00001); p = {'a': jnp.ones(3)}; s = o.init(p)\n"
        "u, s = o.update({'a': jnp.ones(3)}, s, p); print(float(u['a'][0]))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(-1.1e-5)


def test_names_of_the_program_never_shadow_those_of_the_file(tmp_path: Path) -> None:
    program = parse(
        "def train(w, g, state, jnp, _m, lr):\n params = g + jnp\n state = state + params\n jnp = g * 0.5\n"
        " _m = jnp * 2.0\n optimizer = state * lr\n sum = global_norm(optimizer)\n update = optimizer * sum\n"
        " update = update + _m\n return update, state, jnp, _m\n"
    )
    assert_same_path(
        path_of(optax_optimizer(to_optax_source(program), tmp_path, 0.01), 5),
        path_of(to_transformation(program, 0.01), 5),
    )


def test_a_title_cannot_inject_code() -> None:
    source = to_optax_source(LIBRARY["sgd"], 'x"""\nimport os\nos.system("true")\n"""{}')
    assert "import os" not in source.splitlines()
    assert [type(node).__name__ for node in ast.parse(source).body].count("Import") == 3


def of_constants(expression: str) -> Program:
    return parse(f"def train(w, g, m, lr):\n {expression}\n m = m + g\n update = m * a\n return update, m\n")


@pytest.mark.parametrize(
    "statements",
    [
        "b = pi()\n a = power(b, 700.0)",
        "b = pi()\n c = b - 3.1415927410125732\n a = reciprocal(c)",
        "c = eps()\n b = negative(c)\n a = reciprocal(b)",
        "b = pi()\n c = negative(b)\n a = power(c, 0.5)",
    ],
)
def test_constants_are_computed_in_the_precision_of_the_program(statements: str, tmp_path: Path) -> None:
    program = of_constants(statements)
    assert_same_path(
        path_of(optax_optimizer(to_optax_source(program), tmp_path, 0.01), 2),
        path_of(to_transformation(program, 0.01), 2),
    )


def test_single_precision_stays_single_where_double_is_enabled(tmp_path: Path) -> None:
    program = parse(
        "def train(w, g, m, lr):\n m = interp(g, m, 0.99999999)\n b = pi()\n c = b - 3.1415927410125732\n"
        " a = reciprocal(c)\n n = global_norm(g)\n u = m * a\n u = u + n\n update = u * lr\n return update, m\n"
    )
    exported = optax_optimizer(to_optax_source(program), tmp_path, 0.01)
    with jax.enable_x64(True):
        one, other = (path_of(make, 3) for make in (exported, to_transformation(program, 0.01)))
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert x.dtype == y.dtype == jnp.float32
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", ["sgd", "lion"])
@pytest.mark.parametrize("exported", [False, True])
def test_optimizers_hold_within_those_of_optax(name: str, exported: bool, tmp_path: Path) -> None:
    program = LIBRARY[name]
    source = to_optax_source(program)
    make = (lambda lr: optax_optimizer(source, tmp_path, lr)) if exported else lambda lr: to_transformation(program, lr)
    own = make(0.01)
    same = path_of(own, 3)
    labels = dict.fromkeys(TREE_SHAPES, "own")
    for wrapped in (
        optax.masked(own, dict.fromkeys(TREE_SHAPES, True)),
        optax.multi_transform({"own": own, "unused": make(0.5)}, labels),
        optax.chain(optax.masked(own, dict.fromkeys(TREE_SHAPES, False)), own),
        optax.MultiSteps(own, every_k_schedule=1),
        optax.inject_hyperparams(make)(0.01),
    ):
        assert_same_path(path_of(wrapped, 3), same)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("exported", [False, True])
def test_weights_may_be_numbers(exported: bool, tmp_path: Path) -> None:
    program = LIBRARY["adamw"]
    own = optax_optimizer(to_optax_source(program), tmp_path, 0.1) if exported else to_transformation(program, 0.1)
    updates, _ = own.update({"a": 1.0}, own.init({"a": 1.0}), {"a": 1.0})
    arrays = {"a": jnp.float32(1.0)}
    other, _ = own.update(arrays, own.init(arrays), arrays)
    assert float(updates["a"]) == float(other["a"])  # pyright: ignore[reportArgumentType, reportIndexIssue]


def names_of(source: str) -> set[str]:
    """Every identifier of a file."""
    nodes = list(ast.walk(ast.parse(source)))
    found = {n.id for n in nodes if isinstance(n, ast.Name)} | {n.arg for n in nodes if isinstance(n, ast.arg)}
    return found | {n.attr for n in nodes if isinstance(n, ast.Attribute)} | {"_", "__", "_1", "_" + 31 * "a"}


@pytest.mark.parametrize("whole", [False, True])
def test_any_name_may_be_a_variable(whole: bool, tmp_path: Path) -> None:
    """Each name that the file itself uses, alone and all together, as state."""
    text = "def train(w, g, {0}, lr):\n {1}\n update = {2} * lr\n update = update + {3}\n return update, {0}\n"
    last = "global_norm(g)" if whole else "g * 1.0"
    text = text.replace("{3}", "norms").replace(" update = {2}", f" norms = {last}\n update = {{2}}")

    def named(names: list[str]) -> Program:
        lines = "\n ".join(f"{name} = {name} + g" for name in names)
        return parse(text.format(", ".join(names), lines, names[0]))

    plain = path_of(to_transformation(named(["m"]), 0.01), 2)
    allowed = []
    for name in sorted(names_of(to_optax_source(named(["m"]))) - {"norms"}):
        try:
            named([name])
        except ProgramError:
            continue
        allowed.append(name)
    assert {"_", "__", "_1", "updates", "jax"} <= set(allowed)
    for number, name in enumerate(allowed):
        exported = optax_optimizer(to_optax_source(named([name])), tmp_path, 0.01, f"one{number}")
        params = {"a": jnp.ones(2)}
        _, state = exported.update(params, exported.init(params), params)
        np.testing.assert_array_equal(state[1]["a"], params["a"], err_msg=name)
    for start in range(0, len(allowed), 7):
        names = ["m", *(name for name in allowed[start : start + 7] if name != "m")]
        together = optax_optimizer(to_optax_source(named(names)), tmp_path, 0.01, f"together{start}")
        assert_same_path(path_of(together, 2), plain)
