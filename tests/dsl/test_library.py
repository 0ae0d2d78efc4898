"""Library optimizers train as the optax optimizers of the same name."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib._muon import orthogonalize_via_newton_schulz

from optsearch.dsl.library import DESCRIPTIONS, LIBRARY
from optsearch.dsl.program import Program, ProgramError
from optsearch.dsl.syntax import format, parse
from optsearch.dsl.transform import to_transformation

STEPS = 20
RATE = 0.1


def uncorrected(step: jax.Array) -> jax.Array:
    """What takes Adam's bias correction out again: the library's programs do not correct."""
    t = step + 1.0
    return (1.0 - 0.9**t) / jnp.sqrt(1.0 - 0.999**t)


def ema() -> optax.GradientTransformation:
    return optax.ema(0.9, debias=False)


def orthogonal() -> optax.GradientTransformation:
    """Orthogonal matrices by optax's iteration, with a root mean square of 1; vectors are divided by theirs."""
    iteration = jnp.array([3.4445, -4.775, 2.0315])

    def of(x: jax.Array) -> jax.Array:
        if x.ndim < 2:
            return x / jnp.sqrt(jnp.mean(x**2))
        matrix = x.reshape(-1, x.shape[-1])
        size = jnp.sqrt(max(matrix.shape))
        return (size * orthogonalize_via_newton_schulz(matrix, iteration, 5, eps=0.0)).reshape(x.shape)

    return optax.stateless(lambda updates, _: jax.tree.map(of, updates))


def nesterov_average(decay: float) -> optax.GradientTransformation:
    """An exponential moving average that looks ahead, as Muon's authors and PyTorch write it, without correction."""

    def update(updates: optax.Updates, state: optax.Updates, params: object = None) -> tuple[object, optax.Updates]:
        del params
        state = jax.tree.map(lambda g, m: (1.0 - decay) * g + decay * m, updates, state)
        return jax.tree.map(lambda g, m: (1.0 - decay) * g + decay * m, updates, state), state

    return optax.GradientTransformation(lambda params: jax.tree.map(jnp.zeros_like, params), update)


def factored() -> optax.GradientTransformation:
    """Adafactor's step from its paper, on arrays as matrices: optax's has a decay that depends on the step."""

    def matrix(x: jax.Array) -> jax.Array:
        return x.reshape(-1, x.shape[-1]) if x.ndim else x.reshape(1, 1)

    def init(params: optax.Params) -> tuple[object, object]:
        rows = jax.tree.map(lambda p: jnp.zeros(matrix(p).shape[0]), params)
        return rows, jax.tree.map(lambda p: jnp.zeros(matrix(p).shape[1]), params)

    def update(updates: optax.Updates, state: tuple[object, object], params: optax.Params) -> tuple[object, object]:
        rows = jax.tree.map(lambda g, r: 0.001 * jnp.mean(matrix(g) ** 2, axis=1) + 0.999 * r, updates, state[0])
        columns = jax.tree.map(lambda g, c: 0.001 * jnp.mean(matrix(g) ** 2, axis=0) + 0.999 * c, updates, state[1])

        def step(w: jax.Array, g: jax.Array, r: jax.Array, c: jax.Array) -> jax.Array:
            change = matrix(g) / jnp.sqrt(jnp.outer(r, c) / jnp.mean(r))
            change = change / jnp.maximum(1.0, jnp.sqrt(jnp.mean(change**2)))
            return (change * jnp.maximum(1e-3, jnp.sqrt(jnp.mean(w**2)))).reshape(w.shape)

        return jax.tree.map(step, params, updates, rows, columns), (rows, columns)

    return optax.GradientTransformation(init, update)


