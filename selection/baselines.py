"""Known optimizers from optax, by name: what a discovered program has to beat.

Each row states a reference learning rate, the middle of the grid on which it is tuned. Other settings are those of the
optimizer's publication or optax's defaults; where weight decay is coupled to the learning rate, the product of the two
is that of AdamW at its reference.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optax

Schedule = Callable[[Any], Any]
Make = Callable[[Any, Schedule], "optax.GradientTransformation"]
"""Takes the optax module and the schedule."""


class BaselineError(LookupError):
    """There is no baseline of that name."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An optimizer of optax.

    Attributes:
        name: as users write it.
        reference: learning rate in the middle of the tuning grid.
        make: takes the optax module and a schedule; gives the optimizer.
        description: its settings.
    """

    name: str
    reference: float
    make: Make
    description: str

    def optimizer(self, schedule: Schedule) -> optax.GradientTransformation:
        """The optimizer with a learning-rate schedule."""
        import optax

        return self.make(optax, schedule)


_ROWS = (
    Baseline("adamw", 1e-3, lambda o, lr: o.adamw(lr, b1=0.9, b2=0.999, weight_decay=0.01), "betas .9 .999, decay .01"),
    Baseline("lion", 1e-4, lambda o, lr: o.lion(lr, b1=0.9, b2=0.99, weight_decay=0.1), "betas .9 .99, decay .1"),
    Baseline("adam", 1e-3, lambda o, lr: o.adam(lr), "betas .9 .999"),
    Baseline("sgd", 1e-1, lambda o, lr: o.sgd(lr), "plain gradient descent"),
    Baseline("momentum", 1e-2, lambda o, lr: o.sgd(lr, momentum=0.9), "heavy ball, momentum .9"),
    Baseline("nesterov", 1e-2, lambda o, lr: o.sgd(lr, momentum=0.9, nesterov=True), "momentum .9"),
    Baseline("rmsprop", 1e-3, lambda o, lr: o.rmsprop(lr, decay=0.9), "decay of the average .9"),
    Baseline("adagrad", 1e-1, lambda o, lr: o.adagrad(lr), "initial accumulator .1"),
    Baseline("adamax", 2e-3, lambda o, lr: o.adamax(lr), "betas .9 .999"),
    Baseline("amsgrad", 1e-3, lambda o, lr: o.amsgrad(lr), "betas .9 .999"),
    Baseline("nadam", 1e-3, lambda o, lr: o.nadam(lr), "betas .9 .999"),
    Baseline("nadamw", 1e-3, lambda o, lr: o.nadamw(lr, weight_decay=0.01), "betas .9 .999, decay .01"),
    Baseline("radam", 1e-2, lambda o, lr: o.radam(lr), "betas .9 .999"),
    Baseline("adabelief", 1e-3, lambda o, lr: o.adabelief(lr), "betas .9 .999"),
    Baseline("yogi", 1e-2, lambda o, lr: o.yogi(lr), "betas .9 .999"),
    Baseline("adafactor", 1e-2, lambda o, lr: o.adafactor(lr), "optax defaults, scaled by the parameters"),
    Baseline("lamb", 1e-2, lambda o, lr: o.lamb(lr, weight_decay=0.01), "betas .9 .999, decay .01"),
    Baseline("signum", 1e-4, lambda o, lr: o.chain(o.trace(0.9), o.sign_sgd(lr)), "sign of momentum .9"),
    Baseline("muon", 1e-2, lambda o, lr: o.contrib.muon(lr), "optax defaults; Adam on vectors"),
)

BASELINES: Mapping[str, Baseline] = MappingProxyType({row.name: row for row in _ROWS})
"""Every baseline by name."""


def get_baseline(name: str) -> Baseline:
    """The baseline of a name, in any mixture of capitals.

    Raises:
        BaselineError: there is no such baseline; the message names the nearest one.
    """
    if name.lower() in BASELINES:
        return BASELINES[name.lower()]
    near = difflib.get_close_matches(name.lower(), BASELINES, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise BaselineError(f"unknown baseline '{name}': {hint}the baselines are {', '.join(BASELINES)}")
