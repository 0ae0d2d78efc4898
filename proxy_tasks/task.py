"""Definition of a task: a model, data, a loss, a batch size and a number of steps.

Fitness is a pure function of (program, task version, seed). The version hashes all settings that can change it.
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
from optsearch.proxy_tasks.datasets.dataset import Dataset
from optsearch.proxy_tasks.datasets.package import PackagedData, PackageError
from optsearch.proxy_tasks.models.model import Model, Params
from optsearch.proxy_tasks.objectives import Batch, Objective

if TYPE_CHECKING:
    import jax

TRAINING_VERSION = 1
"""Incremented when the trainer, the models or the losses change the result of a run."""

WARM_UP = 0.05
"""Fraction of the steps over which the learning rate rises to its peak of 1."""

SCHEDULE_WORDS = f"a linear warm-up over {WARM_UP:.0%} of the steps and a cosine decay to 0"
"""The schedule of every task, in words."""

CHECKPOINTS = 10
"""Number of evenly spaced checkpoints of a run; the last one is the last step."""


RUNGS = ("proxy", "x10", "x100")
"""Rungs of a family: the proxy, and ten and a hundred times its compute."""


Use = Literal["search", "set", "held out"]
"""Purpose of a task."""


class TaskError(UserError, LookupError):
    """The task does not exist, or cannot be used as requested."""


class Start(Protocol):
    """Source of initial parameters that the model does not draw."""

    @property
    def version(self) -> str:
        """Changes whenever the parameters change."""
        ...

    @property
    def origins(self) -> frozenset[str]:
        """Names of the material on which the parameters were trained."""
        ...

    def weights(self) -> Params:
        """The parameters, equal for all seeds."""
        ...


@dataclass(frozen=True)
class Task:
    """A training problem for optimizers.

    Attributes:
        name: name of the task.
        description: one sentence.
        dataset: returns the data; called on first use. `PackagedData` for data in an optional package.
        model: the network.
        objective: the loss.
        batch_size: examples per step.
        steps: optimizer steps per run.
        use: purpose: ``search``; ``set`` for searches on several tasks, combined with a task for ``search``; or
            ``held out`` for evaluation only.
        family: tasks of one kind, from small to large.
        rung: place in the family: ``proxy``, ``x10``, ``x100``, or another multiple of the proxy's compute.
        start: source of the initial parameters for all seeds; None if each seed draws its own from the model.
        code: sha256 of the source file of a user-defined task; empty for a shipped task.

    Raises:
        TaskError: there are fewer steps than ``CHECKPOINTS``, or the batch size is less than 1.
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
        """Steps after which the running training loss is recorded and hurdles are checked."""
        return tuple(round(self.steps * part / CHECKPOINTS) for part in range(1, CHECKPOINTS + 1))

    @cached_property
    def data(self) -> Dataset:
        """The data, loaded on first use.

        Raises:
            TaskError: there are fewer training examples than the batch size, or the data come from an optional package
                that is absent or differs from the pinned one.
        """
        try:
            data = self.dataset()
        except PackageError as error:
            raise TaskError(f"task '{self.name}': {error}") from error
        if (examples := len(data.train[0])) < self.batch_size:
            raise TaskError(
                f"task '{self.name}': train has {examples} examples, fewer than a batch of {self.batch_size}"
            )
        return data

    @property
    def packaged(self) -> PackagedData | None:
        """The data, if they come from an optional package, before they are read; None for all others."""
        return self.dataset if isinstance(self.dataset, PackagedData) else None

    def check_package(self) -> None:
        """Checks that the optional package of the data, if there is one, is installed as pinned; builds no data.

        Raises:
            TaskError: the package is absent, has another version, or its files differ.
        """
        if self.packaged:
            try:
                self.packaged.package.read()
            except PackageError as error:
                raise TaskError(f"task '{self.name}': {error}") from error

    @property
    def examples(self) -> tuple[int, int, int]:
        """Number of training, validation and test examples."""
        if self.packaged:
            return self.packaged.examples
        train, validation, test = (len(split[0]) for split in self.data.splits)
        return train, validation, test

    @property
    def epochs(self) -> float:
        """Number of times that a run sees the training split."""
        return self.steps * self.batch_size / self.examples[0]

    @cached_property
    def trivial_loss(self) -> float | None:
        """Test loss of a predictor that ignores its input; None if there is none, or none is known."""
        if self.packaged:
            return self.packaged.trivial_loss
        return self.objective.trivial(self.data.train, self.data.test)

    @property
    def origins(self) -> frozenset[str]:
        """Names of the material that a run sees, that of a pretrained start included."""
        own = (self.packaged or self.data).origin
        return frozenset(own) | (self.start.origins if self.start else frozenset())

    @cached_property
    def version(self) -> str:
        """16 hex digits that change whenever data, settings or the semantics of a run change."""
        settings: dict[str, Any] = {
            "data": (self.packaged or self.data).digest,
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

    def schedule(self, *, decays: bool = True) -> np.ndarray:
        """Learning rate of each step, float32 [steps]: linear warm-up to 1, then cosine decay towards 0.

        All values lie in (0, 1], including the first and the last step.

        Args:
            decays: if False, the rate stays at 1 after the warm-up.
        """
        warm = max(1, round(self.steps * WARM_UP))
        step = np.arange(self.steps)
        cosine = 0.5 * (1.0 + np.cos(np.pi * (step - warm + 1) / (self.steps - warm + 1)))
        return np.where(step < warm, (step + 1) / warm, cosine if decays else 1.0).astype(np.float32)

    def init(self, key: jax.Array) -> Params:
        """Initial parameters, a pytree of float32 arrays."""
        return self.model.init(key) if self.start is None else self.start.weights()

    def loss(self, params: Params, batch: Batch) -> jax.Array:
        """Mean loss over a batch, a scalar."""
        return self.objective.loss(self.model, params, batch)

    def accuracy(self, params: Params, batch: Batch) -> jax.Array:
        """Fraction of correct predictions in a batch, a scalar; NaN if the task has none."""
        return self.objective.accuracy(self.model, params, batch)

    def order(self, key: jax.Array) -> jax.Array:
        """Example indices of each batch: int32 [steps, batch_size], epoch after epoch, each in a new random order.

        Incomplete batches at the end of an epoch are dropped.
        """
        import jax
        import jax.numpy as jnp

        examples = len(self.data.train[0])
        batches = examples // self.batch_size
        epochs = -(-self.steps // batches)
        orders = jax.vmap(lambda k: jax.random.permutation(k, examples))(jax.random.split(key, epochs))
        full = orders[:, : batches * self.batch_size].reshape(epochs * batches, self.batch_size)
        return full[: self.steps].astype(jnp.int32)
