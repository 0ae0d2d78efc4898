"""Baselines by name: rows with declared spaces, optax's other optimizers, and the user's own.

Each row defines a reference learning rate, at which tuning starts, and the tunable keyword arguments. These are passed
to the optimizer as traced numbers, so that one compilation serves all values. Optimizers without weight decay are those
that have none by definition. Names without a row are looked up among optax's own optimizers, references such as
``module:object`` among the user's. Distributions add names as plug-ins.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any

from optsearch.dsl.verify import nearest_name
from optsearch.proxy_tasks import plugins
from optsearch.proxy_tasks.plugins import plug_ins
from optsearch.selection.baselines import made
from optsearch.selection.baselines.baseline import ALWAYS, Baseline, BaselineError, Schedule
from optsearch.selection.baselines.optax_optimizers import optax_baseline
from optsearch.selection.baselines.own import OwnBaseline, own_baseline, plugged_baseline
from optsearch.selection.space import DECAY, KINDS, LIMIT

__all__ = ["ALWAYS", "BASELINES", "FAMILIES", "Baseline", "BaselineError", "Schedule", "get_baseline"]

ADAMW, ADAPTIVE, SIGN, MATRIX, SGD, FREE = "adamw", "adaptive", "sign", "matrix", "sgd", "free"

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        ADAMW: "Adam or AdamW, at most with Nesterov's momentum, a limit, a mask, a schedule or slow weights added",
        ADAPTIVE: "other steps per weight from averages of gradients and of their squares",
        SIGN: "signs of averages of gradients",
        MATRIX: "steps from the singular vectors or eigenvectors of a matrix of gradients",
        SGD: "gradient descent, with momentum or without",
        FREE: "steps that replace the schedule or the learning rate",
    }
)
"""Families of the rows. The strongest opponent of a family stands for it."""

_BETAS = {"b1": 0.9, "b2": 0.999}
_ADAM = {**_BETAS, "eps": 1e-8}
_ADAMW = {DECAY: 0.01, **_ADAM}


def _of_optax(o: Any, lr: Schedule, values: Mapping[str, Any], *, name: str, **given: Any) -> Any:
    contrib, _, function = name.rpartition(".")
    return getattr(o.contrib if contrib else o, function)(lr, **values, **given)


def _optax(
    name: str,
    reference: float,
    arguments: Mapping[str, float],
    description: str = "",
    *,
    family: str = ADAPTIVE,
    function: str = "",
    sets: tuple[str, ...] = (),
    contains: Mapping[str, Mapping[str, float]] | None = None,
    **given: Any,
) -> Baseline:
    """A row that is a function of optax, with further arguments that are not numbers."""
    function = function or name
    return Baseline(
        name,
        reference,
        partial(_of_optax, name=function, **given),
        arguments,
        description,
        family=family,
        contains=contains or {},
        calls=f"optax.{function}",
        sets=sets,
    )


_ROWS = (
    _optax("adamw", 1e-3, _ADAMW, family=ADAMW, contains={"adam": {DECAY: 0.0}}),
    _optax("nadamw", 1e-3, _ADAMW, family=ADAMW, contains={"nadam": {DECAY: 0.0}}),
    Baseline(
        "cautious", 1e-3, made.cautious, _ADAMW, "AdamW that never steps uphill", family=ADAMW, calls="optax.adamw"
    ),
    Baseline(
        "clipped",
        1e-3,
        made.clipped,
        {**_ADAMW, "limit": 1.0},
        "AdamW, gradients clipped by their norm",
        family=ADAMW,
        contains={"adamw": {"limit": KINDS[LIMIT].high}},
        calls="optax.adamw",
    ),
    Baseline(
        "free-schedule",
        made.FREE_REFERENCE,
        made.free_schedule,
        {DECAY: 0.01, "power": 1.0, **_ADAM},
        "AdamW at a power of lr",
        family=ADAMW,
        contains={"adamw": {"power": 1.0}},
        calls="optax.adamw",
    ),
    Baseline(
        "lookahead",
        1e-3,
        made.lookahead,
        _ADAMW,
        "AdamW, half way back every 5 steps",
        family=ADAMW,
        calls="optax.adamw",
        fixed=(f"period = {made.LOOKAHEAD_STEPS}", f"slow step = {made.LOOKAHEAD_SHARE:g}"),
    ),
    _optax("adam", 1e-3, _ADAM, family=ADAMW),
    _optax("nadam", 1e-3, _ADAM, "no weight decay by definition: nadamw has it", family=ADAMW),
    _optax("lion", 1e-4, {DECAY: 0.1, "b1": 0.9, "b2": 0.99}, family=SIGN),
    Baseline(
        "signum",
        1e-4,
        made.signum,
        {DECAY: 0.0, "beta": 0.9},
        "sign of averaged gradients",
        family=SIGN,
        calls="optax.signum",
    ),
    Baseline(
        "adafactor",
        1e-2,
        made.adafactor,
        {DECAY: 0.0, "decay_rate": 0.8, "momentum": 0.0, "clipping_threshold": 1.0},
        "every matrix is factored; steps are relative to the scale of the weights",
        family=ADAPTIVE,
        calls="optax.adafactor",
        sets=("min_dim_size_to_factor", "weight_decay_rate"),
        fixed=("min_dim_size_to_factor = 2",),
    ),
    Baseline(
        "muon",
        1e-2,
        made.muon,
        {DECAY: 0.0, "beta": 0.95, "eps": 1e-8, "adam_b1": 0.9, "adam_b2": 0.999, "adam_ratio": 1.0},
        "AdamW on vectors, at adam_ratio times the rate; kernels as matrices",
        family=MATRIX,
        calls="optax.contrib.muon",
        sets=("adam_weight_decay",),
    ),
    Baseline(
        "soap",
        3e-3,
        made.soap,
        {DECAY: 0.01, "b1": 0.95, "b2": 0.95, "eps": 1e-8},
        "Adam in Shampoo's eigenbasis",
        family=MATRIX,
        calls="optsearch.selection.baselines.soap.soap",
        fixed=("shampoo_beta = b2",),
    ),
    _optax(
        "ademamix",
        1e-3,
        {DECAY: 0.0, **_BETAS, "b3": 0.9999, "alpha": 5.0, "eps": 1e-8},
        "b3 and alpha without the authors' warm-up",
        function="contrib.ademamix",
        contains={"adamw": {"alpha": 0.0, "b3": 0.9999}},
    ),
    _optax(
        "adan",
        1e-3,
        {DECAY: 0.0, "b1": 0.98, "b2": 0.92, "b3": 0.99, "eps": 1e-8},
        "decays of averages, 1 minus the paper's betas",
    ),
    Baseline(
        "adopt",
        1e-3,
        made.adopt,
        {DECAY: 0.0, "b1": 0.9, "b2": 0.9999, "eps": 1e-6},
        "clipped as in the authors' code",
        family=ADAPTIVE,
        calls="optax.contrib.adopt",
    ),
    Baseline(
        "schedule-free",
        2.5e-3,
        made.schedule_free,
        {DECAY: 0.0, **_ADAM},
        "AdamW, evaluated at averaged weights; its rate is constant after the warm-up",
        family=FREE,
        calls="optax.contrib.schedule_free_adamw",
        schedule="constant",
        evaluated=made.averaged,
    ),
    Baseline(
        "prodigy",
        1.0,
        made.prodigy,
        {DECAY: 0.0, **_ADAM},
        "estimates the rate; without the safeguard for warm-ups, as by default",
        family=FREE,
        calls="optax.contrib.prodigy",
        fixed=("beta3 = sqrt(b2)",),
    ),
    _optax("sgd", 1e-1, {}, "plain gradient descent", family=SGD, sets=("momentum",)),
    _optax(
        "momentum",
        1e-2,
        {"momentum": 0.9},
        "heavy ball",
        family=SGD,
        function="sgd",
        contains={"sgd": {"momentum": 0.0}},
    ),
    _optax(
        "nesterov",
        1e-2,
        {"momentum": 0.9},
        family=SGD,
        function="sgd",
        contains={"sgd": {"momentum": 0.0}},
        nesterov=True,
    ),
    _optax("rmsprop", 1e-3, {"decay": 0.9, "momentum": 0.0, "eps": 1e-8}),
    _optax("adagrad", 1e-1, {"initial_accumulator_value": 0.1, "eps": 1e-7}),
    _optax("adamax", 2e-3, _ADAM),
    _optax("amsgrad", 1e-3, _ADAM),
    _optax("radam", 1e-2, _ADAM),
    _optax("adabelief", 1e-3, {**_BETAS, "eps": 1e-16}),
    _optax("yogi", 1e-2, {**_BETAS, "eps": 1e-3}),
    _optax("lamb", 1e-2, {DECAY: 0.01, **_BETAS, "eps": 1e-6}),
)

BASELINES: Mapping[str, Baseline] = MappingProxyType({row.name: row for row in _ROWS})
"""All baselines that have a row, by name."""


def get_baseline(name: str) -> Baseline:
    """Returns a baseline: a row or an optax optimizer by name, ignoring case, or the user's own by reference.

    Args:
        name: a name of a row, of an installed distribution or of optax, or ``module:object``.

    Raises:
        BaselineError: the name is unknown, with the nearest name in the message; or the optimizer cannot be a baseline.
        PlugInError: a distribution cannot be imported, or uses a name that is taken.
    """
    return _own(name) if ":" in name else _named(name.lower())


def _own(reference: str) -> Baseline:
    found = own_baseline(reference).baseline
    if found.name.lower() in BASELINES:
        raise BaselineError(
            f"import {reference}: a shipped baseline is called '{found.name.lower()}': give yours another name"
        )
    return found


@cache
def plugged(name: str) -> OwnBaseline | None:
    """Returns the baseline of an installed distribution; None if there is none of this name.

    Args:
        name: the name, ignoring case.

    Raises:
        BaselineError: the object cannot be a baseline.
        PlugInError: it cannot be imported, or its name is taken.
    """
    name = name.lower()
    if name in BASELINES:
        return None
    found = plug_ins(plugins.BASELINES, BASELINES).get(name)
    if found is None:
        return None
    if optax_baseline(name) is not None:
        raise found.fault("has the name of an optimizer of optax, and is refused")
    return plugged_baseline(found)


@cache
def _named(name: str) -> Baseline:
    own = plugged(name)
    found = BASELINES.get(name) or (own.baseline if own is not None else optax_baseline(name))
    if found is not None:
        return found
    near = nearest_name(name, [*BASELINES, *plug_ins(plugins.BASELINES, BASELINES)])
    hint = f"did you mean '{near}'? " if near else ""
    raise BaselineError(
        f"unknown baseline '{name}': {hint}the baselines are {', '.join(BASELINES)}, optax's other optimizers, "
        "plug-ins, and your own as module:object"
    )
