"""Baselines that optax does not have as such, built from its parts; each is a factory as in `baseline.Make`.

All numbers of ``values`` may be traced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optsearch.selection.baselines.baseline import Schedule
from optsearch.selection.space import DECAY

if TYPE_CHECKING:
    import optax

FREE_REFERENCE = 1e-3
"""Rate at which a free schedule agrees with the given one for every power."""

LOOKAHEAD_STEPS, LOOKAHEAD_SHARE = 5, 0.5

_LEAST_B1 = 1e-3


def lookahead(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
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
        back = (count + 1) % LOOKAHEAD_STEPS == 0
        reached = jax.tree.map(jnp.add, params, updates)
        slow = jax.tree.map(lambda s, f: jnp.where(back, s + LOOKAHEAD_SHARE * (f - s), s), slow, reached)
        updates = jax.tree.map(lambda s, p, u: jnp.where(back, s - p, u), slow, params, updates)
        return updates, (inner, slow, count + 1)

    return o.GradientTransformation(init, update)


def cautious(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """Cautious AdamW: masks update entries whose sign disagrees with the gradient, and rescales the remaining ones.

    Source: Liang et al. 2024 (arXiv:2411.16085), following the authors' code: the fraction of unmasked entries is
        computed per array and is at least 1e-3, and weight decay is not masked.
    """
    import jax
    import jax.numpy as jnp

    adam = o.scale_by_adam(values["b1"], values["b2"], values["eps"])
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


def clipped(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """AdamW with gradient clipping by global norm.

    Source: Pascanu et al. 2013 (arXiv:1211.5063).
    """
    own = {name: value for name, value in values.items() if name != "limit"}
    return o.chain(o.clip_by_global_norm(values["limit"]), o.adamw(lr, **own))


def free_schedule(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """AdamW with ``reference * (lr / reference) ** power`` in place of ``lr``: the shape of its schedule is tunable.

    It is the control for programs that are better only because they reshape the schedule, such as by ``lr = cbrt(lr)``.
    """
    own = {name: value for name, value in values.items() if name != "power"}
    return o.adamw(lambda count: FREE_REFERENCE * (lr(count) / FREE_REFERENCE) ** values["power"], **own)


def signum(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """The sign of an average of gradients, with decoupled weight decay.

    Source: Bernstein et al. 2018 (arXiv:1802.04434).
    """
    return o.chain(
        o.ema(values["beta"], debias=False),
        o.scale_by_sign(),
        o.add_decayed_weights(values[DECAY]),
        o.scale_by_learning_rate(lr),
    )


def adafactor(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """Adafactor that factors every matrix, with steps relative to the scale of the weights.

    optax factors a matrix only from 128 rows and columns on, which few matrices of the tasks have. Its weight decay is
    not a multiple of the learning rate; here it is, as for all other baselines.

    Source: Shazeer & Stern 2018 (arXiv:1804.04235).
    """
    return o.adafactor(
        lr,
        min_dim_size_to_factor=2,
        decay_rate=values["decay_rate"],
        clipping_threshold=values["clipping_threshold"],
        momentum=values["momentum"],
        weight_decay_rate=lambda count: values[DECAY] * lr(count),
    )


def muon(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """Muon for matrices and AdamW for vectors, whose rate is a multiple of Muon's.

    An array with more than two axes is a matrix of its leading axes against its last axis.

    Source: Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon).
    """
    import jax

    def axes(params: Any) -> Any:
        form = o.contrib.MuonDimensionNumbers
        return jax.tree.map(lambda x: form(tuple(range(x.ndim - 1)), x.ndim - 1) if x.ndim >= 2 else None, params)

    own = {name: value for name, value in values.items() if name != "adam_ratio"}
    return o.contrib.muon(
        lr,
        adam_weight_decay=values[DECAY],
        adam_learning_rate=lambda count: values["adam_ratio"] * lr(count),
        muon_weight_dimension_numbers=axes,
        **own,
    )


def adopt(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """ADOPT with decoupled weight decay, which optax's lacks.

    Source: Taniguchi et al. 2024 (arXiv:2411.02853).
    """
    own = {name: value for name, value in values.items() if name != DECAY}
    return o.chain(o.contrib.scale_by_adopt(**own), o.add_decayed_weights(values[DECAY]), o.scale_by_learning_rate(lr))


def prodigy(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """Prodigy: Adam whose rate is estimated from the distance that the weights have moved.

    Source: Mishchenko & Defazio 2023 (arXiv:2306.06101).
    """
    own = {name: value for name, value in values.items() if name not in ("b1", "b2")}
    return o.contrib.prodigy(lr, betas=(values["b1"], values["b2"]), **own)


def schedule_free(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """Schedule-Free AdamW, to be evaluated at ``averaged``.

    Unlike optax's, it weights the average of a step by the rate of that step; optax's takes the rate of the next one.

    Source: Defazio et al. 2024 (arXiv:2405.15682).
    """
    import jax.numpy as jnp

    adam = o.chain(
        o.scale_by_rms(decay=values["b2"], eps=values["eps"], eps_in_sqrt=False, bias_correction=True),
        o.add_decayed_weights(values[DECAY]),
        o.scale_by_learning_rate(lr),
    )
    b1 = jnp.maximum(values["b1"], _LEAST_B1)  # the average is recovered through a division by b1
    return o.contrib.schedule_free(adam, lambda count: lr(count - 1), b1=b1)


def averaged(weights: Any, state: Any) -> Any:
    """The averaged weights of a Schedule-Free optimizer."""
    import optax.contrib

    return optax.contrib.schedule_free_eval_params(state, weights)


def soap(o: Any, lr: Schedule, values: Mapping[str, Any]) -> optax.GradientTransformation:
    """SOAP: see `optsearch.selection.baselines.soap`."""
    del o
    from optsearch.selection.baselines.soap import soap

    return soap(lr, **values)
