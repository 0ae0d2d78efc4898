"""Checkpoints for fine-tuning: trained on first use, then stored in the user's cache.

A checkpoint is a pure function of its task and settings, so it is never downloaded. A missing, damaged or outdated file
is trained again. A file is written under a temporary name and renamed, so that processes that train the same checkpoint
concurrently always find or write a complete file.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optsearch.proxy_tasks.compilation import cache_folder, pinned_settings, prepare_process
from optsearch.proxy_tasks.machine import made_on
from optsearch.proxy_tasks.task import Task

if TYPE_CHECKING:
    from optsearch.proxy_tasks.models.model import Params

FORMAT = 3
"""Incremented when the training of a checkpoint, or its file format, changes."""

ADAMW: dict[str, Any] = {"b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 0.01}
"""Hyperparameters of the optimizer."""

SEED = 0
"""Seed of initial weights and batches."""

DIGEST_BYTES = 32
"""Length of the sha256 digest at the start of a file."""


@dataclass(frozen=True)
class Checkpoint:
    """Parameters after training a task with AdamW (``ADAMW``) from ``SEED``.

    Attributes:
        task: the task, which defines the number of steps.
        learning_rate: peak of the learning-rate schedule.
    """

    task: Task
    learning_rate: float

    @property
    def version(self) -> str:
        """16 hex digits that change with the task or with the training settings."""
        return _digest(f"checkpoint {FORMAT} {self.task.version} {self.learning_rate!r} {ADAMW} {SEED}")

    @property
    def origins(self) -> frozenset[str]:
        """Names of the material on which the parameters were trained."""
        return self.task.origins

    @property
    def path(self) -> Path:
        """Path of the file; distinct per machine, environment and package versions, because these affect rounding."""
        return cache_folder() / "checkpoints" / f"{self.task.family}-{self.version}-{_digest(made_on())}.npz"

    def weights(self) -> Params:
        """The parameters as numpy arrays, loaded from the cache or trained now."""
        import jax

        structure = jax.tree.structure(jax.eval_shape(self.task.model.init, jax.random.key(0)))
        return jax.tree.unflatten(structure, self._leaves)

    @cached_property
    def _leaves(self) -> list[np.ndarray]:
        leaves = self._read()
        if leaves is None:
            leaves = self._train()
            self._write(leaves)
        return leaves

    def _read(self) -> list[np.ndarray] | None:
        try:
            content = self.path.read_bytes()
        except OSError:
            return None
        digest, rest = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if hashlib.sha256(rest).digest() != digest:
            return None
        with np.load(io.BytesIO(rest), allow_pickle=False) as archive:
            return [archive[f"arr_{number}"] for number in range(len(archive.files))]

    def _write(self, leaves: list[np.ndarray]) -> None:
        """Stores the parameters; if the cache is not writable, the next process trains again."""
        content = io.BytesIO()
        np.savez(content, *leaves)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.stem)
        except OSError:
            return
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(content.getvalue()).digest() + content.getvalue())
            os.replace(name, self.path)
        except OSError:
            Path(name).unlink(missing_ok=True)

    def _train(self) -> list[np.ndarray]:
        """Trains now, even inside a caller's trace."""
        import jax
        import jax.numpy as jnp
        import optax
        from jax import lax

        prepare_process()
        task = self.task

        def trained(train: Any) -> Any:
            first, second = jax.random.split(jax.random.key(SEED))
            rates, order = jnp.asarray(self.learning_rate * task.schedule()), task.order(second)
            optimizer = optax.adamw(lambda count: rates[count], **ADAMW)

            def step(number: Any, carry: Any) -> Any:
                params, state = carry
                gradient = jax.grad(task.loss)(params, tuple(array[order[number]] for array in train))
                updates, state = optimizer.update(gradient, state, params)
                return optax.apply_updates(params, updates), state

            params = task.init(first)
            return lax.fori_loop(0, task.steps, step, (params, optimizer.init(params)))[0]

        with pinned_settings():  # compiled ahead of time: a call inside a caller's trace would be traced too
            compiled = jax.jit(trained).lower(task.data.train).compile()
            return [np.asarray(leaf) for leaf in jax.tree.leaves(compiled(task.data.train))]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
