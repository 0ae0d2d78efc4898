"""Helpers for exported files: load and run them, and compare them with the reference interpreter over many steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from optsearch.dsl.execute import apply_on_tree
from optsearch.dsl.functions import Function, Scope
from optsearch.dsl.program import OUTPUT, Program
from optsearch.dsl.walk import walk

SHAPES = ((4, 3), (), (3,))
STEPS = 100
LR = 0.01

TOLERANCE = 1e-6
"""Largest difference of the ways that two runs have gone, as a share of how far they have gone."""

STABLE = TOLERANCE / 10.0
"""Where roundings move the interpreter itself by more than this share, nothing can be compared."""

RUNS = 2
"""Runs of the interpreter with roundings of their own, beside the one without."""

MATRIX_UNITS = 32.0
"""Rounding of a function of matrices, in units in the last place."""

ULP = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)

Way = np.ndarray
"""Weights before the first and after every step, float64 [steps + 1, parameters]."""


def load(source: str, folder: Path, name: str = "exported") -> ModuleType:
    """The module of a source text."""
    path = folder / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(make: Callable[..., Any], lr: Any, *arguments: Any, **constants: float) -> Any:
    """The optimizer of an exported function or class at an ``lr`` of its program, a number or a schedule.

    The default of the argument for the rate is the program's own rate, which is that at ``lr`` = 1.
    """
    parameters = inspect.signature(make).parameters
    name = next(name for name in ("lr", "learning_rate", "rate_factor") if name in parameters)
    own = parameters[name].default
    rate = (lambda count: own * lr(count)) if callable(lr) else own * lr
    return make(*arguments, **{name: rate}, **constants)


def optax_optimizer(source: str, folder: Path, lr: Any, name: str = "exported", **constants: float) -> Any:
    """The optimizer of an exported optax file at an ``lr`` of its program."""
    return made(load(source, folder, name).optimizer, lr, **constants)


def arrays(rng: np.random.Generator) -> list[np.ndarray]:
    """One float64 array for each shape, of numbers that float32 holds."""
    return [np.asarray(rng.standard_normal(shape), np.float32).astype(np.float64) for shape in SHAPES]


def gradients(steps: int) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """The first weights, and the gradients of every step."""
    rng = np.random.default_rng(0)
    return arrays(rng), [arrays(rng) for _ in range(steps)]


def flat(leaves: list[Any]) -> np.ndarray:
    """All numbers of a list of arrays."""
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in leaves])


class _Rounding:
    """The float64 meaning with every result, constants included, off by up to one unit in the last place.

    A function of matrices rounds in each of its products, and is off by more. The products of ``interp`` are rounded
    too: both operands are off before they are weighted, since equal ones need not cancel.

    In the last of the disturbed runs, results that are whole numbers up to rounding are exactly these: the power of a
    negative number is one only for a whole exponent, such as a cosine similarity that rounds to 1.
    """

    def __init__(self, number: int):
        self.exact, self.flush, self.used = number == 0, number % 2 == 0, 0
        self.snaps = number == RUNS
        self.errors = ULP * np.random.default_rng(number).choice((-1.0, 1.0), 9973)

    def constant(self, value: float) -> Any:
        return self._rounded(np.float64(value))

    def apply(self, function: Function, operands: list[Any]) -> Any:
        if function.name == "interp":
            operands = [*map(self._rounded, operands[:2]), operands[2]]
        units = MATRIX_UNITS if function.scope is Scope.MATRIX else 1.0
        return self._rounded(apply_on_tree(function.reference, function.scope, operands), units)

    def _rounded(self, x: Any, units: float = 1.0) -> Any:
        if self.exact:
            return x
        if isinstance(x, list):
            return [self._rounded(leaf, units) for leaf in x]
        size = np.size(x)
        if self.used + size > len(self.errors):
            self.used = 0
        x = x * (1.0 + units * self.errors[self.used : self.used + size].reshape(np.shape(x)))
        self.used += size
        if self.snaps:
            x = np.where(np.abs(x - np.rint(x)) <= 8.0 * ULP * np.abs(x), np.rint(x), x)
        return np.where(np.abs(x) < TINY, 0.0, x) if self.flush else x  # XLA has no denormal numbers


def reference_path(program: Program, steps: int = STEPS, lr: float = LR, rounding: int = 0) -> Way:
    """The way of the weights by the reference interpreter; ``rounding`` other than 0 numbers a disturbed run."""
    w, every = gradients(steps)
    domain: Any = _Rounding(rounding)
    state: dict[str, Any] = {name: [np.zeros(shape) for shape in SHAPES] for name in program.state}
    path = [flat(w)]
    with np.errstate(all="ignore"):
        for g in every:
            values = walk(program, {"w": w, "g": g, "lr": np.float64(lr), **state}, domain)
            state = {name: values[name] for name in program.state}
            w = [x - u for x, u in zip(w, values[OUTPUT], strict=True)]
            path.append(flat(w))
    return np.array(path)


def optax_path(make: Callable[..., Any], steps: int = STEPS, lr: float = LR) -> Way:
    """The way of the weights by an optax optimizer, in float64, all steps in one compiled loop.

    Args:
        make: an exported function, or any other from ``lr`` to an optimizer.
        steps: number of steps.
        lr: the ``lr`` of the program.
    """
    import jax
    import jax.numpy as jnp
    import optax

    with jax.enable_x64(True):
        optimizer = make(lr) if "lr" in inspect.signature(make).parameters else made(make, lr)
        first, every = gradients(steps)
        w = [jnp.asarray(x) for x in first]

        def step(carry: Any, g: Any) -> tuple[Any, Any]:
            weights, state = carry
            updates, state = optimizer.update(g, state, weights)
            weights = optax.apply_updates(weights, updates)
            return (weights, state), weights

        stacked = [jnp.stack(leaves) for leaves in zip(*every, strict=True)]
        _, path = jax.jit(lambda w, g: jax.lax.scan(step, (w, optimizer.init(w)), g))(w, stacked)
        assert all(x.dtype == jnp.float64 for x in path)
        return np.array([flat(first), *(flat([leaf[n] for leaf in map(np.asarray, path)]) for n in range(steps))])


def torch_path(module: ModuleType, steps: int = STEPS, lr: float = LR, dtype: Any = None) -> Way:
    """The way of the weights by an exported PyTorch file, in float64 unless another type is given."""
    import torch

    first, every = gradients(steps)
    dtype = dtype or torch.float64
    weights = [torch.nn.Parameter(torch.as_tensor(x, dtype=dtype)) for x in first]
    optimizer, path = made(module.Optimizer, lr, weights), [flat(first)]
    for g in every:
        for weight, gradient in zip(weights, g, strict=True):
            weight.grad = torch.as_tensor(gradient, dtype=dtype)
        optimizer.step()
        path.append(flat([w.detach().double().numpy() for w in weights]))
    return np.array(path)


@dataclass(frozen=True)
class Known:
    """What the interpreter says of a program, and for how many steps anybody can know it.

    Attributes:
        path: the way of the weights.
        steps: steps over which rounding does not show; later ones are chaos, not the program's.
    """

    path: Way
    steps: int

    @property
    def whole(self) -> bool:
        """Whether all steps can be compared."""
        return self.steps == len(self.path) - 1


def known(program: Program, steps: int = STEPS) -> Known:
    """Runs the interpreter with and without roundings."""
    path = reference_path(program, steps)
    agree = np.full(len(path), True)
    for number in range(1, RUNS + 1):
        agree &= _agrees(reference_path(program, steps, rounding=number), path, STABLE)
    return Known(path, int(np.argmin(agree)) - 1 if not agree.all() else len(path) - 1)


def first_difference(mine: Way, other: Known) -> int | None:
    """The first step, of those that can be known, after which a run is elsewhere; None when there is none."""
    agree = _agrees(mine, other.path, TOLERANCE)[: other.steps + 1]
    return None if agree.all() else int(np.argmin(agree))


def _agrees(mine: Way, other: Way, share: float) -> np.ndarray:
    """For each step whether all weights agree: not finite at the same steps, and within a share of the way gone."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(other)
        gone = np.maximum.accumulate(np.where(finite, np.abs(other - other[0]), 0.0), axis=0)
        rounding = (
            4.0
            * ULP
            * np.arange(1, len(other) + 1)[:, None]
            * np.maximum.accumulate(np.where(finite, np.abs(other), 0.0), axis=0)
        )
        close = np.abs(mine - other) <= share * gone + rounding
    return np.where(finite, close, ~np.isfinite(mine)).all(axis=1)