COUNTERPARTS: dict[str, optax.GradientTransformation] = {
    "sgd": optax.sgd(RATE),
    "momentum": optax.sgd(RATE, momentum=0.9),
    "nesterov": optax.sgd(RATE, momentum=0.9, nesterov=True),
    "rmsprop": optax.rmsprop(RATE, decay=0.9, eps=1e-8, eps_in_sqrt=False),
    "adagrad": optax.adagrad(RATE, initial_accumulator_value=0.0, eps=1e-12),
    "adam": optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(uncorrected), optax.scale(-0.001 * RATE)),
    "adamw": optax.chain(
        optax.scale_by_adam(),
        optax.scale_by_schedule(uncorrected),
        optax.add_decayed_weights(0.01),
        optax.scale(-0.001 * RATE),
    ),
    "signum": optax.chain(ema(), optax.scale_by_sign(), optax.scale(-0.0001 * RATE)),
    "lion": optax.lion(0.0001 * RATE, b1=0.9, b2=0.99, weight_decay=0.1),
    "normalized-sgd": optax.chain(optax.normalize_by_update_norm(eps=1e-8), optax.scale(-RATE)),
    "muon": optax.chain(
        nesterov_average(0.95), orthogonal(), optax.add_decayed_weights(0.1), optax.scale(-0.001 * RATE)
    ),
    "adafactor": optax.chain(factored(), optax.scale(-0.01 * RATE)),
    "orthogonal-adamw": optax.chain(
        optax.scale_by_adam(), orthogonal(), optax.add_decayed_weights(0.01), optax.scale(-0.001 * RATE)
    ),
}


def random_tree(rng: np.random.Generator) -> dict[str, object]:
    def leaf(*shape: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    return {"dense": {"kernel": leaf(4, 3), "bias": leaf(3)}, "scales": [leaf(), leaf(2, 1, 2)]}


def trained(optimizer: optax.GradientTransformation, steps: int = STEPS) -> list[jax.Array]:
    """Leaves of a random tree after training on random gradients."""
    rng = np.random.default_rng(0)
    params = random_tree(rng)
    update = jax.jit(optimizer.update)
    state = optimizer.init(params)
    for _ in range(steps):
        updates, state = update(random_tree(rng), state, params)
        params = optax.apply_updates(params, updates)
    return jax.tree.leaves(params)


def difference(one: list[jax.Array], other: list[jax.Array]) -> float:
    return max(float(jnp.max(jnp.abs(a - b))) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", [name for name in LIBRARY if name != "lion-raw"])
def test_matches_its_optax_namesake(name: str) -> None:
    assert difference(trained(to_transformation(LIBRARY[name], RATE)), trained(COUNTERPARTS[name])) <= 1e-6


def test_muon_without_looking_ahead_is_that_of_optax_on_matrices() -> None:
    """Optax corrects the average by a factor, which the step ignores; where it looks ahead, it corrects both parts."""
    program = LIBRARY["muon"]
    program = Program(program.state, tuple(s for s in program.body if str(s) != "update = interp(g, m, 0.95)"))
    program = parse(str(program).replace("orthogonalize(update)", "orthogonalize(m)"))
    theirs = optax.contrib.muon(
        0.001 * RATE,
        beta=0.95,
        nesterov=False,
        weight_decay=0.1,
        consistent_rms=1.0,
        ns_coeffs=(3.4445, -4.775, 2.0315),
    )

    def matrices(optimizer: optax.GradientTransformation) -> list[jax.Array]:
        rng = np.random.default_rng(1)

        def tree() -> list[jax.Array]:
            return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in ((4, 3), (3, 8), (6, 6))]

        params = tree()
        state, update = optimizer.init(params), jax.jit(optimizer.update)
        for _ in range(STEPS):
            updates, state = update(tree(), state, params)
            params = optax.apply_updates(params, updates)
        return params

    assert difference(matrices(to_transformation(program, RATE)), matrices(theirs)) <= 1e-6


def test_the_raw_program_takes_steps_like_a_sign_method() -> None:
    """Of the paper's raw program we know what it simplifies to: sign of a twice interpolated gradient, and decay."""
    one = trained(to_transformation(LIBRARY["lion-raw"], 1.0), steps=1)
    start = jax.tree.leaves(random_tree(np.random.default_rng(0)))
    factor = 0.0002171761734643951
    for before, after in zip(start, one, strict=True):
        moved = (before - after) - 0.4601978361606598 * factor * before
        assert jnp.allclose(jnp.abs(moved), factor, rtol=1e-2)


def test_every_description_has_a_program_and_every_program_is_printed_as_shipped() -> None:
    assert list(LIBRARY) == list(DESCRIPTIONS)
    for name, program in LIBRARY.items():
        assert DESCRIPTIONS[name]
        assert parse(format(program)) == program


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(ProgramError, match="unknown library program 'adamm'; did you mean 'adam"):
        LIBRARY["adamm"]
