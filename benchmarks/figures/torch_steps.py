"""Steps of exported PyTorch optimizers beside those of PyTorch, on the matrices of a Transformer.

The exported files have neither a ``foreach`` nor a ``fused`` switch: elementwise programs concatenate small tensors and
update large ones one by one; programs with products orthogonalise matrices of one shape together. PyTorch's AdamW is
measured in both forms, where the device has them. `torch.optim.Muon` takes matrices alone, so it has no vectors here.
Each is measured in turns with AdamW in the form that PyTorch takes by default.
"""

from __future__ import annotations

import importlib.util
import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from figures.plan import Figure, Figures, Plan, in_turns

SIZES = {"1M": (144, 4), "100M": (832, 12)}
"""Width and number of blocks."""

SMALL = {"10k": (16, 3)}

EXPORTED = ("adamw", "lion", "root-scale", "muon", "orthogonal-adamw")

OWN = ("AdamW foreach", "AdamW fused", "Muon")
"""PyTorch's own optimizers."""

STEPS = 10
"""Steps of a round."""


def figures(plan: Plan) -> Figures:
    """Milliseconds a step, and the ratio to AdamW, by size, number format and optimizer."""
    for size, shape in (SMALL if plan.small else SIZES).items():
        for dtype in ("float32", "bfloat16"):
            for optimizer in (*OWN, *(f"exported {name}" for name in EXPORTED[:: 3 if plan.small else 1])):
                yield f"torch/{size}/{dtype}/{optimizer}", partial(measure, shape, dtype, optimizer, plan.rounds)


def measure(shape: tuple[int, int], dtype: str, optimizer: str, rounds: int) -> Figure:
    """Measures one optimizer; skipped if PyTorch has no such optimizer, or sees no GPU although JAX has one."""
    if importlib.util.find_spec("torch") is None:
        return {"skipped": "PyTorch is not installed"}
    import jax
    import torch

    on_gpu = torch.cuda.is_available()
    if not on_gpu and jax.default_backend() != "cpu":
        return {"skipped": "PyTorch sees no GPU"}
    width, blocks = shape
    kinds = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width), *[(width,)] * 2] * blocks
    if optimizer == "Muon":
        kinds = [kind for kind in kinds if len(kind) == 2]
    if not on_gpu:
        torch.set_num_threads(1)
    device = "cuda" if on_gpu else "cpu"

    def weights() -> list[Any]:
        found = [torch.nn.Parameter(0.02 * torch.randn(k, device=device, dtype=getattr(torch, dtype))) for k in kinds]
        for weight in found:
            weight.grad = 0.01 * torch.randn_like(weight)
        return found

    made = _made(optimizer, weights())
    if made is None:
        return {"skipped": f"PyTorch {torch.__version__} has no {optimizer} here"}

    def steps(stepped: Any) -> None:
        for _ in range(STEPS):
            stepped.step()
        if on_gpu:
            torch.cuda.synchronize()

    steps(made)
    peak = torch.cuda.max_memory_allocated() if on_gpu else None
    adamw = torch.optim.AdamW(weights(), lr=1e-3)
    seconds = in_turns({"steps": partial(steps, made), "adamw": partial(steps, adamw)}, rounds)
    return {
        "ms_a_step": 1000 * seconds["steps"] / STEPS,
        "times_adamw": seconds["steps"] / seconds["adamw"],
        "parameters": sum(math.prod(kind) for kind in kinds),
        "device": device,
        "peak_bytes": peak,
    }


def _made(name: str, weights: list[Any]) -> Any:
    """The optimizer of a name; None if this PyTorch does not have it."""
    import torch

    if name == "Muon":
        return torch.optim.Muon(weights, lr=1e-3) if hasattr(torch.optim, "Muon") else None
    if name.startswith("AdamW "):
        return torch.optim.AdamW(weights, lr=1e-3, **{name.removeprefix("AdamW "): True})
    return _exported(name.removeprefix("exported "))(weights)


def _exported(name: str) -> Callable[..., Any]:
    """The class in the exported file of a shipped program."""
    from optsearch.dsl.export.torch import to_torch_source
    from optsearch.runs.library.references import load_program

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exported.py"
        path.write_text(to_torch_source(load_program(name).program), encoding="utf-8")
        spec = importlib.util.spec_from_file_location("exported", path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module.Optimizer
