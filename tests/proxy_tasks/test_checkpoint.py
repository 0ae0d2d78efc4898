"""Checkpoints are created once, stored intact, and recreated if missing or damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from optsearch.proxy_tasks.checkpoint import ADAMW, Checkpoint
from optsearch.proxy_tasks.registry import get_task


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Checkpoint]:
    """The same checkpoint as another process would see it."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    return lambda: Checkpoint(replace(get_task("quadratic"), steps=20), 1e-3)


def leaves(checkpoint: Checkpoint) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(checkpoint.weights())]


def test_what_is_kept_is_what_was_trained(make: Callable[[], Checkpoint]) -> None:
    trained = leaves(make())
    initial = jax.tree.leaves(jax.eval_shape(get_task("quadratic").init, jax.random.key(0)))
    assert [leaf.shape for leaf in trained] == [leaf.shape for leaf in initial]
    content = make().path.read_bytes()
    assert [path.name for path in make().path.parent.iterdir()] == [make().path.name]
    for mine, kept in zip(trained, leaves(make()), strict=True):
        np.testing.assert_array_equal(mine, kept)
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 1
    make().path.write_bytes(damaged)
    for mine, again in zip(trained, leaves(make()), strict=True):
        np.testing.assert_array_equal(mine, again)
    assert make().path.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_no_fault(make: Callable[[], Checkpoint], tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    assert leaves(make())


def test_weights_may_be_asked_for_while_jax_traces(make: Callable[[], Checkpoint]) -> None:
    checkpoint = make()
    shapes = jax.eval_shape(jax.jit(lambda key: checkpoint.weights()), jax.random.key(0))
    assert [leaf.shape for leaf in jax.tree.leaves(shapes)] == [leaf.shape for leaf in leaves(checkpoint)]


def test_machines_and_environments_have_their_own(
    make: Callable[[], Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make()
    path, name = before.path, before.version
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert make().path != path
    assert make().version == name


def test_the_version_follows_what_is_trained(make: Callable[[], Checkpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    one = make()
    name = one.version
    with monkeypatch.context() as changed:
        changed.setitem(ADAMW, "b2", 0.99)
        assert make().version != name
    assert len({one.version, replace(one, learning_rate=2e-3).version, Checkpoint(get_task("ae"), 1e-3).version}) == 3
    finetune = get_task("finetune")
    assert finetune.version != replace(finetune, start=one).version
