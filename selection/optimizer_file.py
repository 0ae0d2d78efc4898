"""The optimizer of a training run as a Python module, which a training script loads.

Its function `make_optimizer` is the contract: with torch ``make_optimizer(params)``, with JAX
``make_optimizer(schedule)``, where ``schedule`` maps the step to a factor on the learning rate. All tuned numbers are
defaults of its further arguments. The module of a program is an exported file, which needs torch or optax alone; that
of a baseline of torch needs torch, that of a baseline of optax needs this package.
"""

from __future__ import annotations

from collections.abc import Mapping

from optsearch.dsl.export.arguments import FACTOR, prepared
from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.export.torch import to_torch_source
from optsearch.dsl.program import Program
from optsearch.selection.baselines.torch_optimizers import TorchBaseline
from optsearch.selection.scripts.contract import CONTRACT_VERSION
from optsearch.selection.scripts.script import Framework
from optsearch.selection.space import RATE, with_values

_NOTE = f"make_optimizer keeps version {CONTRACT_VERSION} of the contract for training scripts."

_TORCH = '''

def make_optimizer(params, lr={rate!r}):
    """The optimizer of tensors or param groups, at its tuned numbers; `lr` is the peak of {peak}.

    Entries of groups that it has no setting for are ignored, as by the optimizers of torch.
    """
    known = {{"params", {settings}}}
    groups = [{{k: v for k, v in x.items() if k in known}} if isinstance(x, dict) else x for x in params]
    return Optimizer(groups, {argument}=lr)
'''

_OPTAX = '''

def make_optimizer(schedule=None, lr={rate!r}):
    """The optimizer at its tuned numbers; `lr` is the peak of {peak}.

    `schedule` maps the step to a factor on `lr`, and None is a constant 1.
    """
    return optimizer({argument}=lr if schedule is None else lambda count: lr * schedule(count))
'''

_TORCH_BASELINE = '''"""The baseline {name} of torch.optim. {note}"""

import torch
{helper}

def make_optimizer(params, lr={rate!r}{arguments}):
    """The optimizer of tensors or param groups, at its tuned numbers; `lr` is the peak of the learning rate."""
    return {call}
'''

_OPTAX_BASELINE = '''"""The baseline {name} of optax. {note}"""

from optsearch.selection.baselines.table import get_baseline


def make_optimizer(schedule=None, lr={rate!r}{arguments}):
    """The optimizer at its tuned numbers; `schedule` maps the step to a factor on `lr`, and None is a constant 1."""
    rate = lambda count: lr if schedule is None else lr * schedule(count)
    return get_baseline({name!r}).optimizer(rate, {{{values}}})
'''


def program_file(program: Program, framework: Framework, values: Mapping[str, float]) -> str:
    """The module of a program.

    Args:
        program: a verified program.
        framework: ``torch`` or ``jax``.
        values: ``rate``, which is the program's ``lr``, and constants by the names of its space.

    Returns:
        Source text. The default of ``lr`` is the program's learning rate, or its ``lr`` if it has none.
    """
    tuned = with_values(program, values)
    made = prepared(tuned)
    own, peak, argument = made.rate, "the learning rate", "lr" if framework == "torch" else "learning_rate"
    if own is None:
        own, peak, argument = 1.0, "the factor on the program's own rate", FACTOR
    rate = own * float(values[RATE])
    if framework == "torch":
        settings = ", ".join(f'"{name}"' for name in ("lr", *made.named.defaults))
        factory = _TORCH.format(rate=rate, peak=peak, argument=argument, settings=settings)
        return to_torch_source(tuned, "A program", [_NOTE]) + factory
    return to_optax_source(tuned, "A program", [_NOTE]) + _OPTAX.format(rate=rate, peak=peak, argument=argument)


def torch_file(row: TorchBaseline, values: Mapping[str, float]) -> str:
    """The module of a baseline of torch.

    Args:
        row: the baseline.
        values: ``rate``, which is the learning rate, and values of its numbers; the others have their defaults.
    """
    return _TORCH_BASELINE.format(
        name=row.name,
        note=_NOTE,
        helper=row.helper,
        rate=float(values[RATE]),
        arguments=_arguments({name: values.get(name, default) for name, default in row.numbers}),
        call=row.call,
    )


def optax_file(reference: str, arguments: Mapping[str, float], rate: float) -> str:
    """The module of a baseline of optax.

    Args:
        reference: its name, or ``module:object``.
        arguments: a value for each of its arguments.
        rate: the learning rate.
    """
    return _OPTAX_BASELINE.format(
        name=reference,
        note=_NOTE,
        rate=float(rate),
        arguments=_arguments(arguments),
        values=", ".join(f'"{name}": {name}' for name in arguments),
    )


def _arguments(values: Mapping[str, float]) -> str:
    return "".join(f", {name}={float(value)!r}" for name, value in values.items())
