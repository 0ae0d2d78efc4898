"""Describes the interpreter that runs it, as JSON on standard output; Python 3.8 or newer.

Without an argument: versions of packages. With the name of a class of ``torch.optim``, or with ``module:object``: the
parameters of the class or function, and whether it trains by gradients alone, which two steps on small tensors decide.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import json
import os
import sys
from typing import Any

PACKAGES = ("torch", "jax", "jaxlib", "optax", "flax", "numpy", "transformers", "datasets", "lightning", "optsearch")


def versions() -> dict[str, str]:
    """Version of Python, and of each package that is installed."""
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def optimizer(name: str) -> dict[str, Any]:
    """The class of ``torch.optim`` with a name, ignoring case, or an object of the user: its parameters, if any."""
    import torch  # pyright: ignore[reportMissingImports]

    if ":" in name:
        module, _, attribute = name.partition(":")
        sys.path.insert(0, os.getcwd())
        home = importlib.import_module(module)
        if not callable(getattr(home, attribute, None)):
            return {"names": sorted(key for key, value in vars(home).items() if key[0] != "_" and callable(value))}
        with open(inspect.getsourcefile(home) or "", "rb") as file:
            code = hashlib.sha256(file.read()).hexdigest()
        return described(torch, getattr(home, attribute), attribute, code)
    classes = {
        known.lower(): value
        for known, value in vars(torch.optim).items()
        if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
    }
    if name.lower() not in classes:
        return {"names": sorted(value.__name__ for value in classes.values())}
    made = classes[name.lower()]
    return described(torch, made, made.__name__, "")


def described(torch: Any, made: Any, name: str, code: str) -> dict[str, Any]:
    """Parameters of a class or function, and why it cannot train by gradients alone, if so."""
    parameters = [
        [key, one.default if json_value(one.default) else None, "float" in str(one.annotation)]
        for key, one in inspect.signature(made).parameters.items()
        if key != "params"
    ]
    return {"class": name, "parameters": parameters, "error": trial(torch, made), "code": code}


def json_value(value: Any) -> bool:
    """True for numbers, and for tuples of numbers."""
    values = value if isinstance(value, tuple) else (value,)
    return bool(values) and all(isinstance(one, (int, float, bool)) for one in values)


def trial(torch: Any, made: Any) -> str:
    """Why a step with gradients alone fails; empty if it does not."""
    weights = [torch.nn.Parameter(torch.ones(shape)) for shape in ((4, 3), (3,), ())]
    try:
        optimizer = made(weights)
        for _ in range(2):
            for weight in weights:
                weight.grad = torch.full_like(weight, 0.1)
            optimizer.step()
    except Exception as error:  # noqa: BLE001 - any exception means that it cannot be used so
        lines = str(error).strip().splitlines()
        return lines[0] if lines else type(error).__name__
    return ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(optimizer(sys.argv[1]) if len(sys.argv) > 1 else versions()) + "\n")
