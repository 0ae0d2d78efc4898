"""Optimizers of optax without a row, by their signature; those that need more than gradients are refused."""

from __future__ import annotations

import re

import pytest

from optsearch.selection.baselines.table import BaselineError, get_baseline
from optsearch.selection.contender import TrainingJob, baseline, run_job
from optsearch.selection.problem import Problem
from optsearch.selection.space import CONSTANT, RATE


@pytest.mark.parametrize(
    ("name", "reference", "arguments", "untuned"),
    [
        ("LARS", 1e-3, {"weight_decay": 0.0, "trust_coefficient": 1e-3, "eps": 0.0, "momentum": 0.9}, ()),
        ("dadapt_adamw", 1.0, {"b1": 0.9, "b2": 0.999, "eps": 1e-8, "estim_lr0": 1e-6, "weight_decay": 0.0}, ()),
        ("dog", 1.0, {"eps": 1e-8, "weight_decay": 0.0}, ("init_step_2 = 1e-06",)),
        ("cocob", 1.0, {"alpha": 100.0, "eps": 1e-8, "weight_decay": 0.0}, ()),
        ("galore", 1e-3, {"scale": 1.0, "weight_decay": 0.0}, ("rank = 128", "update_proj_gap = 200")),
        ("adadelta", 1e-3, {"rho": 0.9, "eps": 1e-6, "weight_decay": 0.0}, ()),
    ],
)
def test_the_signature_declares_reference_and_arguments(
    name: str, reference: float, arguments: dict[str, float], untuned: tuple[str, ...]
) -> None:
    row = get_baseline(name)
    assert (row.name, row.reference, row.arguments, row.untuned()) == (name.lower(), reference, arguments, untuned)
    assert [dimension.name for dimension in row.space()] == [RATE, *arguments]


def test_a_number_outside_the_range_of_its_kind_is_a_constant() -> None:
    kinds = {dimension.name: dimension.kind for dimension in get_baseline("optimistic_adam_v2").space()}
    assert (kinds["beta"], kinds["b1"]) == (CONSTANT, "beta")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lbfgs", "it needs more than gradients, weights and a schedule: 'value', 'grad', and 'value_fn'"),
        ("momo", "it needs more than gradients, weights and a schedule: 'value'"),
        ("sophia", "a step with gradients, weights and a schedule fails: obj_fn must be provided"),
        ("polyak_sgd", "it has no argument learning_rate, for the schedule"),
        ("dpsgd", "its l2_norm_clip, noise_multiplier and seed have no default"),
        ("noisy_sgd", "it draws random numbers, from its key and seed"),
        ("schedule_free", "its base_optimizer has no default"),
        ("sm3", "its learning rate cannot be a schedule"),
    ],
)
def test_what_needs_more_than_gradients_is_refused(name: str, message: str) -> None:
    with pytest.raises(BaselineError, match=f"^optax's '{name}' cannot be a baseline: {re.escape(message)}"):
        get_baseline(name)


@pytest.mark.parametrize("name", ["chain", "apply_updates", "scale_by_adam", "_src", "__doc__"])
def test_other_functions_of_optax_are_no_baselines(name: str) -> None:
    with pytest.raises(BaselineError, match=f"unknown baseline '{name}'"):
        get_baseline(name)


def test_schedule_free_optimizers_are_evaluated_at_their_average() -> None:
    row = get_baseline("schedule_free_sgd")
    assert (row.reference, row.schedule, row.evaluated is None) == (1.0, "constant", False)
    assert get_baseline("dadapt_adamw").evaluated is None


def test_an_optimizer_by_name_trains_with_a_value_for_every_number() -> None:
    contender = baseline("dadapt_adamw")
    usual, other = (
        run_job(TrainingJob(contender, Problem("digits", 128), ((RATE, 1.0), ("b1", b1)), 5)).result.loss
        for b1 in (0.9, 0.5)
    )
    assert usual is not None
    assert usual != other
