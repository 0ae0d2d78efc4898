"""What a task is: a model, data, a loss, a batch size and a number of steps.

Fitness is a pure function of (program, task version, seed); the version hashes everything here that can change it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np

from optsearch.dsl.errors import UserError
from optsearch.proxy_tasks.datasets import Dataset
from optsearch.proxy_tasks.models import Model, Params
from optsearch.proxy_tasks.objectives import Batch, Objective

if TYPE_CHECKING:
    import jax

TRAINING_VERSION = 1
"""Raised whenever the trainer, the models or the losses change what a run gives."""

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises to its peak of 1."""

CHECKPOINTS = 10
"""Number of checkpoints of a run, evenly spaced; the last is the last step."""


RUNGS = ("proxy", "x10", "x100")
"""Rungs of a ladder: the proxy, and ten and a hundred times its compute."""


Use = Literal["search", "set", "held out"]
"""What a task is for."""


class TaskError(UserError, LookupError):
    """There is no task of that name, or it cannot be used as asked."""


class Start(Protocol):
    """Where initial parameters come from when the model does not draw them."""

    @property
    def version(self) -> str:
        """Changes whenever the parameters do."""
        ...

    def weights(self) -> Params:
        """The parameters, for any seed."""
        ...


@dataclass(frozen=True)
class Task:
    """A training problem for optimizers.

    Attributes:
        name: as users write it.
        description: one sentence.
        dataset: gives the data; called when they are first needed.
        model: the network.
        objective: the loss.
        batch_size: examples a step.
        steps: optimizer steps of a run.
        use: what it is for: ``search``; ``set``, searches of several tasks, beside one that is for search; or
            ``held out``, evaluation alone.
        family: tasks of one kind, from small to large.
        rung: place in the family: ``proxy``, ``x10``, ``x100``, or another number of times the proxy's compute.
        start: where every seed starts from; None when each draws its own initial parameters from the model.
        code: sha256 of the user's file that makes the task; empty for a task that ships.

    Raises:
        TaskError: a run of so few steps has no ``CHECKPOINTS``, or the batch size is below 1.
    """

    name: str
    description: str
    dataset: Callable[[], Dataset]
    model: Model
    objective: Objective
    batch_size: int
    steps: int
    use: Use
    family: str
    rung: str
    start: Start | None = None
    code: str = ""

    def __post_init__(self) -> None:
        for setting, least, why in (
            ("batch_size", 1, ""),
            ("steps", CHECKPOINTS, f", since a run has {CHECKPOINTS} checkpoints"),
        ):
            value = getattr(self, setting)
            if not isinstance(value, int) or value < least:
                raise TaskError(
                    f"task '{self.name}': {setting} is {value!r}; it must be a whole number of {least} or more{why}"
                )

    @property
    def parameters(self) -> int:
        """Number of parameters of the model."""
        return self.model.parameters

    @property
    def compute(self) -> int:
        """Multiply-adds of a run: forward and backward passes (three times the forward pass) over all batches."""
        return 3 * self.objective.passes * self.model.multiply_adds * self.batch_size * self.steps

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Steps after which the running training loss is noted and hurdles are checked."""
        return tuple(round(self.steps * part / CHECKPOINTS) for part in range(1, CHECKPOINTS + 1))

    @cached_property
    def data(self) -> Dataset:
        """The data, loaded on first use.

        Raises:
            TaskError: there are fewer training examples than a batch has.
        """
        data = self.dataset()
        if (examples := len(data.train[0])) < self.batch_size:
            raise TaskError(
                f"task '{self.name}': train has {examples} examples, fewer than a batch of {self.batch_size}"
            )
        return data

    @cached_property
    def version(self) -> str:
        """16 hex digits that change whenever data, settings or the meaning of a run change."""
        settings: dict[str, Any] = {
            "data": self.data.digest,
            "model": [type(self.model).__name__, asdict(cast(Any, self.model))],
            "objective": self.objective.name,
            "batch_size": self.batch_size,
            "steps": self.steps,
            "warm_up": WARM_UP,
            "training": TRAINING_VERSION,
        }
        if self.start is not None:
            settings["start"] = self.start.version
        if self.code:
            settings["code"] = self.code
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def schedule(self) -> np.ndarray:
        """Learning rate of each step, float32 [steps]: linear warm-up to 1, then half a cosine down towards 0.

        The first step already moves and so does the last: values lie in (0, 1].
        """
        warm = max(1, round(self.steps * WARM_UP))
        step = np.arange(self.steps)
        cosine = 0.5 * (1.0 + np.cos(np.pi * (step - warm + 1) / (self.steps - warm + 1)))
        return np.where(step < warm, (step + 1) / warm, cosine).astype(np.float32)

    def init(self, key: jax.Array) -> Params:
        """Initial parameters, a pytree of float32 arrays."""
        return self.model.init(key) if self.start is None else self.start.weights()

    def loss(self, params: Params, batch: Batch) -> jax.Array:
        """Mean loss over a batch, a scalar."""
        return self.objective.loss(self.model, params, batch)

    def accuracy(self, params: Params, batch: Batch) -> jax.Array:
        """Share of right answers in a batch, a scalar; not a number when the task has none."""
        return self.objective.accuracy(self.model, params, batch)

    def order(self, key: jax.Array) -> jax.Array:
        """Examples of each batch: int32 [steps, batch_size], epoch after epoch, each in a new random order.

        The rest of an epoch that fills no batch is left out.
        """
        import jax
        import jax.numpy as jnp

        examples = len(self.data.train[0])
        batches = examples // self.batch_size
        epochs = -(-self.steps // batches)
        orders = jax.vmap(lambda k: jax.random.permutation(k, examples))(jax.random.split(key, epochs))
        full = orders[:, : batches * self.batch_size].reshape(epochs * batches, self.batch_size)
        return full[: self.steps].astype(jnp.int32)
