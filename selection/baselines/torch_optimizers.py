"""Baselines of `torch.optim` for training scripts: rows with declared spaces, and all other classes by signature.

The optimizers are source text, since this package does not import torch: the module that a script gets calls the class
with its tuned numbers. Numbers have the names and kinds of optax's baselines, so that both are tuned in the same space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from optsearch.dsl.verify import nearest_name
from optsearch.selection.baselines.baseline import BaselineError, Number, baseline_space, numbers_of
from optsearch.selection.baselines.table import ADAMW, ADAPTIVE, MATRIX, SGD
from optsearch.selection.space import DECAY, Dimension, Ranges

MUON_VERSION = (2, 9)
"""First version of torch with Muon."""

REFERENCE = 1e-3
"""Learning rate at which tuning starts, for classes without a default."""


@dataclass(frozen=True, slots=True)
class TorchBaseline:
    """An optimizer of torch with its reference learning rate and its tunable numbers.

    Attributes:
        name: name of the baseline.
        reference: learning rate at which tuning starts.
        numbers: name and default of each tunable number.
        call: expression that makes the optimizer of ``params``, ``lr`` and the numbers.
        description: further settings.
        family: name of its family; empty for none.
        fixed: numbers that are not tuned, such as ``ns_steps = 5``.
        like: baseline of optax with the same arithmetic and state; empty if there is none.
        helper: source text that the module needs besides.
        least_torch: first version of torch that has it.
    """

    name: str
    reference: float
    numbers: tuple[tuple[str, float], ...]
    call: str
    description: str = ""
    family: str = ""
    fixed: tuple[str, ...] = ()
    like: str = ""
    helper: str = field(default="", repr=False)
    least_torch: tuple[int, int] = (2, 0)

    @property
    def arguments(self) -> Mapping[str, float]:
        """Default of each tunable number."""
        return dict(self.numbers)

    def space(self, *, constants: bool = True, ranges: Ranges = ()) -> tuple[Dimension, ...]:
        """Returns its tunable hyperparameters, as for baselines of optax.

        Args:
            constants: if True, all numbers; otherwise weight decay alone.
            ranges: declared ranges that replace the defaults.

        Raises:
            SpaceError: a declared range excludes a default.
        """
        return baseline_space(self.reference, self.arguments, constants=constants, ranges=ranges)

    def untuned(self, *, constants: bool = True) -> tuple[str, ...]:
        """Numbers that tuning leaves at their defaults, such as ``ns_steps = 5``."""
        tuned = {row.name for row in self.space(constants=constants)}
        return (*(f"{name} = {value:g}" for name, value in self.numbers if name not in tuned), *self.fixed)


_BETAS = (("b1", 0.9), ("b2", 0.999))
_ADAM = (*_BETAS, ("eps", 1e-8))
_ADAM_CALL = "lr=lr, betas=(b1, b2), eps=eps"

_MUON = '''

class MuonWithAdamW(torch.optim.Optimizer):
    """torch.optim.Muon for matrices, torch.optim.AdamW for all other tensors.

    A group of parameters with the entry `use_muon=False` is left to AdamW, such as embeddings and the output layer.
    """

    def __init__(self, params, lr, weight_decay, beta, eps, adam_b1, adam_b2, adam_ratio):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "use_muon": True})
        matrices, others = [], []
        for group in self.param_groups:
            is_matrix = [group["use_muon"] and p.ndim == 2 for p in group["params"]]
            shared = {key: group[key] for key in ("weight_decay", "use_muon")}
            for chosen, wanted, rate in ((matrices, True, 1.0), (others, False, adam_ratio)):
                some = [p for p, found in zip(group["params"], is_matrix) if found == wanted]
                if some:
                    chosen.append({"params": some, "lr": rate * group["lr"], **shared})
        # The groups are those of the two optimizers, so that schedules of the learning rate change both.
        self.parts, self.param_groups = [], []
        if matrices:
            self.parts.append(torch.optim.Muon(
                matrices, lr=lr, weight_decay=weight_decay, momentum=beta, eps=eps, adjust_lr_fn="match_rms_adamw"
            ))
        if others:
            self.parts.append(torch.optim.AdamW(
                others, lr=adam_ratio * lr, weight_decay=weight_decay, betas=(adam_b1, adam_b2)
            ))
        for part in self.parts:
            self.param_groups += part.param_groups

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self):
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict):
        self.param_groups = []
        for part, state in zip(self.parts, state_dict["parts"]):
            part.load_state_dict(state)
            self.param_groups += part.param_groups
'''

_ROWS = (
    TorchBaseline(
        "adamw",
        1e-3,
        ((DECAY, 0.01), *_ADAM),
        f"torch.optim.AdamW(params, {_ADAM_CALL}, weight_decay=weight_decay)",
        family=ADAMW,
        like="adamw",
    ),
    TorchBaseline(
        "nadam",
        2e-3,
        ((DECAY, 0.01), *_ADAM, ("momentum_decay", 0.004)),
        f"torch.optim.NAdam(params, {_ADAM_CALL}, weight_decay=weight_decay, momentum_decay=momentum_decay, "
        "decoupled_weight_decay=True)",
        "with decoupled weight decay",
        family=ADAMW,
        like="nadamw",
    ),
    TorchBaseline(
        "adafactor",
        1e-2,
        ((DECAY, 0.0), ("decay_rate", 0.8), ("clipping_threshold", 1.0)),
        "torch.optim.Adafactor(params, lr=lr, beta2_decay=-decay_rate, d=clipping_threshold, "
        "weight_decay=weight_decay)",
        "steps are relative to the scale of the weights",
        family=ADAPTIVE,
        fixed=("eps = 1.2e-07 and 0.001",),
        like="adafactor",
        least_torch=(2, 5),
    ),
    TorchBaseline(
        "sgd",
        1e-1,
        ((DECAY, 0.0), ("momentum", 0.9)),
        "torch.optim.SGD(params, lr=lr, momentum=momentum, weight_decay=weight_decay)",
        "heavy ball; the decay is added to the gradient",
        family=SGD,
        fixed=("dampening = 0",),
        like="momentum",
    ),
    TorchBaseline(
        "rmsprop",
        1e-3,
        ((DECAY, 0.0), ("decay", 0.99), ("momentum", 0.0), ("eps", 1e-8)),
        "torch.optim.RMSprop(params, lr=lr, alpha=decay, eps=eps, weight_decay=weight_decay, momentum=momentum)",
        "the weight decay is added to the gradient",
        family=ADAPTIVE,
        like="rmsprop",
    ),
    TorchBaseline(
        "muon",
        1e-3,
        ((DECAY, 0.1), ("beta", 0.95), ("eps", 1e-7), ("adam_b1", 0.9), ("adam_b2", 0.999), ("adam_ratio", 1.0)),
        "MuonWithAdamW(params, lr, weight_decay, beta, eps, adam_b1, adam_b2, adam_ratio)",
        "matrices alone; AdamW on all other tensors, at adam_ratio times the rate",
        family=MATRIX,
        fixed=("ns_steps = 5", "AdamW's eps = 1e-08"),
        like="muon",
        helper=_MUON,
        least_torch=MUON_VERSION,
    ),
)

TORCH_BASELINES: Mapping[str, TorchBaseline] = MappingProxyType({row.name: row for row in _ROWS})
"""All baselines of torch that have a row, by name."""

_IMPORT = """
import sys

