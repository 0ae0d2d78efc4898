"""The examples are training scripts that keep the contract, made small by their options."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.outcome import Outcome
from optsearch.proxy_tasks.run import Trained
from optsearch.selection.contender import Contender, TrainingJob, baseline, run_job, torch_contenders
from optsearch.selection.problem import Problem
from optsearch.selection.scripts.script import TrainingScript, load_script

EXAMPLES = Path(__file__).parent.parent / "examples"
GPT = "gpt_torch.py --width 16 --layers 1 --heads 2 --context 8 --batch 4 --evaluated 2 --reports 4"
TRAINER = "trainer_huggingface.py --width 16 --layers 1 --context 8 --batch 4 --evaluated 8 --reports 4"


def example(command: str, folder: Path, steps: int, framework: str = "torch") -> TrainingScript:
    return load_script(command, steps=steps, framework=framework, logs=folder, folder=EXAMPLES, time_limit_s=300.0)


def trained(script: TrainingScript, contender: Contender, seed: int = 1) -> Trained:
    own = tuple((row.name, row.reference) for row in contender.space())
    return run_job(TrainingJob(contender, Problem(script.name, script=script), own, seed))


def check(script: TrainingScript, found: Trained) -> None:
    result = found.result
    assert (result.outcome, result.steps) == (Outcome.OK, script.steps)
    assert result.loss is not None
    assert result.test_loss is not None
    assert len(result.validation_losses) == len(script.checkpoints)
    assert result.train_losses[-1] < result.train_losses[0]


def test_a_pytorch_loop(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    script = example(GPT, tmp_path, 30)
    (muon,) = torch_contenders(script, ["muon"])
    check(script, trained(script, muon))


def test_an_optimizer_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of muon_float32.py has the numbers of torch's Muon."""
    pytest.importorskip("torch")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES))
    script = example(GPT, tmp_path, 30)
    (muon,) = torch_contenders(script, ["muon_float32:MuonFloat32"])
    tuned = {row.name for row in muon.space()}
    assert {"beta", "weight_decay", "adam_b1", "adam_b2", "adam_ratio"} < tuned
    assert tuned == {row.name for row in torch_contenders(script, ["muon"])[0].space()} - {"eps"}
    check(script, trained(script, muon))


def test_muon_in_float32_takes_the_steps_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(EXAMPLES)
    own = importlib.import_module("muon_float32")
    torch.manual_seed(0)
    shapes = ((8, 24), (24, 8), (8, 8), (5,), (3, 4, 2), (16, 8))  # the last one in a group that is left to AdamW
    start = [torch.randn(shape) for shape in shapes]
    slopes = [[torch.randn(shape) for shape in shapes] for _ in range(5)]
    mine, theirs = ([p.clone().requires_grad_() for p in start] for _ in range(2))
    groups = [{"params": mine[:5]}, {"params": mine[5:], "use_muon": False}]
    optimizer = own.MuonFloat32(groups, lr=0.01, weight_decay=0.2, beta=0.9, adam_b1=0.8, adam_b2=0.99, adam_ratio=0.5)
    decay = {"weight_decay": 0.2}
    muon = torch.optim.Muon(theirs[:3], lr=0.01, momentum=0.9, adjust_lr_fn="match_rms_adamw", **decay)
    adamw = torch.optim.AdamW(theirs[3:], lr=0.005, betas=(0.8, 0.99), **decay)
    for gradients in slopes:
        for parameters, optimizers in ((mine, [optimizer]), (theirs, [muon, adamw])):
            for p, gradient in zip(parameters, gradients, strict=True):
                p.grad = gradient.clone()
            for each in optimizers:
                each.step()
    for number, (one, other) in enumerate(zip(mine, theirs, strict=True)):
        moved = (other - start[number]).abs().max().item()
        allowed = 0.03 * moved if number < 3 else 1e-6  # torch's orthogonalisation has eight bits
        assert (one - other).abs().max().item() < allowed


def test_a_jax_loop(tmp_path: Path) -> None:
    script = example("digits_jax.py --width 8 --batch 16 --reports 10", tmp_path, 30, "jax")
    check(script, trained(script, baseline("clipped")))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lion", "muon", "adafactor"])
def test_programs_train_in_both_frameworks_and_repeat(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    contender = Contender(name, LIBRARY[name])
    for script in (example(GPT, tmp_path, 30), example("digits_jax.py --width 8", tmp_path, 30, "jax")):
        found = trained(script, contender)
        check(script, found)
        assert trained(script, contender).result == found.result
        assert trained(script, contender, seed=2).result != found.result


def test_a_trainer_of_hugging_face(tmp_path: Path) -> None:
    if any(importlib.util.find_spec(package) is None for package in ("torch", "transformers", "accelerate")):
        pytest.skip("transformers and accelerate are not installed")
    script = example(TRAINER, tmp_path, 20)
    check(script, trained(script, Contender("lion", LIBRARY["lion"])))


def test_every_example_is_documented_and_tested() -> None:
    mine = Path(__file__).read_text(encoding="utf-8")
    docs = (EXAMPLES.parent / "docs" / "scripts.md").read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert path.name in mine
        assert path.name in docs
