"""Exported PyTorch optimizers in user code: parameter groups, saved state, precision, names."""

from __future__ import annotations

import ast
import io
import math
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from exported import SHAPES, first_difference, known, load, torch_path

from optsearch.dsl.export.torch import LARGE, to_torch_source
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_state_dict_goes_on_where_it_was(dtype: str, tmp_path: Path) -> None:
    module, kind = load(to_torch_source(LIBRARY["adamw"]), tmp_path), getattr(torch, dtype)

    def train(optimizer: Any, steps: int, seed: int) -> None:
        source = torch.Generator().manual_seed(seed)
        for _ in range(steps):
            for group in optimizer.param_groups:
                for w in group["params"]:
                    w.grad = torch.randn(w.shape, generator=source).to(kind)
            optimizer.step()

    def fresh() -> list[Any]:
        return [torch.nn.Parameter(torch.ones(shape, dtype=kind)) for shape in SHAPES]

    whole, stopped = fresh(), fresh()
    optimizer = module.Optimizer([{"params": whole[:1]}, {"params": whole[1:], "lr": 0.2}], lr=0.1)
    train(optimizer, 3, 0)
    train(optimizer, 3, 1)
    optimizer = module.Optimizer([{"params": stopped[:1]}, {"params": stopped[1:], "lr": 0.2}], lr=0.1)
    train(optimizer, 3, 0)
    saved = io.BytesIO()
    torch.save(optimizer.state_dict(), saved)
    saved.seek(0)
    optimizer = module.Optimizer([{"params": stopped[:1]}, {"params": stopped[1:]}], lr=1.0)
    optimizer.load_state_dict(torch.load(saved))
    train(optimizer, 3, 1)
    assert all(torch.equal(x, y) for x, y in zip(whole, stopped, strict=True))


def test_a_saved_state_is_not_changed_by_who_loads_it(tmp_path: Path) -> None:
    module = load(to_torch_source(LIBRARY["momentum"]), tmp_path)
    w = torch.nn.Parameter(torch.ones(3))
    w.grad = torch.ones(3)
    optimizer = module.Optimizer([w])
    optimizer.step()
    saved = optimizer.state_dict()
    before = saved["state"][0]["m"].clone()
    other = module.Optimizer([w])
    other.load_state_dict(saved)
    other.step()
    assert torch.equal(saved["state"][0]["m"], before)


@pytest.mark.parametrize("name", ["signum", "sgd"])
def test_a_saved_state_of_another_optimizer_is_refused(name: str, tmp_path: Path) -> None:
    """Files of earlier releases saved a factor as `lr`, and the rate as `scale`."""
    make = load(to_torch_source(LIBRARY[name]), tmp_path).Optimizer
    saved = make([parameter()]).state_dict()
    saved["param_groups"][0] |= {"initial_lr": 1.0, "max_lr": 1.0}  # a scheduler's
    make([parameter()]).load_state_dict(saved)
    saved["param_groups"][0] |= {"lr": 1.0, "scale": 0.001}
    with pytest.raises(ValueError, match="the saved setting 'scale' is of another optimizer or an older file"):
        make([parameter()]).load_state_dict(saved)


def test_large_arrays_take_the_same_steps_as_small_ones(tmp_path: Path) -> None:
    module = load(to_torch_source(LIBRARY["adamw"]), tmp_path)
    source = torch.Generator().manual_seed(0)
    values = torch.randn(2, LARGE + 1, generator=source)
    large = [torch.nn.Parameter(row.clone()) for row in values]
    small = [torch.nn.Parameter(part.clone()) for row in values for part in row.split(5000)]
    for weights in (large, small):
        optimizer = module.Optimizer(weights)
        for _ in range(2):
            for w in weights:
                w.grad = torch.sin(3.0 * w.detach())
            optimizer.step()
    assert torch.equal(torch.cat([w.detach() for w in large]), torch.cat([w.detach() for w in small]))


