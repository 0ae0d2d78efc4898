"""User-defined tasks: a small class, or a function that returns an instance, referenced as ``module:object``.

    class Line:
        '''A line through noisy points.'''

        batch_size, steps = 16, 200

        def __init__(self):
            self.train, self.validation, self.test = points(0, 256), points(1, 128), points(2, 128)

        def init(self, key):
            return {"slope": jnp.zeros(3)}

        def loss(self, params, batch):
            x, y = batch
            return jnp.mean((x @ params["slope"] - y) ** 2)

A split is any object with ``__len__`` and ``__getitem__``: a list, an array, a grain or TFDS data source, a Hugging
Face data set. Its examples are arrays, or tuples or dictionaries of arrays and numbers, all with the same structure. A
batch has the same structure with an additional leading axis. All examples are read into memory and validated on import,
so that invalid data or an invalid loss is reported before any training.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from optsearch.proxy_tasks.arithmetic import multiply_adds
from optsearch.proxy_tasks.datasets.dataset import Arrays, Dataset, digest_of
from optsearch.proxy_tasks.imported import Imported, blamed, imported
from optsearch.proxy_tasks.objectives import Batch
from optsearch.proxy_tasks.task import RUNGS, Task, TaskError

if TYPE_CHECKING:
    import jax

    from optsearch.proxy_tasks.models.model import Model, Params

SPLITS = ("train", "validation", "test")

EXAMPLE = "my_tasks:Spirals"

INT32 = np.iinfo(np.int32)

MIXING = 2_654_435_761
"""Odd factor whose powers weigh the places of examples in `batch_key`."""

NEEDED = (*SPLITS, "batch_size", "steps", "init", "loss")
"""Required attributes of a task object.

