"""Exported PyTorch optimizers train as the programs do."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dsl.execute import reference_step
from dsl.export_torch import to_torch_source
from dsl.library import LIBRARY
from dsl.program import Program
from dsl.syntax import parse

torch = pytest.importorskip("torch")

SHAPES = ((4, 3), (), (3,))


def load(program: Program, folder: Path, name: str = "exported") -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(to_torch_source(program), encoding="utf-8")
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arrays(rng: np.random.Generator) -> list[np.ndarray]:
    return [np.asarray(rng.standard_normal(shape), np.float32) for shape in SHAPES]


def torch_path(module: ModuleType, steps: int, lr: float, dtype: Any = torch.float64) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    weights = [torch.nn.Parameter(torch.as_tensor(x, dtype=dtype)) for x in arrays(rng)]
    optimizer = module.Optimizer(weights, lr=lr)
    path = []
    for _ in range(steps):
        for w, g in zip(weights, arrays(rng), strict=True):
            w.grad = torch.as_tensor(g, dtype=dtype)
        optimizer.step()
        path.append([w.detach().double().numpy().copy() for w in weights])
    return path


def reference_path(program: Program, steps: int, lr: float) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    w = [x.astype(np.float64) for x in arrays(rng)]
    state: Any = [[np.zeros(shape) for shape in SHAPES] for _ in program.state]
    path = []
    for _ in range(steps):
        update, state = reference_step(program, w, arrays(rng), state, lr)
        w = [x - u for x, u in zip(w, update, strict=True)]
        path.append(w)
    return path


@pytest.mark.parametrize("name", LIBRARY)
def test_exported_file_trains_as_the_program(name: str, tmp_path: Path) -> None:
    one = torch_path(load(LIBRARY[name], tmp_path), 100, 0.01)
    for a, b in zip(one, reference_path(LIBRARY[name], 100, 0.01), strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6)


def compare(program: Program, folder: Path, name: str) -> bool:
    """Two steps in double precision; whether they could be compared."""
    with np.errstate(all="ignore"):
        other = reference_path(program, 2, 0.01)
    module = load(program, folder, name)
    one = torch_path(module, 2, 0.01)
    flat = np.concatenate([np.ravel(x) for step in other for x in step])
    if not np.isfinite(flat).all() or np.abs(flat).max() > 1e3:
        return False
    mine = np.concatenate([np.ravel(x) for step in one for x in step])
    np.testing.assert_allclose(mine, flat, rtol=1e-3, atol=1e-4, err_msg=str(program))
    return True


def test_generated_programs_take_the_same_first_steps(tmp_path: Path, programs: Callable[..., list[Program]]) -> None:
    done = [compare(program, tmp_path, f"exported_{n}") for n, program in enumerate(programs(60, seed=7))]
    assert sum(done) >= 20


@pytest.mark.slow
def test_1000_generated_programs(tmp_path: Path, programs: Callable[..., list[Program]]) -> None:
    done = [compare(program, tmp_path, f"exported_{n}") for n, program in enumerate(programs(1000, seed=8))]
    assert sum(done) >= 300


def test_state_dict_goes_on_where_it_was(tmp_path: Path) -> None:
    module = load(LIBRARY["adamw"], tmp_path)
    whole = torch_path(module, 6, 0.1, torch.float32)
    rng = np.random.default_rng(0)
    weights = [torch.nn.Parameter(torch.as_tensor(x)) for x in arrays(rng)]
    optimizer = module.Optimizer(weights, lr=0.1)
    for number in range(6):
        if number == 3:
            saved = io.BytesIO()
            torch.save(optimizer.state_dict(), saved)
            saved.seek(0)
            optimizer = module.Optimizer(weights, lr=1.0)
            optimizer.load_state_dict(torch.load(saved))
        for w, g in zip(weights, arrays(rng), strict=True):
            w.grad = torch.as_tensor(g)
        optimizer.step()
    for w, x in zip(weights, whole[-1], strict=True):
        np.testing.assert_array_equal(w.detach().double().numpy(), x)


def test_groups_have_their_own_constants(tmp_path: Path) -> None:
    module = load(LIBRARY["lion"], tmp_path)
    first, second = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer = module.Optimizer([{"params": [first]}, {"params": [second], "weight_decay": 0.0}], lr=1.0)
    for w in (first, second):
        w.grad = torch.ones(3)
    assert optimizer.step(lambda: torch.tensor(2.0)) == 2.0
    np.testing.assert_allclose(first.detach().numpy(), 1.0 - 1.1e-4, rtol=1e-7)
    np.testing.assert_allclose(second.detach().numpy(), 1.0 - 1e-4, rtol=1e-7)


def test_parameters_without_gradient_are_left_alone(tmp_path: Path) -> None:
    module = load(LIBRARY["adam"], tmp_path)
    used, unused = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    used.grad = torch.ones(3)
    optimizer = module.Optimizer([used, unused], lr=1.0)
    optimizer.step()
    assert torch.equal(unused, torch.ones(3))
    assert not torch.equal(used, torch.ones(3))


def test_half_precision_keeps_its_type(tmp_path: Path) -> None:
    module = load(LIBRARY["adamw"], tmp_path)
    w = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    w.grad = torch.ones(3, dtype=torch.bfloat16)
    optimizer = module.Optimizer([w], lr=1.0)
    optimizer.step()
    assert w.dtype == torch.bfloat16
    assert optimizer.state[w]["v"].dtype == torch.float32


def test_the_file_imports_only_torch() -> None:
    for program in LIBRARY.values():
        tree = ast.parse(to_torch_source(program))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert imported == {"torch"}
        assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))


def test_names_of_the_program_never_shadow_those_of_the_file(tmp_path: Path) -> None:
    program = parse(
        "def train(w, g, sizes, torch, _m, lr):\n weights = g + torch\n sizes = sizes + weights\n torch = g * 0.5\n"
        " _m = torch * 2.0\n joined = sizes * lr\n sum = global_norm(joined)\n update = joined * sum\n"
        " update = update + _m\n return update, sizes, torch, _m\n"
    )
    for a, b in zip(torch_path(load(program, tmp_path), 5, 0.01), reference_path(program, 5, 0.01), strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6)


def test_a_class_needs_a_name() -> None:
    with pytest.raises(ValueError, match="'my optimizer' cannot name a class"):
        to_torch_source(LIBRARY["lion"], name="my optimizer")