@pytest.mark.parametrize("name", ["adamw", pytest.param("muon", marks=pytest.mark.slow)])
def test_a_step_may_be_compiled(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the backend, which needs a compiler of C++."""
    module = load(to_torch_source(LIBRARY[name]), tmp_path, f"compiled_{name}")
    monkeypatch.setitem(sys.modules, f"compiled_{name}", module)
    ways = []
    for backend in (None, "aot_eager"):
        weights = [torch.nn.Parameter(torch.linspace(-1.0, 1.0, size).reshape(-1, 4)) for size in (8, 12, LARGE + 4)]
        optimizer = module.Optimizer(weights)
        step = optimizer.step if backend is None else torch.compile(optimizer.step, backend=backend)
        for _ in range(2):
            for w in weights:
                w.grad = torch.sin(3.0 * w.detach())
            step()
        ways.append(torch.cat([w.detach().reshape(-1) for w in weights]))
    torch.testing.assert_close(*ways, rtol=1e-6, atol=0.0)


def test_groups_have_their_own_constants(tmp_path: Path) -> None:
    module = load(to_torch_source(LIBRARY["lion"]), tmp_path)
    first, second = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer = module.Optimizer([{"params": [first]}, {"params": [second], "weight_decay": 0.0}], lr=1e-4)
    for w in (first, second):
        w.grad = torch.ones(3)
    assert optimizer.step(lambda: torch.tensor(2.0)) == 2.0
    np.testing.assert_allclose(first.detach().numpy(), 1.0 - 1.1e-4, rtol=1e-7)
    np.testing.assert_allclose(second.detach().numpy(), 1.0 - 1e-4, rtol=1e-7)


def test_parameters_without_gradient_are_left_alone(tmp_path: Path) -> None:
    module = load(to_torch_source(LIBRARY["adam"]), tmp_path)
    used, unused = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    used.grad = torch.ones(3)
    optimizer = module.Optimizer([used, unused], lr=1.0)
    optimizer.step()
    assert torch.equal(unused, torch.ones(3))
    assert not torch.equal(used, torch.ones(3))


def test_half_precision_keeps_its_type(tmp_path: Path) -> None:
    module = load(to_torch_source(LIBRARY["adamw"]), tmp_path)
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
        " _m = torch * 2.0\n joined = sizes * lr\n number = global_norm(joined)\n update = joined * number\n"
        " update = update + _m\n limit = maximum(g, 0.1)\n update = update + limit\n return update, sizes, torch, _m\n"
    )
    assert first_difference(torch_path(load(to_torch_source(program), tmp_path)), known(program)) is None


def test_a_gradient_that_is_no_number_shows(tmp_path: Path) -> None:
    """``torch.sign`` makes 0 of NaN: a training that has diverged would go on as if nothing had happened."""
    w = torch.nn.Parameter(torch.ones(2))
    w.grad = torch.tensor([math.nan, 1.0])
    load(to_torch_source(LIBRARY["lion"]), tmp_path).Optimizer([w], lr=1.0).step()
    assert torch.isnan(w).tolist() == [True, False]


def test_a_class_needs_a_name() -> None:
    with pytest.raises(ValueError, match="'my optimizer' cannot name a class"):
        to_torch_source(LIBRARY["lion"], name="my optimizer")


@pytest.mark.parametrize("name", ["_", "__", "_1", "_" + 31 * "a", "home", "group", "updates"])
def test_names_of_state_train_alike(name: str, tmp_path: Path) -> None:
    text = "def train(w, g, {0}, lr):\n {0} = {0} + g\n update = {0} * lr\n return update, {0}\n"
    one, other = (load(to_torch_source(parse(text.format(n))), tmp_path, f"file_{n}") for n in (name, "m"))
    np.testing.assert_array_equal(torch_path(one, 5), torch_path(other, 5))


def test_a_norm_is_one_for_a_group_on_two_devices(tmp_path: Path) -> None:
    """Devices are simulated: their rules hold, the numbers do not exist."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    text = "def train(w, g, lr):\n n = clip_by_global_norm(g, 1.0)\n c = cosine_sim(n, g)\n a = n * c\n"
    module = load(to_torch_source(parse(text + " update = a * lr\n return update\n")), tmp_path)
    calls, step = [], module.step

    def counted(w: list[Any], *others: object) -> object:
        calls.append([x.device.type for x in w])
        return step(w, *others)

    module.step = counted  # pyright: ignore[reportAttributeAccessIssue]
    with FakeTensorMode(allow_non_fake_inputs=True):
        weights = [torch.nn.Parameter(torch.empty(3, device=device)) for device in ("cpu", "cuda")]
        for w in weights:
            w.grad = torch.empty_like(w)
        module.Optimizer(weights, lr=0.1).step()
    assert calls == [["cpu", "cuda"]]


def test_the_rest_of_a_weight_is_rounded_as_in_the_program(tmp_path: Path) -> None:
    """In single precision 0.99999999 is 1, and nothing of the gradient remains."""
    program = parse("def train(w, g, m, lr):\n m = interp(g, m, 0.99999999)\n update = m * lr\n return update, m\n")
    w = torch.nn.Parameter(torch.ones(2))
    w.grad = torch.ones(2)
    optimizer = load(to_torch_source(program), tmp_path).Optimizer([w])
    optimizer.step()
    assert optimizer.state[w]["m"].tolist() == [0.0, 0.0]


ORTHOGONAL = parse("def train(w, g, lr):\n update = orthogonalize(g)\n update = update * lr\n return update\n")
ALIKE = ((4, 3), (4, 3), (3, 4), (2, 2, 3), (3,), (3,), (1, 3), (3, 1), (5, 5), (5, 5), (), (0, 3), (3, 0), (0,))


def orthogonal_steps(module: Any, weights: list[Any]) -> tuple[list[np.ndarray], list[int]]:
    """The updates of zero weights in one step at the rate 1, and the sizes of the batches of matrices."""
    stack = torch.stack
    with mock.patch.object(torch, "stack", side_effect=stack) as stacked:
        module.Optimizer(weights, lr=1.0).step()
    sizes = [len(call.args[0]) for call in stacked.call_args_list]
    return [-w.detach().double().numpy() for w in weights], sizes


def drawn(shapes: tuple[tuple[int, ...], ...], *dtypes: Any) -> list[Any]:
    """Parameters with gradients, the types of which take turns."""
    rng, weights = np.random.default_rng(0), []
    for number, shape in enumerate(shapes):
        kind = dtypes[number % len(dtypes)]
        weights.append(torch.nn.Parameter(torch.zeros(shape, dtype=kind)))
        weights[-1].grad = torch.as_tensor(rng.standard_normal(shape), dtype=kind)
    return weights


def test_matrices_of_one_shape_up_to_transposition_are_orthogonalized_together(tmp_path: Path) -> None:
    weights = drawn(ALIKE, torch.float64)
    steps, sizes = orthogonal_steps(load(to_torch_source(ORTHOGONAL), tmp_path), weights)
    assert sorted(sizes) == [1, 2, 4, 4]
    for step, w in zip(steps, weights, strict=True):
        np.testing.assert_allclose(step, FUNCTIONS["orthogonalize"].reference(w.grad.numpy()), atol=1e-9)


def test_a_matrix_takes_the_step_that_it_takes_alone(tmp_path: Path) -> None:
    module = load(to_torch_source(ORTHOGONAL), tmp_path)
    steps, _ = orthogonal_steps(module, drawn(ALIKE, torch.float64))
    for step, w in zip(steps, drawn(ALIKE, torch.float64), strict=True):
        np.testing.assert_allclose(orthogonal_steps(module, [w])[0][0], step, atol=1e-9)


def test_a_bad_gradient_spoils_its_own_matrix_alone(tmp_path: Path) -> None:
    weights = drawn(ALIKE[:4], torch.float32)
    weights[1].grad[0, 0] = math.nan
    orthogonal_steps(load(to_torch_source(ORTHOGONAL), tmp_path), weights)
    assert [bool(torch.isnan(w).any()) for w in weights] == [False, True, False, False]


def test_matrices_of_several_types_are_orthogonalized_in_their_own(tmp_path: Path) -> None:
    shapes = ((4, 3), (3, 4), (4, 3), (4, 3), (3, 4), (4, 3))
    weights = drawn(shapes, torch.float64, torch.float32, torch.bfloat16)
    steps, sizes = orthogonal_steps(load(to_torch_source(ORTHOGONAL), tmp_path), weights)
    assert sorted(sizes) == [2, 4]  # bfloat16 is computed in float32
    for step, w in zip(steps, weights, strict=True):
        expected = FUNCTIONS["orthogonalize"].reference(w.grad.double().numpy())
        tolerance = {torch.float64: 1e-9, torch.float32: 1e-5, torch.bfloat16: 0.02}[w.dtype]
        np.testing.assert_allclose(step, expected, atol=tolerance)


def test_matrices_are_orthogonalized_on_their_devices(tmp_path: Path) -> None:
    """Devices are simulated: their rules hold, the numbers do not exist."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    module, stack = load(to_torch_source(ORTHOGONAL), tmp_path), torch.stack
    with (
        FakeTensorMode(allow_non_fake_inputs=True),
        mock.patch.object(torch, "stack", side_effect=stack) as stacked,
    ):
        weights = [torch.nn.Parameter(torch.empty(4, 3, device=device)) for device in ("cpu", "cuda", "cuda")]
        for w in weights:
            w.grad = torch.empty_like(w)
        module.Optimizer(weights, lr=0.1).step()
    assert [[x.device.type for x in call.args[0]] for call in stacked.call_args_list] == [["cpu"], ["cuda", "cuda"]]


def test_matrices_without_gradient_are_left_alone(tmp_path: Path) -> None:
    module = load(to_torch_source(LIBRARY["muon"]), tmp_path)
    used, unused, other = drawn(((4, 3), (4, 3), (3, 4)), torch.float32)
    unused.grad = None
    optimizer = module.Optimizer([{"params": [used, unused]}, {"params": [other], "weight_decay": 0.0}], lr=1.0)
    optimizer.step()
    assert unused not in optimizer.state
    assert torch.equal(unused, torch.zeros(4, 3))
    assert used.abs().max() > 0.0
    assert other.abs().max() > 0.0
    used.grad = other.grad = None
    optimizer.step()  # nothing to do


NO_RATE = parse("def train(w, g, lr):\n a = sqrt(lr)\n update = g * a\n return update\n")


def parameter(value: float = 1.0) -> Any:
    """A parameter of one number with the gradient 1."""
    w = torch.nn.Parameter(torch.full((1,), value))
    w.grad = torch.ones(1)
    return w


@pytest.mark.parametrize("name", ["adamw", "lion"])
def test_the_default_learning_rate_takes_the_steps_of_the_program(name: str, tmp_path: Path) -> None:
    """To the last bit: the constant in ``lr * 0.001`` is the learning rate itself at ``lr`` = 1."""
    changed = str(LIBRARY[name]).replace("lr = lr * ", "lr = square(lr)\n  lr = lr * ")  # a program without a rate
    own, factor = (
        load(to_torch_source(p), tmp_path, f"file{n}") for n, p in enumerate((LIBRARY[name], parse(changed)))
    )
    weights = []
    for module in (own, factor):
        w = torch.nn.Parameter(torch.linspace(-1.0, 1.0, 7))
        optimizer = module.Optimizer([w])
        for _ in range(20):
            w.grad = torch.sin(3.0 * w.detach())
            optimizer.step()
        weights.append(w.detach())
    assert torch.equal(*weights)


def test_the_learning_rate_and_the_weight_decay_are_those_of_torch(tmp_path: Path) -> None:
    ours = load(to_torch_source(LIBRARY["sgd"]), tmp_path).Optimizer
    for make in (ours, torch.optim.SGD):
        w = parameter()
        make([w], lr=0.125).step()
        assert w.item() == 0.875
    lion, decay = load(to_torch_source(LIBRARY["lion"]), tmp_path).Optimizer, 0.5
    w = parameter(4.0)
    lion([w], lr=0.125, weight_decay=decay).step()
    assert w.item() == 4.0 - 0.125 * (1.0 + decay * 4.0), "decoupled, times the learning rate, as in torch.optim.AdamW"


def test_schedulers_change_the_learning_rate(tmp_path: Path) -> None:
    module = load(to_torch_source(LIBRARY["sgd"]), tmp_path)
    w = parameter()
    optimizer = module.Optimizer([w], lr=0.5)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1.0, 0.5, 0.0)[step])
    path = []
    for _ in range(2):
        optimizer.step()
        scheduler.step()
        path.append(w.item())
    assert path == [0.5, 0.25]
    saved = optimizer.state_dict()
    again = module.Optimizer([w])
    again.load_state_dict(saved)
    assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] == 0.0
    module.Optimizer([{"params": [w], "initial_lr": 0.5}])  # as schedulers leave groups


@pytest.mark.parametrize("name", ["OneCycleLR", "CyclicLR"])
def test_cycling_of_a_momentum_is_refused(name: str, tmp_path: Path) -> None:
    module = load(to_torch_source(LIBRARY["adamw"]), tmp_path)
    make = getattr(torch.optim.lr_scheduler, name)
    settings = {"max_lr": 0.01, "total_steps": 9} if name == "OneCycleLR" else {"base_lr": 1e-3, "max_lr": 0.01}
    with pytest.raises(ValueError, match="cycle_momentum"):
        make(module.Optimizer([parameter()]), **settings)
    optimizer = module.Optimizer([parameter()])
    scheduler = make(optimizer, **settings, cycle_momentum=False)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] > settings["max_lr"] / 25
    assert "cycle_momentum=False" in " ".join(module.Optimizer.__doc__.split())


@pytest.mark.parametrize("value", [-0.1, math.nan, -math.inf])
@pytest.mark.parametrize("setting", ["lr", "weight_decay"])
def test_negative_settings_are_refused(setting: str, value: float, tmp_path: Path) -> None:
    make = load(to_torch_source(LIBRARY["adamw"]), tmp_path).Optimizer
    with pytest.raises(ValueError, match=f"{setting} is {value}: it must be at least 0"):
        make([parameter()], **{setting: value})
    with pytest.raises(ValueError, match=f"{setting} is {value}: it must be at least 0"):
        make([{"params": [parameter()], setting: value}])
    w = parameter()
    make([w], lr=0.0).step()
    assert w.item() == 1.0
    make([parameter()], lr=torch.tensor(0.1)).step()


def test_unknown_settings_of_a_group_are_refused(tmp_path: Path) -> None:
    make = load(to_torch_source(LIBRARY["adamw"]), tmp_path).Optimizer
    said = "unknown setting 'betas' of a param group: use lr, beta1, beta2, weight_decay"
    with pytest.raises(ValueError, match=said):
        make([{"params": [parameter()], "betas": (0.9, 0.99)}])
    optimizer = make([parameter()])
    with pytest.raises(ValueError, match=said):
        optimizer.add_param_group({"params": [parameter()], "betas": (0.9, 0.99)})
    assert len(optimizer.param_groups) == 1
    with pytest.raises(TypeError):
        make([{"params": [parameter()]}, parameter()])


def test_a_program_without_a_learning_rate_has_none(tmp_path: Path) -> None:
    make = load(to_torch_source(NO_RATE), tmp_path).Optimizer
    for refused in ({"lr": 1e-3}, {"learning_rate": 1e-3}):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            make([parameter()], **refused)
    with pytest.raises(TypeError, match="positional"):
        make([parameter()], 1e-3)
    assert "`rate_factor` is not a learning rate" in make.__doc__
    first, second = parameter(), parameter()
    make([{"params": [first]}, {"params": [second], "lr": 0.25}]).step()
    assert (first.item(), second.item()) == (0.0, 0.5)


def test_weight_decay_added_to_the_gradient_is_called_so(tmp_path: Path) -> None:
    text = (
        "def train(w, g, lr):\n wd = w * 0.5\n g = g + wd\n update = sign(g)\n update = update * lr\n return update\n"
    )
    make = load(to_torch_source(parse(text)), tmp_path).Optimizer
    assert "`weight_decay` is added to the gradient" in make.__doc__
    first, second = parameter(-4.0), parameter(-4.0)
    make([{"params": [first]}, {"params": [second], "weight_decay": 0.0}], lr=1.0).step()
    assert (first.item(), second.item()) == (-3.0, -5.0)


def test_a_factor_of_the_weights_that_is_no_decay_has_another_name(tmp_path: Path) -> None:
    text = "def train(w, g, lr):\n a = w * 0.5\n a = tanh(a)\n u = a + g\n update = u * lr\n return update\n"
    make = load(to_torch_source(parse(text)), tmp_path).Optimizer
    assert list(make([parameter()]).defaults) == ["lr", "factor"]