sys.path.insert(0, {folder!r})
from {module} import {made}  # sha256 {code}

"""
"""Import of an optimizer of the user; an edited file is another optimizer."""

_LIKE = ("adam", "adadelta", "adagrad", "adamax", "radam", "rprop")
"""Classes of torch whose names, in lower case, are those of optax's functions with the same arithmetic."""


def check_version(row: TorchBaseline, version: str) -> None:
    """Checks that a version of torch has a baseline.

    Args:
        row: the baseline.
        version: version of torch; empty if unknown, which passes.

    Raises:
        BaselineError: it does not.
    """
    parts = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if parts and tuple(parts) < row.least_torch:
        needed = ".".join(map(str, row.least_torch))
        raise BaselineError(
            f"baseline '{row.name}' needs torch {needed} or newer, and the script's interpreter has torch {version}: "
            "install a newer one there, or leave this baseline out"
        )


def by_class(name: str, described: Mapping[str, Any], folder: str = "") -> TorchBaseline:
    """Makes a baseline of a class of ``torch.optim``, or of a class or function of the user with the same arguments.

    Every float of at least 0 among its defaults is tuned.

    Args:
        name: name of the baseline as the user gave it, or ``module:object``.
        described: the class, as `optsearch.selection.scripts.probe` describes it.
        folder: folder in which a module of the user is searched.

    Raises:
        BaselineError: there is no such class, it has no argument ``lr``, or it needs more than gradients.
    """
    module, colon, attribute = name.partition(":")
    if "class" not in described and colon:
        near = nearest_name(attribute, described["names"])
        hint = f"; did you mean '{near}'?" if near else ""
        raise BaselineError(f"baseline {name}: the module '{module}' has no class or function '{attribute}'{hint}")
    if "class" not in described:
        known = [*TORCH_BASELINES, *described["names"]]
        near = nearest_name(name, known)
        hint = f"did you mean '{near}'? " if near else ""
        raise BaselineError(
            f"unknown baseline '{name}' of a torch script: {hint}the baselines are {', '.join(TORCH_BASELINES)}, and "
            f"the classes of torch.optim: {', '.join(described['names'])}"
        )
    made = str(described["class"])
    about = f"baseline {name}: it" if colon else f"torch.optim.{made}"
    if described["error"]:
        raise BaselineError(
            f"{about} cannot be a baseline: it needs more than gradients and weights: a step with these "
            f"alone fails: {described['error']}"
        )
    parameters: Sequence[tuple[str, Any, bool]] = described["parameters"]
    floats = {key: _as_floats(default) if is_float else default for key, default, is_float in parameters}
    found = numbers_of({key: default for key, default in floats.items() if key != "lr"})
    tunable = {key: number.default for key, number in found.items() if number.tunable}
    fixed = [f"{key} = {number.default:g}" for key, number in found.items() if key not in tunable]
    if "lr" not in floats:
        raise BaselineError(f"{about} cannot be a baseline: it has no argument `lr`, the learning rate")
    rate = floats["lr"]
    if colon and made.lower() in TORCH_BASELINES:
        raise BaselineError(f"baseline {name}: a shipped baseline is called '{made.lower()}': give yours another name")
    return TorchBaseline(
        made if colon else name.lower(),
        float(rate) if isinstance(rate, int | float) and rate > 0.0 else REFERENCE,
        tuple(tunable.items()),
        f"{made if colon else f'torch.optim.{made}'}(params, lr=lr{_keywords(found)})",
        "by its signature",
        fixed=tuple(fixed),
        like=name.lower() if name.lower() in _LIKE else "",
        helper=_IMPORT.format(folder=folder, module=module, made=made, code=described["code"]) if colon else "",
    )


def _as_floats(default: Any) -> Any:
    """The default of a parameter that is annotated as a float; torch writes many of these as whole numbers."""
    if isinstance(default, list):
        values: list[Any] = default
        return tuple(float(value) if _is_number(value) else value for value in values)
    return float(default) if _is_number(default) else default


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _keywords(found: Mapping[str, Number]) -> str:
    """Keyword arguments of the tunable numbers, with those of a tuple together."""
    parts: dict[str, list[str]] = {}
    for key, number in found.items():
        if number.tunable:
            parts.setdefault(number.parameter, []).append(key)
    scalar = {number.parameter for number in found.values() if number.place is None}
    values = {parameter: f"({', '.join(keys)},)" for parameter, keys in parts.items()}
    values |= {parameter: keys[0] for parameter, keys in parts.items() if parameter in scalar}
    return "".join(f", {parameter}={value}" for parameter, value in values.items())