``loss`` may take a key as its third argument, which is None outside training. Optional are a docstring,
``accuracy(params, batch)``, and ``trivial_loss``, the test loss of a predictor that ignores its input: `evaluate` marks
results that are no better.
"""


def own_task(reference: str) -> Task:
    """Imports a user-defined task.

    Args:
        reference: ``module:object``; the module is searched in the working folder and on Python's path.

    Returns:
        A task that can be used in a search, named after the object.

    Raises:
        TaskError: the module or object does not exist, the object is not a task, or its data, parameters or loss are
            invalid, or the user's code raises an exception; the message names the line.
    """
    return task_of(imported(reference, error=TaskError, example=EXAMPLE), reference)


def task_of(found: Imported, reference: str) -> Task:
    """Makes a task of a user's object.

    Args:
        found: a task object, or a function that returns one.
        reference: its ``module:object``, for messages and as the name of its data.

    Raises:
        TaskError: as for `own_task`.
    """
    with blamed(reference, found.folder, TaskError):
        return _made(found, reference)


def _made(found: Imported, reference: str) -> Task:
    name, made = found.name, found.made
    if callable(made) and not isinstance(made, Task):
        made = made()
    if isinstance(made, Task):
        task = replace(made, name=name, family=name, rung=RUNGS[0], code=found.code)
        _check_data(task)
        return task
    missing = [needed for needed in NEEDED if not hasattr(made, needed)]
    if missing:
        raise TaskError(
            f"import {reference}: it has no {', '.join(missing)}; a task has {', '.join(NEEDED)} "
            "(docs/tasks.md has an example)"
        )
    try:
        task = _task(name, made, reference, found.code)
        _check_data(task)
        _check_shapes(task)
    except TaskError as error:
        raise TaskError(f"import {reference}: {error}") from error
    return task


def _task(name: str, made: Any, reference: str, code: str) -> Task:
    data = _Data(made, reference)
    return Task(
        name=name,
        description=(inspect.getdoc(made) or f"{reference}.").splitlines()[0],
        dataset=lambda: data.dataset,
        model=OwnModel(made, data),
        objective=_OwnObjective(hasattr(made, "accuracy"), _trivial(made)),
        batch_size=made.batch_size,
        steps=made.steps,
        use="search",
        family=name,
        rung=RUNGS[0],
        code=code,
    )


def _trivial(made: Any) -> float | None:
    """The loss of a trivial predictor that an object declares; None if it declares none."""
    value = getattr(made, "trivial_loss", None)
    if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
        raise TaskError(f"trivial_loss is {value!r}; it must be a finite number, the test loss of a trivial predictor")
    return None if value is None else float(value)


def _check_data(task: Task) -> None:
    """Raises if the data contain non-finite numbers; reading them raises for all other errors."""
    for name, columns in zip(SPLITS, task.data.splits, strict=True):
        if not all(np.isfinite(column).all() for column in columns):
            raise TaskError(f"{name} has a number that is not finite in float32")


def _check_shapes(task: Task) -> None:
    """Raises if parameters are not float32 or the loss is not a scalar, without computing anything."""
    import jax

    params = jax.eval_shape(task.init, jax.random.key(0))
    leaves = jax.tree.leaves(params)
    if not leaves or any(leaf.dtype != np.float32 for leaf in leaves):
        found = ", ".join(sorted({str(leaf.dtype) for leaf in leaves})) or "nothing"
        raise TaskError(f"init returns {found}; the parameters must be arrays of float32")
    batch = tuple(jax.ShapeDtypeStruct((task.batch_size, *c.shape[1:]), c.dtype) for c in task.data.train)
    if (shape := jax.eval_shape(task.loss, params, batch).shape) != ():
        raise TaskError(f"loss returns an array of shape {shape}; it must be one number")
    jax.eval_shape(task.accuracy, params, batch)


class _Data:
    """The user's splits as arrays, read once; raises a ``TaskError`` if they are invalid."""

    def __init__(self, made: Any, reference: str):
        self._made, self._reference = made, reference

    @cached_property
    def structure(self) -> Any:
        """Pytree structure of an example."""
        import jax

        return jax.tree.structure(self._made.train[0])

    @cached_property
    def dataset(self) -> Dataset:
        """The splits as a data set; an example that occurs in two splits counts as a leak."""
        train, validation, test = (self._columns(name) for name in SPLITS)
        arrays = {
            f"{name} {i}": column
            for name, columns in zip(SPLITS, (train, validation, test), strict=True)
            for i, column in enumerate(columns)
        }
        a, b, c = map(_names, (train, validation, test))
        digest = digest_of(arrays, "own 1")
        if self.is_keyed:
            train = (*train, np.arange(len(train[0]), dtype=np.int32))
            validation, test = ((*split, np.full(len(split[0]), -1, np.int32)) for split in (validation, test))
        return Dataset(self._reference, train, validation, test, digest, (a, b, c), (digest,))

    @cached_property
    def is_keyed(self) -> bool:
        """True if the loss takes a key as its third argument.

        The splits then have another column, from which keys are derived: the number of an example of the training
        split, and -1 in the others.
        """
        return len(inspect.signature(self._made.loss).parameters) > 2

    def _columns(self, name: str) -> Arrays:
        import jax

        split: Any = getattr(self._made, name)
        scalar = isinstance(split, np.ndarray) and split.ndim == 0
        if scalar or not hasattr(split, "__len__") or not hasattr(split, "__getitem__"):
            raise TaskError(f"{name} has no __len__ and __getitem__")
        if isinstance(split, tuple | Mapping):
            kind = "a tuple" if isinstance(split, tuple) else "a mapping"
            raise TaskError(f"{name} is {kind}; give examples, such as list(zip(x, y))")
        if not len(split):
            raise TaskError(f"{name} is empty")
        if isinstance(split, np.ndarray):
            return (self._column(name, split),)
        leaves: list[list[Any]] = []
        for index in range(len(split)):
            example: Any = split[index]
            form = jax.tree.structure(example)
            if form != self.structure:
                raise TaskError(f"{name}[{index}] has the structure {form}, but train[0] has {self.structure}")
            leaves.append(jax.tree.leaves(example))
        if not leaves[0]:
            raise TaskError(f"{name} has examples without numbers: {split[0]!r}")
        return tuple(self._column(name, list(column)) for column in zip(*leaves, strict=True))

    def _column(self, name: str, values: Any) -> np.ndarray:
        try:
            array = np.stack([np.asarray(value) for value in values])
        except ValueError as error:
            raise TaskError(f"the examples of {name} differ in shape: {error}") from error
        if array.size == 0:
            raise TaskError(f"{name} has examples without numbers, of shape {array.shape[1:]}")
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):  # overflow gives infinity, which is rejected later
                return array.astype(np.float32)
        if array.dtype.kind in "iub":
            for value in (array.min(), array.max()):
                if not INT32.min <= value <= INT32.max:
                    raise TaskError(
                        f"{name} holds {value}, but whole numbers are kept as int32, from {INT32.min} to {INT32.max}"
                    )
            return array.astype(np.int32)
        raise TaskError(f"{name} holds {array.dtype}, not numbers")


