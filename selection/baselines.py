"""Known optimizers by name, from optax or its parts: what a discovered program has to beat.

Each row states a reference learning rate, where tuning begins, and the keyword arguments that can be tuned with it.
They reach the optimizer as traced numbers, so that one compilation serves all of their values. Names that have no row
are looked for among optax's own optimizers.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optsearch.dsl.errors import UserError

if TYPE_CHECKING:
    import optax

Schedule = Callable[[Any], Any]
Make = Callable[[Any, Schedule, Mapping[str, Any]], "optax.GradientTransformation"]
"""Takes the optax module, the schedule, and a value for each keyword argument of the row."""

DECAY, POWER, LIMIT = "weight_decay", "power", "limit"

ALWAYS = (DECAY, POWER)
"""Arguments that are always tuned with the learning rate, where a row has them."""

SCALES = (DECAY, POWER, LIMIT)
"""Arguments that are positive numbers of any size; the others are weights of averages, from 0 up to 1."""

_TUNABLE = (DECAY, "b1", "b2", "b3", "momentum", "decay", "nesterov_momentum")
"""Arguments that are taken from an optimizer's own signature."""


class BaselineError(UserError, LookupError):
    """There is no baseline of that name."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An optimizer of optax, or one made of its parts.

    Attributes:
        name: as users write it.
        reference: learning rate at which tuning begins.
        make: makes the optimizer.
        arguments: default of each keyword argument that can be tuned.
        description: what else it is set to.
    """

    name: str
    reference: float
    make: Make
    arguments: Mapping[str, float] = field(default_factory=dict[str, float])
    description: str = ""

    def optimizer(self, schedule: Schedule, values: Mapping[str, Any] | None = None) -> optax.GradientTransformation:
        """The optimizer with a learning-rate schedule.

        Args:
            schedule: learning rate at a step.
            values: keyword arguments that differ from the row's; None for none.
        """
        import optax

        return self.make(optax, schedule, {**self.arguments, **(values or {})})


_BETAS = {"b1": 0.9, "b2": 0.999}


def _adam_like(name: str, reference: float = 1e-3, decay: float | None = None, **more: float) -> Baseline:
    arguments = {**({} if decay is None else {DECAY: decay}), **_BETAS, **more}
    return Baseline(name, reference, lambda o, lr, v: getattr(o, name)(lr, **v), arguments)


def _lookahead(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """AdamW whose weights go half way back to where they were five steps ago.

    ``optax.lookahead`` hands out pairs of weights; here the slow weights are part of the state.

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
    """AdamW without the entries of its update that would go uphill by the present gradient; the others make up for it.

    Source: Liang et al. 2024 (arXiv:2411.16085), as the authors' code has it: the share of entries that are left is
    that of each array, at least 1e-3, and weight decay is not masked.
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
    """AdamW of gradients whose norm over all parameters is limited.

    Source: Pascanu et al. 2013 (arXiv:1211.5063).
    """
    own = {name: value for name, value in values.items() if name != LIMIT}
    return o.chain(o.clip_by_global_norm(values[LIMIT]), o.adamw(lr, **own))


_FREE_REFERENCE = 1e-3


def _free_schedule(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """AdamW with ``reference * (lr / reference) ** power`` for ``lr``: it chooses the shape of its own schedule.

    It judges programs that are better only because they reshape the schedule, such as by ``lr = cbrt(lr)``.
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
"""Every baseline that has a row, by name."""


def get_baseline(name: str) -> Baseline:
    """The baseline of a name, in any mixture of capitals: a row, or any optimizer of optax with a learning rate.

    Raises:
        BaselineError: there is no such baseline; the message names the nearest one.
    """
    name = name.lower()
    found = BASELINES.get(name) or _from_optax(name)
    if found is not None:
        return found
    near = difflib.get_close_matches(name, BASELINES, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise BaselineError(
        f"unknown baseline '{name}': {hint}the baselines are {', '.join(BASELINES)}, and optax's other optimizers"
    )


def _from_optax(name: str) -> Baseline | None:
    """An optimizer that optax exports under a name, with learning rate 1e-3 to begin with; None when there is none."""
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
