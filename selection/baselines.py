"""Baselines: known optimizers by name, from optax or built from its parts.

Each row defines a reference learning rate, at which tuning starts, and the tunable keyword arguments. These are passed
to the optimizer as traced numbers, so that one compilation serves all values. Names without a row are looked up among
optax's own optimizers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optsearch.dsl.errors import UserError
from optsearch.dsl.verify import nearest_name

if TYPE_CHECKING:
    import optax

Schedule = Callable[[Any], Any]
Make = Callable[[Any, Schedule, Mapping[str, Any]], "optax.GradientTransformation"]
"""Factory: takes the optax module, the schedule, and a value for each keyword argument of the row."""

DECAY, POWER, LIMIT = "weight_decay", "power", "limit"

ALWAYS = (DECAY, POWER)
"""Arguments that are tuned together with the learning rate by default."""

SCALES = (DECAY, POWER, LIMIT)
"""Arguments that are positive scale parameters; all others are EMA decays in [0, 1)."""

_TUNABLE = (DECAY, "b1", "b2", "b3", "momentum", "decay", "nesterov_momentum")
"""Arguments that are tuned when found in the signature of an optax optimizer without a row."""


class BaselineError(UserError, LookupError):
    """An unknown baseline name."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An optimizer from optax, or built from its parts.

    Attributes:
        name: name of the baseline.
        reference: learning rate at which tuning starts.
        make: factory of the optimizer.
        arguments: default of each tunable keyword argument.
        description: further settings.
    """

    name: str
    reference: float
    make: Make
    arguments: Mapping[str, float] = field(default_factory=dict[str, float])
    description: str = ""

    def optimizer(self, schedule: Schedule, values: Mapping[str, Any] | None = None) -> optax.GradientTransformation:
        """Creates the optimizer with a learning-rate schedule.

        Args:
            schedule: maps the step to the learning rate.
            values: keyword arguments that override the row's defaults. Defaults to no overrides.
        """
        import optax

        return self.make(optax, schedule, {**self.arguments, **(values or {})})


_BETAS = {"b1": 0.9, "b2": 0.999}


def _adam_like(name: str, reference: float = 1e-3, decay: float | None = None, **more: float) -> Baseline:
    arguments = {**({} if decay is None else {DECAY: decay}), **_BETAS, **more}
    return Baseline(name, reference, lambda o, lr, v: getattr(o, name)(lr, **v), arguments)


def _lookahead(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """Lookahead with AdamW: every five steps the weights return half way to the slow weights.

    ``optax.lookahead`` requires pairs of weights; here the slow weights are part of the state.

    Source: Zhang et al. 2019 (arXiv:1907.08610), with k = 5 and alpha = 0.5.
    """
    import jax
    import jax.numpy as jnp

    fast = o.adamw(lr, **values)

    def init(params: Any) -> Any:
        return fast.init(params), jax.tree.map(jnp.asarray, params), jnp.zeros((), jnp.int32)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        inner, slow, count = state
        updates, inner = fast.update(updates, inner, params)
        back = (count + 1) % 5 == 0
        reached = jax.tree.map(jnp.add, params, updates)
        slow = jax.tree.map(lambda s, f: jnp.where(back, 0.5 * (s + f), s), slow, reached)
        updates = jax.tree.map(lambda s, p, u: jnp.where(back, s - p, u), slow, params, updates)
        return updates, (inner, slow, count + 1)

    return o.GradientTransformation(init, update)


def _cautious(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """Cautious AdamW: masks update entries whose sign disagrees with the gradient, and rescales the remaining ones.

    Source: Liang et al. 2024 (arXiv:2411.16085), following the authors' code: the fraction of unmasked entries is
        computed
    per array and is at least 1e-3, and weight decay is not masked.
    """
    import jax
    import jax.numpy as jnp

    adam = o.scale_by_adam(values["b1"], values["b2"])
    rest = o.chain(o.add_decayed_weights(values[DECAY]), o.scale_by_learning_rate(lr))

    def init(params: Any) -> Any:
        return adam.init(params), rest.init(params)

    def masked(update: Any, gradient: Any) -> Any:
        kept = (update * gradient > 0).astype(update.dtype)
        return update * kept / jnp.maximum(jnp.mean(kept), 1e-3)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        steps, first = adam.update(updates, state[0], params)
        steps, second = rest.update(jax.tree.map(masked, steps, updates), state[1], params)
        return steps, (first, second)

    return o.GradientTransformation(init, update)


def _clipped(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """AdamW with gradient clipping by global norm.

    Source: Pascanu et al. 2013 (arXiv:1211.5063).
    """
    own = {name: value for name, value in values.items() if name != LIMIT}
    return o.chain(o.clip_by_global_norm(values[LIMIT]), o.adamw(lr, **own))


_FREE_REFERENCE = 1e-3


def _free_schedule(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """AdamW with ``reference * (lr / reference) ** power`` in place of ``lr``: the shape of its schedule is tunable.

    It is the control for programs that are better only because they reshape the schedule, such as by ``lr = cbrt(lr)``.
    """
    own = {name: value for name, value in values.items() if name != POWER}
    return o.adamw(lambda count: _FREE_REFERENCE * (lr(count) / _FREE_REFERENCE) ** values[POWER], **own)


_ROWS = (
    _adam_like("adamw", decay=0.01),
    Baseline("cautious", 1e-3, _cautious, {DECAY: 0.01, **_BETAS}, "AdamW that never steps uphill"),
    Baseline("clipped", 1e-3, _clipped, {DECAY: 0.01, **_BETAS, LIMIT: 1.0}, "AdamW, gradients clipped by their norm"),
    Baseline(
        "free-schedule", _FREE_REFERENCE, _free_schedule, {DECAY: 0.01, POWER: 1.0, **_BETAS}, "AdamW at a power of lr"
    ),
    Baseline("lion", 1e-4, lambda o, lr, v: o.lion(lr, **v), {DECAY: 0.1, "b1": 0.9, "b2": 0.99}),
    _adam_like("adam"),
    Baseline("sgd", 1e-1, lambda o, lr, v: o.sgd(lr), description="plain gradient descent"),
    Baseline("momentum", 1e-2, lambda o, lr, v: o.sgd(lr, **v), {"momentum": 0.9}, "heavy ball"),
    Baseline("nesterov", 1e-2, lambda o, lr, v: o.sgd(lr, nesterov=True, **v), {"momentum": 0.9}),
    Baseline("rmsprop", 1e-3, lambda o, lr, v: o.rmsprop(lr, **v), {"decay": 0.9}),
    Baseline("adagrad", 1e-1, lambda o, lr, v: o.adagrad(lr), description="initial accumulator .1"),
    _adam_like("adamax", 2e-3),
    _adam_like("amsgrad"),
    _adam_like("nadam"),
    _adam_like("nadamw", decay=0.01),
    _adam_like("radam", 1e-2),
    _adam_like("adabelief"),
    _adam_like("yogi", 1e-2),
    Baseline("adafactor", 1e-2, lambda o, lr, v: o.adafactor(lr), description="optax defaults, scaled by parameters"),
    _adam_like("lamb", 1e-2, decay=0.01),
    Baseline("lookahead", 1e-3, _lookahead, {DECAY: 0.01, **_BETAS}, "AdamW, half way back every 5 steps"),
    Baseline(
        "signum",
        1e-4,
        lambda o, lr, v: o.chain(o.trace(v["momentum"]), o.sign_sgd(lr)),
        {"momentum": 0.9},
        "sign of momentum",
    ),
    Baseline("muon", 1e-2, lambda o, lr, v: o.contrib.muon(lr), description="optax defaults; Adam on vectors"),
)

BASELINES: Mapping[str, Baseline] = MappingProxyType({row.name: row for row in _ROWS})
"""All baselines that have a row, by name."""


def get_baseline(name: str) -> Baseline:
    """Returns a baseline by name, ignoring case: a row, or any optax optimizer with a learning rate.

    Raises:
        BaselineError: the name is unknown; the message suggests the nearest name.
    """
    name = name.lower()
    found = BASELINES.get(name) or _from_optax(name)
    if found is not None:
        return found
    near = nearest_name(name, BASELINES)
    hint = f"did you mean '{near}'? " if near else ""
    raise BaselineError(
        f"unknown baseline '{name}': {hint}the baselines are {', '.join(BASELINES)}, and optax's other optimizers"
    )


def _from_optax(name: str) -> Baseline | None:
    """Looks a name up in optax, with 1e-3 as the reference learning rate; None if optax has no such optimizer."""
    import optax
    import optax.contrib

    for module in (optax, optax.contrib):
        make = getattr(module, name, None)
        if not inspect.isfunction(make) or name.startswith("_"):
            continue
        known = inspect.signature(make).parameters
        required = [p for p in known if known[p].default is inspect.Parameter.empty and p != "learning_rate"]
        if "learning_rate" in known and not required:
            defaults = {p: known[p].default for p in _TUNABLE if p in known}
            arguments = {p: float(v) for p, v in defaults.items() if isinstance(v, float) and v > 0.0}
            return Baseline(name, 1e-3, partial(_call, make), arguments, "optax defaults")
    return None


def _call(make: Callable[..., Any], _: Any, lr: Schedule, values: Mapping[str, Any]) -> Any:
    return make(lr, **values)
