"""Every row of the table is an optimizer that trains, with one compilation for all values of its arguments."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest

from optsearch.proxy_tasks.outcome import Outcome
from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.trainer import Trainer
from optsearch.selection.baselines.table import BASELINES, FAMILIES, Baseline, BaselineError, get_baseline
from optsearch.selection.contender import TrainingJob, baseline, run_job
from optsearch.selection.problem import Problem
from optsearch.selection.space import BETA, DECAY, EPS, RATE

TARGET = {"b": jnp.ones(3), "k": jnp.full((2, 2, 3), 2.0), "w": jnp.full((3, 3), -1.0)}
START = jax.tree.map(lambda leaf: 0.5 * jnp.ones_like(leaf), TARGET)

Values = dict[str, jax.Array]
Weights = dict[str, jax.Array]

every_row = pytest.mark.parametrize("name", BASELINES)
FEW = ("adamw", "schedule-free", "soap")
"""Rows that the default suite trains on a task; ``slow`` trains all."""


def loss(params: Weights) -> jax.Array:
    return sum((jnp.sum((params[key] - TARGET[key]) ** 2) for key in TARGET), start=jnp.zeros(()))


def descend(row: Baseline, values: Values | None, noise: jax.Array, rate: float = 1.1) -> Weights:
    """The weights at which the optimizer is evaluated after 30 steps, with gradients that noise makes turn."""
    optimizer = row.optimizer(lambda count: rate * row.reference * jnp.ones(()), values)

    def step(number: jax.Array, carry: tuple[Weights, optax.OptState]) -> tuple[Weights, optax.OptState]:
        params, state = carry
        gradient = jax.tree.map(
            lambda leaf: leaf + noise * jnp.cos(1.3 * number + jnp.arange(float(leaf.size)).reshape(leaf.shape)),
            jax.grad(loss)(params),
        )
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state  # pyright: ignore[reportReturnType]

    weights, state = jax.lax.fori_loop(0, 30, step, (START, optimizer.init(START)))
    return row.evaluated(weights, state) if row.evaluated else weights


def defaults(row: Baseline) -> Values:
    return {key: jnp.float32(value) for key, value in row.arguments.items()}


@every_row
def test_a_baseline_descends_whatever_its_arguments_with_one_compilation(name: str) -> None:
    row, traces = BASELINES[name], list[str]()

    @jax.jit
    def train(values: Values, noise: jax.Array) -> Weights:
        traces.append(name)
        return descend(row, values, noise)

    own, kinds = defaults(row), {dimension.name: dimension for dimension in row.space()}
    none, some = jnp.float32(0.0), jnp.float32(5.0)
    assert loss(train(own, none)) < loss(START)
    reached = train(own, some)
    for key, value in own.items():
        other = {BETA: 0.5 * value + 0.2, EPS: 10.0}.get(kinds[key].kind, 20.0 * value + 1.0)
        changed = train(own | {key: jnp.float32(other)}, some)
        assert not jax.tree.all(jax.tree.map(jnp.array_equal, reached, changed)), key
    ends = [train({key: jnp.float32(kinds[key].at(share)) for key in own}, some) for share in (0.0, 1.0)]
    assert all(leaf.shape == START[key].shape for end in ends for key, leaf in end.items())
    assert traces == [name]


CONTAINED = [(name, other) for name, row in BASELINES.items() for other in row.contains]


@pytest.mark.parametrize(("name", "other"), CONTAINED)
def test_what_a_baseline_contains_it_can_be(name: str, other: str) -> None:
    mine, theirs = BASELINES[name], BASELINES[other]
    further = mine.contains[other]
    assert set(mine.arguments) == {*theirs.arguments, *further}
    noise, share = jnp.float32(1.0), theirs.reference / mine.reference
    one = jax.jit(lambda: descend(mine, defaults(theirs) | dict(further), noise, share))()
    two = jax.jit(lambda: descend(theirs, None, noise, 1.0))()
    assert jax.tree.all(jax.tree.map(lambda a, b: jnp.allclose(a, b, rtol=1e-4), one, two))


def test_every_family_has_members() -> None:
    assert {row.family for row in BASELINES.values()} == set(FAMILIES)
    assert {row.schedule for row in BASELINES.values() if row.evaluated} == {"constant"}


def job(name: str, values: dict[str, float]) -> TrainingJob:
    return TrainingJob(baseline(name), Problem("digits"), tuple(values.items()), seed=5)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in FEW else pytest.mark.slow) for n in BASELINES])
def test_a_baseline_trains_on_a_task_and_fails_as_an_outcome(name: str) -> None:
    row = BASELINES[name]
    usual = run_job(job(name, {RATE: row.reference})).result
    assert usual.loss is not None
    assert usual.loss < 2.25, "not below the loss of guessing among ten digits"
    for share in (0.0, 1.0):
        values = {dimension.name: dimension.at(share) for dimension in row.space()}
        assert run_job(job(name, values)).result.outcome in (Outcome.OK, Outcome.NON_FINITE)


def test_the_trainer_compiles_a_baseline_once() -> None:
    trainer, row = Trainer(get_task("ae")), BASELINES["adamw"]

    def make(schedule: optax.Schedule) -> optax.GradientTransformation:
        return row.optimizer(schedule, {key: schedule(300 + place) for place, key in enumerate(row.arguments)})

    results = [trainer.run_optax(make, 0, rate=1e-3, values=[decay, 0.9, 0.999, 1e-8]) for decay in (0.0, 0.1, 10.0)]
    assert len({result.loss for result in results}) == 3
    assert trainer.compilations == 1


def test_numbers_that_tuning_leaves_alone_are_named() -> None:
    assert BASELINES["adamw"].untuned() == ("eps_root = 0",)
    assert BASELINES["adamw"].untuned(constants=False) == ("b1 = 0.9", "b2 = 0.999", "eps = 1e-08", "eps_root = 0")
    assert BASELINES["lookahead"].untuned() == ("eps_root = 0", "period = 5", "slow step = 0.5")
    assert BASELINES["soap"].untuned() == ("precondition_frequency = 10", "max_dim = 10000", "shampoo_beta = b2")
    assert "ns_steps = 5" in BASELINES["muon"].untuned()
    assert BASELINES["sgd"].untuned() == ()


@every_row
def test_numbers_of_the_signature_are_tuned_or_named(name: str) -> None:
    row = BASELINES[name]
    told = {text.split(" = ")[0] for text in row.untuned()}
    assert told.isdisjoint(row.arguments)
    assert {dimension.name for dimension in row.space()} == {RATE, *row.arguments}
    if DECAY in row.arguments:
        assert {RATE, DECAY} <= {dimension.name for dimension in row.space(constants=False)}


def test_names_in_any_capitals_and_the_nearest_one_otherwise() -> None:
    assert get_baseline("AdamW") is BASELINES["adamw"]
    assert get_baseline("Schedule-Free").schedule == "constant"
    with pytest.raises(BaselineError, match="unknown baseline 'adamv': did you mean 'adam"):
        get_baseline("adamv")
