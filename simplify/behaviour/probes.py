"""Probes: responses of a program to gradient scale, the shape of matrices, a spike, noise, a sign change, the schedule.

Each probe gives a curve and a sentence. They characterise an optimizer by its behaviour. Unless a probe states
otherwise, the schedule is 1 and the weights are fixed at zero, which disables weight decay (see ``stability``), or at
another value for programs whose updates are zero or singular there (see ``weights``).

Source: reading momentum, clipping and adaptation from responses follows Maheswaranathan et al. 2021 (arXiv:2011.02159).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from optsearch.dsl.program import Program
from optsearch.simplify.behaviour.simulation import Array, simulate
from optsearch.simplify.behaviour.weights import decay_of, fixed_weights

SCALES = tuple(10.0**power for power in range(-4, 5))
"""Factors on the gradients of the scale probe."""

SPIKE, SPIKE_AT, SPIKE_AFTER = 10.0, 100, 300
"""Size of the spike in standard deviations of the background noise; number of steps before and after it."""

NOISES = (3.0, 10.0, 30.0)
"""Standard deviations of the noise, relative to the mean gradient."""

TURN_AT, TURN_AFTER = 200, 150
"""Number of constant gradients before the sign change, and number of steps after it."""

SCHEDULE = tuple(2.0**-power for power in range(7, -1, -1))
"""Values of the schedule."""

EVEN = 0.1
"""Evenness below which steps count as sign-like."""

MATRIX = 16, 24
"""Shape of the matrix of the spectrum probe."""

ORTHOGONAL = 0.5
"""Ratio of the least to the largest singular value above which steps count as orthogonalised: Newton-Schulz iteration
leaves 0.56."""

SAME_VECTORS = 0.9
"""Cosine similarity with the orthogonalised gradient above which orthogonalised steps count as those of the gradient:
Muon has 0.99, orthogonalised steps of AdamW 0.49."""

_PARAMETERS = 1024
_INVARIANT = 0.01

_ALWAYS = 1e4
"""Number of averaged gradients above which an update counts as noise-free."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Result of one probe.

    Attributes:
        name: short name.
        x_title: the varied quantity, with its unit.
        y_title: the measured quantity, with its unit.
        x: values of the varied quantity.
        y: measured values; None if not finite.
        logarithmic: True if both axes are logarithmic.
        value: summary statistic; None if there is none.
        says: interpretation, in one sentence.
    """

    name: str
    x_title: str
    y_title: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    logarithmic: bool
    value: float | None
    says: str


@lru_cache(maxsize=256)
def probes(program: Program) -> tuple[Probe, ...]:
    """Runs all probes of this module.

    Args:
        program: a verified program.

    Returns:
        Scale, evenness, spectrum, spike, noise, turn and schedule.
    """
    asked = (scale_probe, evenness_probe, spectrum_probe, spike_probe, noise_probe, turn_probe, schedule_probe)
    return tuple(probe(program) for probe in asked)


def scale_probe(program: Program) -> Probe:
    """Size of the update against the scale of all gradients.

    Returns:
        Sizes relative to scale 1; ``value`` is the exponent p of ``update ~ scale^p``, None if no power law holds.
    """
    stream = _noise(0, 60, 16)
    factors = np.array(SCALES)[:, None]
    updates, _ = simulate(program, lambda t, _: stream[t] * factors, _at_rest(program, len(SCALES), 16), len(stream))
    relative, slopes = _relative(updates, SCALES.index(1.0))
    slopes = slopes / np.log2(10.0)
    value: float | None = None
    if not np.isfinite(relative).all():
        says = "The update is not a finite number at some scales of the gradient."
    elif np.max(np.abs(relative - 1.0)) < _INVARIANT:
        value, says = 0.0, "The update does not depend on the scale of the gradient."
    elif np.ptp(slopes) < 0.02:
        value = float(np.mean(slopes))
        power = "in proportion to" if abs(value - 1.0) < 0.02 else f"with the power {value:.2g} of"
        says = f"The update grows {power} the scale of the gradient."
    else:
        says = (
            f"A gradient 10 times as large gives an update {relative[5]:.3g} times as large, one 10 times as small "
            f"{relative[3]:.3g} times: neither invariant nor a power."
        )
    title = "update (at scale 1: 1)"
    return Probe("scale", "factor on all gradients", title, SCALES, _known(relative), True, value, says)


def evenness_probe(program: Program) -> Probe:
    """Uniformity of the step sizes of parameters whose gradients differ in size and noise.

    Weights are small and differ, because steps may depend on them.

    Returns:
        Sizes of a step's updates, sorted, averaged over steps; ``value`` is their coefficient of variation, which is 0
        for sign updates.
    """
    steps, kept = 200, 100
    rng = np.random.default_rng(8)
    sizes, drift = 10.0 ** rng.uniform(-2.0, 1.0, _PARAMETERS), rng.uniform(0.1, 1.0, _PARAMETERS)
    stream = (rng.standard_normal((steps, _PARAMETERS)) + drift) * sizes
    weights = 0.02 * rng.standard_normal((1, _PARAMETERS))
    updates, _ = simulate(program, lambda t, _: stream[t][None], weights, steps)
    with np.errstate(all="ignore"):
        taken = np.sort(np.abs(updates[-kept:, 0]), axis=1)
        taken = taken / np.mean(taken, axis=1, keepdims=True)
        value = float(np.mean(np.std(taken, axis=1)))
    places = np.linspace(0, _PARAMETERS - 1, 33).astype(int)
    x = tuple(float(place) for place in places / (_PARAMETERS - 1))
    titles = "share of parameters", "size of the step (mean: 1)"
    curve = _known(np.mean(taken[:, places], axis=0))
    if not math.isfinite(value):
        return Probe("evenness", *titles, x, curve, False, None, "The sizes of steps are not finite, or all zero.")
    if value < EVEN:
        says = "All parameters take steps of equal size, as with sign updates."
    else:
        says = f"The sizes of steps differ by {value:.0%} between parameters (AdamW 49%, sign updates 0%)."
    return Probe("evenness", *titles, x, curve, False, value, says)


def spectrum_probe(program: Program) -> Probe:
    """Singular values of the steps of a matrix, whose gradients have singular values over two decades.

    The gradients differ in their singular values alone. Orthogonalised steps with the same singular vectors are those
    of an averaged gradient; others are those of a gradient whose entries were changed, such as the step of AdamW.

    Returns:
        Singular values of the last steps, largest first, relative to the largest, averaged over steps; ``value`` is the
        least, which is 1 for orthogonalised steps.
    """
    taken, _ = _matrix_steps(program)
    rows = MATRIX[0]
    x = tuple(float(place) for place in range(1, rows + 1))
    titles = "singular value, from the largest", "singular value of the step (largest: 1)"
    if not np.isfinite(taken).all() or not taken.any(axis=(1, 2)).all():
        return Probe("spectrum", *titles, x, (None,) * rows, False, None, "Steps of matrices are not finite, or zero.")
    found = np.linalg.svd(taken, compute_uv=False)
    curve = np.mean(found / found[:, :1], axis=0)
    value = float(curve[-1])
    if value > ORTHOGONAL:
        same = has_vectors_of_gradient(program)
        vectors = "those of the averaged gradient, as in Muon" if same else "others than the gradient's, as in AdamW"
        says = (
            "Steps of matrices are orthogonalised: all their singular values are about equal. Their singular vectors "
            f"are {vectors}."
        )
    else:
        says = (
            f"The least singular value of a matrix's step is {value:.2g} of the largest; that of the gradient is 0.01, "
            "that of an orthogonalised step 1."
        )
    return Probe("spectrum", *titles, x, _known(curve), False, value, says)


def has_vectors_of_gradient(program: Program) -> bool:
    """True if orthogonalised steps have the singular vectors of the averaged gradient, in the spectrum probe."""
    taken, goal = _matrix_steps(program)
    with np.errstate(all="ignore"):
        along = np.sum(taken * goal, axis=(1, 2)) / np.linalg.norm(taken, axis=(1, 2)) / np.linalg.norm(goal)
    return bool(np.mean(along) > SAME_VECTORS)


@lru_cache(maxsize=1)
def _matrix_steps(program: Program) -> tuple[Array, Array]:
    """The last steps of the spectrum probe [steps, rows, columns], and the orthogonalised gradient [rows, columns]."""
    steps, kept = 100, 20
    rng = np.random.default_rng(11)
    rows, columns = MATRIX
    left = np.linalg.qr(rng.standard_normal((rows, rows)))[0]
    right = np.linalg.qr(rng.standard_normal((columns, rows)))[0].T
    values = np.logspace(0.0, -2.0, rows) * (1.0 + 0.1 * rng.standard_normal((steps, rows)))
    stream = (left * values[:, None]) @ right
    updates, _ = simulate(
        program, lambda t, _: stream[t].reshape(1, -1), _at_rest(program, 1, rows * columns), steps, shape=MATRIX
    )
    return updates[-kept:, 0].reshape(kept, rows, columns), left @ right


def spike_probe(program: Program) -> Probe:
    """Duration of the response to one large gradient.

    Returns:
        The mean change of the update caused by the spike, relative to its peak; ``value`` is the number of steps after
        which less than a tenth remains, None if more remains at the end.
    """
    steps = SPIKE_AT + SPIKE_AFTER
    stream = _noise(1, steps, _PARAMETERS)
    spike = np.array([[0.0], [SPIKE]])

    def gradient(t: int, _: Array) -> Array:
        return stream[t] + (spike if t == SPIKE_AT else 0.0 * spike)

    updates, _ = simulate(program, gradient, _at_rest(program, 2, _PARAMETERS), steps)
    with np.errstate(all="ignore"):
        change = np.mean(updates[SPIKE_AT:, 1] - updates[SPIKE_AT:, 0], axis=1)
        peak = np.max(np.abs(change))
        response = change / peak
    x = tuple(float(t) for t in range(SPIKE_AFTER))
    titles = "steps after the spike", "mean change of the update"
    if not np.isfinite(response).all():
        says = "A spike has no effect." if peak == 0.0 else "A spike causes updates that are not finite."
        return Probe("spike", *titles, x, _known(response), False, 0.0 if peak == 0.0 else None, says)
    half, tenth = _gone(response, 0.5), _gone(response, 0.1)
    if tenth == 1:
        says = "A spike in the gradient is forgotten at the next step: no memory."
    else:
        rest = f"less than a tenth is left after {tenth}" if tenth else f"more than a tenth is left after {SPIKE_AFTER}"
        first = f"half after {half} step{'s' * (half > 1)}" if half else f"half of it not within {SPIKE_AFTER} steps"
        says = f"The effect of a spike in the gradient falls to {first}; {rest}."
    return Probe("spike", *titles, x, _known(response), False, None if tenth is None else float(tenth), says)


def noise_probe(program: Program) -> Probe:
    """Effective number of gradients that an update averages, estimated from its noise.

    The ratio of mean to standard deviation grows with the square root of the number of independent gradients averaged.
    SGD has 1, an EMA with decay b has (1 + b) / (1 - b), a plain sign has 2 / pi.

    Returns:
        The number for each noise level; ``value`` is the number for the largest.
    """
    warm, samples, apart = 400, 20, 20
    rng = np.random.default_rng(2)
    levels = np.array(NOISES)[:, None]

    def gradient(t: int, _: Array) -> Array:
        half = rng.standard_normal(_PARAMETERS // 2)
        return 1.0 + levels * np.concatenate([half, -half])  # antithetic pairs, so that the mean is exact

    updates, _ = simulate(program, gradient, _at_rest(program, len(NOISES), _PARAMETERS), warm + samples * apart)
    with np.errstate(all="ignore"):
        taken = updates[warm::apart]
        averaged = np.mean(np.mean(taken, axis=2) ** 2 / np.var(taken, axis=2), axis=0) * levels[:, 0] ** 2
    averaged = np.where(averaged < _ALWAYS, averaged, np.inf)
    value = float(averaged[-1])
    titles = "noise, in mean gradients", "gradients averaged"
    if not math.isfinite(value):
        says = "Under noise, the update contains no information about the mean gradient."
        return Probe("noise", *titles, NOISES, _known(averaged), True, None, says)
    if value < 1.2:
        kept = "all" if value > 0.8 else f"about {value:.0%}"
        says = f"Noise is not averaged: an update retains {kept} of the information in one gradient."
    else:
        says = f"Under strong noise, an update is as accurate as the mean of {_count(value)} gradients."
    return Probe("noise", *titles, NOISES, _known(averaged), True, value, says)


def turn_probe(program: Program) -> Probe:
    """Response to a persistent sign change of the gradient, and to alternating gradients.

    A program whose weights enter its updates in a way that depends on the gradients is also probed at other weights.

    Returns:
        The update around the sign change, relative to the update before it; ``value`` is the number of steps until the
        update changes sign.
    """
    fixed = fixed_weights(program)
    tried = [fixed.weight, *(fixed.others if decay_of(program)[0] == "coupled" else ())]
    weights = np.repeat(tried, 2)[:, None]

    def gradient(t: int, _: Array) -> Array:
        return np.tile([[1.0 if t < TURN_AT else -1.0], [1.0 if t % 2 else -1.0]], (len(tried), 1))

    updates, _ = simulate(program, gradient, weights, TURN_AT + TURN_AFTER)
    updates = updates.reshape(TURN_AT + TURN_AFTER, len(tried), 2)
    with np.errstate(all="ignore"):
        paths = updates[TURN_AT - 20 :, :, 0] / np.abs(updates[TURN_AT - 1, :, 0])
        path = paths[:, 0]
        shaken = np.max(np.abs(updates[TURN_AT - 20 : TURN_AT, 0, 1])) / abs(updates[TURN_AT - 1, 0, 0])
    x = tuple(float(t) for t in range(-20, TURN_AFTER))
    titles = "steps after the turn", "update (before the turn: 1)"
    if not np.isfinite(path).all() or not math.isfinite(shaken):
        return Probe("turn", *titles, x, _known(path), False, None, "Updates of constant gradients are not finite.")
    turns = [_turned(paths[:, place]) for place in range(len(tried))]
    size = "as large as" if 0.99 < shaken < 1.01 else f"{shaken:.3g} times as large as"
    says = (
        f"After a permanent sign change of the gradient, the update {_turn_words(turns[0])}"
        f"{_elsewhere(tried, turns)}; gradients of alternating sign give updates {size} those of constant gradients."
    )
    return Probe("turn", *titles, x, _known(path), False, None if turns[0] is None else float(turns[0]), says)


def _turned(path: Array) -> int | None:
    """Number of steps after the turn at which an update changes sign; None if it does not."""
    with np.errstate(all="ignore"):
        found = np.flatnonzero(path[20:] * np.sign(path[19]) <= 0.0)
    return int(found[0]) if len(found) else None


def _turn_words(turned: int | None) -> str:
    if turned is None:
        return f"does not change sign within {TURN_AFTER} steps"
    return f"keeps its sign for {turned} step{'s' * (turned > 1)}" if turned else "changes sign immediately"


def _elsewhere(weights: Sequence[float], turns: Sequence[int | None]) -> str:
    """Says at which other weights an update turns differently; empty if it does at none."""
    other: dict[str, list[str]] = {}
    for weight, turned in zip(weights, turns, strict=True):
        if turned != turns[0]:
            other.setdefault(_turn_words(turned), []).append(f"{weight:g}")
    if not other:
        return ""
    said = ", ".join(f"{words} at {' and '.join(at)}" for words, at in other.items())
    return f" at a weight of {weights[0]:g}, {said}"


def schedule_probe(program: Program) -> Probe:
    """Size of the update against the value of the learning-rate schedule.

    A program that ignores the schedule is not a better optimizer for that: it has its own schedule, which could be
    given to other optimizers as well.

    Returns:
        Sizes relative to schedule 1; ``value`` is the exponent p of ``update ~ schedule^p``, None if no power law
        holds.
    """
    stream, rates = _noise(6, 60, 16), np.array(SCHEDULE)[:, None]
    updates, _ = simulate(
        program, lambda t, _: stream[t] + 0.0 * rates, _at_rest(program, len(rates), 16), 60, lr=rates
    )
    relative, slopes = _relative(updates, SCHEDULE.index(1.0))
    value: float | None = None
    if not np.isfinite(relative).all():
        says = "The update is not finite at some values of the schedule."
    elif np.max(np.abs(relative - 1.0)) < _INVARIANT:
        value, says = 0.0, "It ignores the learning-rate schedule: its steps do not shrink towards the end of training."
    elif np.ptp(slopes) < 0.02:
        value = float(np.mean(slopes))
        if abs(value - 1.0) < 0.02:
            value, says = 1.0, "The update is proportional to the schedule."
        else:
            says = f"The update is proportional to schedule^{value:.2g}: give the controls this schedule too."
    else:
        says = f"The schedule is reshaped: at half its value the update is {relative[-2]:.3g} times as large."
    title = "update (at 1: 1)"
    return Probe("schedule", "value of the schedule", title, SCHEDULE, _known(relative), True, value, says)


def _at_rest(program: Program, lanes: int, parameters: int) -> Array:
    """Fixed weights."""
    return np.full((lanes, parameters), fixed_weights(program).weight)


def _relative(updates: Array, one: int) -> tuple[Array, Array]:
    """Sizes of the last updates relative to one lane, and the slopes between lanes on logarithmic axes."""
    with np.errstate(all="ignore"):
        sizes = np.sqrt(np.mean(updates[-10:] ** 2, axis=(0, 2)))
        relative = np.asarray(sizes / sizes[one])
        return relative, np.diff(np.log2(relative))


def _noise(seed: int, steps: int, parameters: int) -> Array:
    """Standard normal gradients, ``(steps, parameters)``."""
    return np.random.default_rng(seed).standard_normal((steps, parameters))


def _gone(response: Array, share: float) -> int | None:
    """Number of steps after which the response stays below a fraction of its peak; None if it does not."""
    last = int(np.flatnonzero(np.abs(response) >= share)[-1])
    return None if last + 1 >= len(response) else last + 1


def _count(value: float) -> str:
    """Formats a number of things for people: three digits, but no powers of ten."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100.0 else f"{value:.3g}"


def _known(values: Array) -> tuple[float | None, ...]:
    return tuple(float(value) if math.isfinite(value) else None for value in values)