def _names(columns: Arrays) -> np.ndarray:
    """A hash of each example's bytes, int64 [examples, 1]."""
    rows = [np.ascontiguousarray(column).reshape(len(column), -1).view(np.uint8) for column in columns]
    joined = np.concatenate(rows, axis=1)
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in joined]
    return np.frombuffer(b"".join(digests), np.int64)[:, None]


def batch_key(places: Any) -> jax.Array:
    """A key for a training batch, which follows from the examples in it and their order.

    The seed of a run draws the batches, so keys differ between steps and seeds, and a repeated run has the same ones.

    Args:
        places: numbers of the examples in the training split, int32 [batch].
    """
    import jax
    import jax.numpy as jnp

    factors = np.cumprod(np.full(places.shape[0], MIXING, np.uint32), dtype=np.uint32)
    return jax.random.key(jnp.sum((places.astype(jnp.uint32) + 1) * factors))


@dataclass(frozen=True)
class OwnModel:
    """A model whose output is the user's loss.

    Attributes:
        made: the user's object.
        data: its splits.
    """

    made: InitVar[Any]
    data: InitVar[_Data]

    def __post_init__(self, made: Any, data: _Data) -> None:
        object.__setattr__(self, "_made", made)
        object.__setattr__(self, "_data", data)

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self._count

    @cached_property
    def _count(self) -> int:
        import jax

        return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(self.init, jax.random.key(0))))

    @property
    def multiply_adds(self) -> int:
        """Those of the products in the user's loss, for each example of a batch; at least one per parameter."""
        return max(self.parameters, self._products)

    @cached_property
    def _products(self) -> int:
        import jax

        batch, columns = self.__dict__["_made"].batch_size, self.__dict__["_data"].dataset.train
        examples = tuple(jax.ShapeDtypeStruct((batch, *column.shape[1:]), column.dtype) for column in columns)
        return (
            multiply_adds(
                self._keyed_loss if self.is_keyed else self.apply,
                jax.eval_shape(self.init, jax.random.key(0)),
                examples,
            )
            // batch
        )

    def init(self, key: jax.Array) -> Params:
        """The user's initial parameters."""
        import jax

        params = self._call("init", key)
        for leaf in jax.tree.leaves(params):
            if not isinstance(leaf, jax.Array | np.ndarray | np.generic | float | int):
                raise TaskError(
                    f"init returns {leaf!r} among the parameters, which is no array: keep functions and settings out "
                    "of them, such as those of an Equinox module with eqx.partition(model, eqx.is_array)"
                )
        return params

    def apply(self, params: Params, inputs: Any) -> jax.Array:
        """The user's loss on a batch; a loss that takes a key gets one for training batches, and None for others."""
        import jax.numpy as jnp
        from jax import lax

        batch = self._batch(inputs)
        if not self.is_keyed:
            return self._call("loss", params, batch)
        return lax.cond(
            inputs[-1][0] >= 0,
            lambda: jnp.asarray(self._keyed_loss(params, inputs), jnp.float32),
            lambda: jnp.asarray(self._call("loss", params, batch, None), jnp.float32),
        )

    @property
    def is_keyed(self) -> bool:
        """True if the user's loss takes a key."""
        return self.__dict__["_data"].is_keyed

    def _keyed_loss(self, params: Params, inputs: Any) -> jax.Array:
        return self._call("loss", params, self._batch(inputs), batch_key(inputs[-1]))

    def accuracy(self, params: Params, inputs: Any) -> jax.Array:
        """The user's accuracy on a batch."""
        return self._call("accuracy", params, self._batch(inputs))

    def _batch(self, columns: Batch) -> Any:
        import jax

        data: _Data = self.__dict__["_data"]
        return jax.tree.unflatten(data.structure, columns[: len(columns) - data.is_keyed])

    def _call(self, method: str, *arguments: Any) -> Any:
        call: Callable[..., Any] = getattr(self.__dict__["_made"], method)
        return call(*arguments)


@dataclass(frozen=True)
class _OwnObjective:
    """The objective defined by a user's object."""

    has_accuracy: bool
    trivial_loss: float | None = None
    name: str = "own"
    passes: int = 1

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        import jax.numpy as jnp

        inputs: Any = batch
        return jnp.asarray(model.apply(params, inputs))

    def trivial(self, train: Arrays, test: Arrays) -> float | None:
        return self.trivial_loss

    def accuracy(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        import jax.numpy as jnp

        if isinstance(model, OwnModel) and self.has_accuracy:
            return model.accuracy(params, batch)
        return jnp.float32(jnp.nan)
