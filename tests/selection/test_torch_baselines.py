"""Modules of optimizers for training scripts: they train, at their tuned numbers; others are refused with a reason."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from invented import Invented

from optsearch.dsl.library import LIBRARY
from optsearch.runs.summary.evaluation_json import decode_evaluation, encode_evaluation
from optsearch.search.pool import Here
from optsearch.selection.baselines.baseline import BaselineError
from optsearch.selection.baselines.torch_optimizers import TORCH_BASELINES, TorchBaseline, by_class, check_version
from optsearch.selection.comparison.evaluate import evaluate
from optsearch.selection.comparison.work import operations_per_parameter
from optsearch.selection.contender import Contender, TrainingJob, baseline, jax_contenders, torch_contenders
from optsearch.selection.optimizer_file import optax_file, program_file, torch_file
from optsearch.selection.problem import Problem
from optsearch.selection.scripts import probe
from optsearch.selection.space import BETA, DECAY, RATE, SpaceError
from optsearch.selection.tuning.tuner import TuningBudget, fresh_seeds

every_row = pytest.mark.parametrize("name", TORCH_BASELINES)


def load(source: str, folder: Path) -> ModuleType:
    path = folder / "optimizer.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("optimizer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def descend(module: ModuleType, steps: int = 60) -> tuple[Any, list[float]]:
    """The optimizer, and the losses of a sum of squares over a matrix, a vector and a scalar."""
    torch = pytest.importorskip("torch")
    weights = [torch.nn.Parameter(torch.full(shape, 2.0)) for shape in ((4, 3), (3,), ())]
    optimizer = module.make_optimizer(weights)
    losses: list[float] = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = sum(((weight - 1.0) ** 2).sum() for weight in weights)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return optimizer, losses


@every_row
def test_every_baseline_trains_at_its_tuned_numbers(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    row = TORCH_BASELINES[name]
    tuned = {dimension.name: dimension.at(0.5) for dimension in row.space()} | {DECAY: 0.0, RATE: 10 * row.reference}
    for values in ({RATE: 10 * row.reference}, tuned):
        optimizer, losses = descend(load(torch_file(row, values), tmp_path))
        assert losses[-1] < 0.9 * losses[0]
        assert optimizer.param_groups[0]["lr"] == 10 * row.reference
    if "b1" in row.arguments:
        assert optimizer.param_groups[0]["betas"] == (tuned["b1"], tuned["b2"])


@every_row
def test_every_baseline_declares_a_space_around_its_own_setting(name: str) -> None:
    row = TORCH_BASELINES[name]
    space = row.space()
    assert {dimension.name for dimension in space} == {RATE, *row.arguments}
    for dimension in space:
        assert dimension.low <= (dimension.reference or dimension.low) <= dimension.high
    assert all(dimension.kind == BETA for dimension in space if dimension.name in ("b1", "b2", "beta", "momentum"))
    with pytest.raises(SpaceError, match="excludes the reference"):
        row.space(ranges=((RATE, (2.0, 3.0)),))
    contender = Contender(name, torch=row)
    assert contender.is_baseline
    assert contender.meaning == f"torch:{name}"
    assert {one.name for one in contender.space(constants=False)} == {RATE, DECAY}


def test_muon_trains_matrices_alone_and_adamw_the_rest(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    row = TORCH_BASELINES["muon"]
    module = load(torch_file(row, {RATE: 0.01, "adam_ratio": 0.5}), tmp_path)
    matrix, vector, embedding = (torch.nn.Parameter(torch.ones(shape)) for shape in ((4, 3), (3,), (5, 3)))
    optimizer = module.make_optimizer([{"params": [matrix, vector]}, {"params": [embedding], "use_muon": False}])
    groups = [(group["params"], group["lr"]) for group in optimizer.param_groups]
    assert [rate for _, rate in groups] == [0.01, 0.005, 0.005]
    assert [params[0] is weight for (params, _), weight in zip(groups, (matrix, vector, embedding), strict=True)]
    assert [type(part).__name__ for part in optimizer.parts] == ["Muon", "AdamW"]
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.1)
    assert [part.param_groups[0]["lr"] for part in optimizer.parts] == pytest.approx([0.001, 0.0005])


def test_the_state_of_muon_can_be_saved(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    module = load(torch_file(TORCH_BASELINES["muon"], {RATE: 0.01}), tmp_path)
    first, _ = descend(module, 3)
    second, _ = descend(module, 1)
    second.load_state_dict(first.state_dict())
    assert second.parts[1].state_dict()["state"][0]["step"] == 3
    assert second.param_groups[0] is second.parts[0].param_groups[0]


@pytest.mark.parametrize("name", ["Adam", "radam", "Rprop", "ASGD", "Adagrad", "Adadelta", "Adamax"])
def test_any_class_of_torch_is_a_baseline_by_name(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    row = by_class(name, probe.optimizer(name))
    assert row.name == name.lower()
    _, losses = descend(load(torch_file(row, {RATE: row.reference}), tmp_path))
    assert losses[-1] < losses[0]
    assert DECAY in row.arguments or name == "Rprop"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("LBFGS", "torch.optim.LBFGS cannot be a baseline: it needs more than gradients and weights"),
        ("sparseadam", "torch.optim.SparseAdam cannot be a baseline"),
        ("adamm", "unknown baseline 'adamm' of a torch script: did you mean 'Adam'?"),
    ],
)
def test_classes_that_need_more_than_gradients_are_refused(name: str, says: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(BaselineError, match=r"torch") as raised:
        by_class(name, probe.optimizer(name))
    assert says in str(raised.value)
    assert raised.value.exit_code == 2


OWN = """
import torch

class Halved(torch.optim.SGD):
    def __init__(self, params, lr=0.2, momentum: float = 0, steps=3):
        super().__init__(params, lr=lr / 2, momentum=momentum)

def sgd(params, lr=0.1): return torch.optim.SGD(params, lr=lr)
def rateless(params): return torch.optim.SGD(params)
def needy(params, lr, model): return torch.optim.SGD(params)
"""


def test_a_class_of_the_user_is_a_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_torch.py").write_text(OWN)
    row = by_class("own_torch:Halved", probe.optimizer("own_torch:Halved"), str(tmp_path))
    assert (row.name, row.reference, row.arguments, row.fixed) == ("Halved", 0.2, {"momentum": 0.0}, ("steps = 3",))
    source = torch_file(row, {RATE: 0.4, "momentum": 0.5})
    optimizer, losses = descend(load(source, tmp_path))
    assert losses[-1] < losses[0]
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]) == (0.2, 0.5)
    (tmp_path / "own_torch.py").write_text(OWN + "# edited")
    edited = by_class("own_torch:Halved", probe.optimizer("own_torch:Halved"), str(tmp_path))
    assert torch_file(edited, {RATE: 0.4, "momentum": 0.5}) != source
    for name, says in {
        "halved": "has no class or function 'halved'; did you mean 'Halved'?",
        "sgd": "a shipped baseline is called 'sgd'",
        "rateless": "it has no argument `lr`",
        "needy": "cannot be a baseline: it needs more than gradients and weights",
    }.items():
        with pytest.raises(BaselineError) as raised:
            by_class(f"own_torch:{name}", probe.optimizer(f"own_torch:{name}"))
        assert says in str(raised.value)


def test_two_baselines_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    described = {"class": "Mine", "parameters": [["lr", 0.1, True]], "error": "", "code": "0"}
    monkeypatch.setattr("optsearch.selection.contender.torch_class", lambda *_: described)
    from types import SimpleNamespace

    script: Any = SimpleNamespace(words=("python",), folder=".", packages=(("torch", "2.13"),))
    assert [one.name for one in torch_contenders(script, ["a:Mine", "a:Mine", "SGD", "sgd"])] == ["Mine", "sgd"]
    with pytest.raises(BaselineError, match="two baselines are called 'mine'"):
        torch_contenders(script, ["a:Mine", "b:Mine"])


def test_an_older_torch_has_no_muon() -> None:
    with pytest.raises(
        BaselineError, match=r"'muon' needs torch 2\.9 or newer, and the script's interpreter has torch 2\.8"
    ):
        check_version(TORCH_BASELINES["muon"], "2.8.1+cu128")
    check_version(TORCH_BASELINES["muon"], "2.10.0")
    check_version(TORCH_BASELINES["adamw"], "2.8.1")


@pytest.mark.parametrize("name", ["lion", "adamw", "adafactor", "muon"])
def test_a_program_has_the_same_factory_in_both_frameworks(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    import jax.numpy as jnp
    import optax

    program = LIBRARY[name]
    space = Contender(name, program).space()
    values = {dimension.name: dimension.reference for dimension in space} | {RATE: 3.0}
    of_torch = load(program_file(program, "torch", values), tmp_path)
    of_jax = load(program_file(program, "jax", values), tmp_path)
    weight = torch.nn.Parameter(torch.arange(12.0).reshape(4, 3) / 10)
    params = jnp.asarray(weight.detach().numpy())
    half = of_jax.make_optimizer(lambda count: 0.5)
    optimizer, state = of_torch.make_optimizer([weight]), half.init(params)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    for number in range(3):
        gradient = np.cos(np.arange(12.0) + number).reshape(4, 3).astype(np.float32)
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        updates, state = half.update(jnp.asarray(gradient), state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(weight.detach().numpy(), params, rtol=1e-4)
    assert not np.allclose(params, np.arange(12.0).reshape(4, 3) / 10)


def test_groups_of_a_script_keep_the_contract(tmp_path: Path) -> None:
    """A program takes the settings of groups that it has, and ignores those of other optimizers."""
    torch = pytest.importorskip("torch")
    program = LIBRARY["lion"]
    values = {dimension.name: dimension.reference for dimension in Contender("lion", program).space()} | {RATE: 3.0}
    module = load(program_file(program, "torch", values), tmp_path)
    first, second = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    groups = [{"params": [first], "weight_decay": 0.0}, {"params": [second], "use_muon": False}]
    found = module.make_optimizer(groups).param_groups
    assert [group["weight_decay"] for group in found] == [0.0, 0.1]
    assert [group["lr"] for group in found] == pytest.approx([3e-4, 3e-4]), "the learning rate, not a factor"
    assert not any("use_muon" in group for group in found)


def test_a_baseline_of_optax_is_that_of_the_table(tmp_path: Path) -> None:
    import jax.numpy as jnp

    row = baseline("clipped").row
    values = {**row.arguments, "b1": 0.8}
    module = load(optax_file("clipped", values, 0.01), tmp_path)
    mine, theirs = module.make_optimizer(lambda count: 2.0), row.optimizer(lambda count: 0.02, values)
    weights, gradient = jnp.ones((3, 2)), jnp.arange(6.0).reshape(3, 2)
    for made in (mine, module.make_optimizer(None, lr=0.02)):
        updates, _ = made.update(gradient, made.init(weights), weights)
        expected, _ = theirs.update(gradient, theirs.init(weights), weights)
        np.testing.assert_array_equal(updates, expected)


def test_a_baseline_with_averaged_weights_is_refused_for_scripts() -> None:
    with pytest.raises(BaselineError, match="'schedule-free' cannot be used with a script"):
        jax_contenders(["adamw", "schedule-free"])


def test_the_probe_runs_in_an_older_python() -> None:
    source = Path(probe.__file__).read_text()
    compile(source, "probe.py", "exec", dont_inherit=True)
    import ast

    ast.parse(source, feature_version=(3, 8))
    assert probe.versions()["python"] == sys.version.split()[0]


def test_own_settings_are_those_that_no_tuning_has_changed() -> None:
    row = TORCH_BASELINES["adamw"]
    assert isinstance(row, TorchBaseline)
    contender = Contender("adamw", torch=row)
    own = tuple((one.name, one.reference) for one in contender.space())
    from types import SimpleNamespace

    target: Any = SimpleNamespace(framework="torch")
    problem: Any = SimpleNamespace(script=target)
    assert TrainingJob(contender, problem, own, 1).on_script(target).is_own
    other = tuple((name, value * (2 if name == RATE else 1)) for name, value in own)
    assert not TrainingJob(contender, problem, other, 1).on_script(target).is_own


def test_an_evaluation_without_known_arithmetic_can_be_recorded() -> None:
    unknown = replace(TORCH_BASELINES["sgd"], name="asgd", like="")
    contenders = [Contender("found", LIBRARY["sgd"]), Contender("adamw", torch=TORCH_BASELINES["adamw"])]
    contenders.append(Contender("asgd", torch=unknown))
    pool = Here(Invented({"found": 1.0, "adamw": 1e-3, "asgd": 0.1}))
    found = evaluate(contenders, [Problem("ae")], [fresh_seeds(2)], budget=TuningBudget(2), pool=pool)
    times = {row.contender: row for row in found.times}
    assert (times["asgd"].operations, times["asgd"].profile_cost) == (None, ())
    assert times["adamw"].operations == operations_per_parameter(baseline("adamw"))
    assert [name for name, _ in found.state_bytes] == ["found", "adamw"]
    again = decode_evaluation(json.loads(json.dumps(encode_evaluation(found))))
    assert again == found
