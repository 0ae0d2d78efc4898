"""All tasks by name, in families of three rungs each. A new family is one row of this table.

The proxy of a family has the family's name. The rungs ``-x10`` and ``-x100`` use about ten and a hundred times its
compute, through larger models and more steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from types import MappingProxyType

from optsearch.dsl.errors import UserError
from optsearch.dsl.verify import nearest_name
from optsearch.proxy_tasks import custom_task as own
from optsearch.proxy_tasks import plugins
from optsearch.proxy_tasks.checkpoint import Checkpoint
from optsearch.proxy_tasks.compilation import use_one_cpu_thread
from optsearch.proxy_tasks.datasets import images, synthetic, text
from optsearch.proxy_tasks.datasets.text import SYMBOLS
from optsearch.proxy_tasks.imported import parts
from optsearch.proxy_tasks.ladder import ladder
from optsearch.proxy_tasks.models.convolution import CNN
from optsearch.proxy_tasks.models.model import MLP, WindowMLP
from optsearch.proxy_tasks.models.quadratic import Quadratic
from optsearch.proxy_tasks.models.transformer import Blocks, CharacterTransformer, PatchTransformer
from optsearch.proxy_tasks.objectives import (
    Classification,
    Contrastive,
    MaskedClassification,
    Mean,
    Reconstruction,
    Regression,
)
from optsearch.proxy_tasks.plugins import PlugIn, PlugInError, plug_ins
from optsearch.proxy_tasks.targets.families import TARGETS
from optsearch.proxy_tasks.task import Task, TaskError

_PATCHES, _NOISY, _VIEWS = images.photograph_patches, images.noisy_patches, images.patch_views
_SMALL, _LARGE = partial(images.mnist, 14), partial(images.mnist, 28)
_PLAYS, _MASKED = partial(text.plays, 32), partial(text.masked_plays, 32)

_AE = tuple(
    ladder(
        "ae",
        "Autoencoder with a bottleneck of 8 on 8x8 patches of two photographs.",
        Reconstruction(),
        (_PATCHES, MLP((64, 32, 16, 8, 16, 32, 64), "tanh"), 32, 300),
        (_PATCHES, MLP((64, 64, 32, 8, 32, 64, 64), "tanh"), 64, 650),
        (_PATCHES, MLP((64, 128, 64, 16, 8, 16, 64, 128, 64), "tanh"), 64, 2400),
        use="search",
    )
)
_X_AE = replace(
    _AE[2],
    name="X_ae",
    description="The autoencoder as a target between the rungs: the model of ae-x100, fewer steps.",
    steps=1000,
    rung="x43",
)
_LMMLP = tuple(
    ladder(
        "lmmlp",
        "Perceptron that predicts the next character of Shakespeare's plays from a few before it.",
        Classification(),
        (partial(text.next_characters, 8), WindowMLP(SYMBOLS, 8, 12, (64,)), 64, 300),
        (partial(text.next_characters, 8), WindowMLP(SYMBOLS, 8, 16, (128,)), 128, 760),
        (partial(text.next_characters, 10), WindowMLP(SYMBOLS, 10, 24, (160, 160)), 128, 2750),
        use="search",
    )
)
_FINETUNE = tuple(
    replace(rung, start=Checkpoint(replace(source, steps=3000), 3e-3))
    for source, rung in zip(
        _LMMLP,
        ladder(
            "finetune",
            "The model of lmmlp, trained on the plays, goes on with Shakespeare's sonnets.",
            Classification(),
            (partial(text.sonnets, 8), _LMMLP[0].model, 64, 200),
            (partial(text.sonnets, 8), _LMMLP[1].model, 128, 510),
            (partial(text.sonnets, 10), _LMMLP[2].model, 128, 1850),
        ),
        strict=True,
    )
)

_TASKS = (
    _AE[0],
    replace(_AE[1], use="search"),  # for longer searches: sign momentum beats AdamW here, but not on the proxy
    _AE[2],
    _X_AE,
    *ladder(
        "diffusion",
        "Perceptron that finds the noise in noisy 8x8 patches of two photographs.",
        Regression(),
        (_NOISY, MLP((72, 64, 64, 64), "relu"), 32, 300),
        (_NOISY, MLP((72, 128, 128, 64), "relu"), 64, 600),
        (_NOISY, MLP((72, 256, 256, 256, 64), "relu"), 64, 1200),
    ),
    *ladder(
        "contrastive",
        "Perceptron whose embedding tells which two of 32 pairs of patches overlap.",
        Contrastive(group=32, temperature=0.2),
        (_VIEWS, MLP((64, 64, 32), "relu"), 64, 200),
        (_VIEWS, MLP((64, 128, 128, 32), "relu"), 64, 450),
        (_VIEWS, MLP((64, 256, 256, 64), "relu"), 64, 1300),
    ),
    *ladder(
        "digits",
        "Perceptron that classifies handwritten digits: 8x8 pixels, on the larger rungs MNIST.",
        Classification(),
        (images.digits, MLP((64, 32, 32, 10), "relu"), 32, 300),
        (_SMALL, MLP((196, 64, 64, 10), "relu"), 32, 600),
        (_LARGE, MLP((784, 128, 64, 10), "relu"), 32, 980),
    ),
    *ladder(
        "cnn",
        "Convolutional network that classifies 5,000 digits of MNIST.",
        Classification(),
        (_SMALL, CNN(14, (8, 16), 10), 32, 200),
        (_SMALL, CNN(14, (16, 32), 10), 64, 300),
        (_LARGE, CNN(28, (16, 32, 64), 10), 64, 450),
    ),
    *ladder(
        "vit",
        "Vision transformer that classifies 5,000 digits of MNIST.",
        Classification(),
        (_LARGE, PatchTransformer(28, 7, 10, Blocks(32, 1, 2, 16, causal=False)), 16, 200),
        (_LARGE, PatchTransformer(28, 7, 10, Blocks(48, 2, 3, 16, causal=False)), 32, 270),
        (_LARGE, PatchTransformer(28, 7, 10, Blocks(96, 4, 4, 16, causal=False)), 32, 350),
    ),
    *ladder(
        "lm",
        "Transformer that predicts the next character of Shakespeare's plays.",
        Classification(),
        (_PLAYS, CharacterTransformer(SYMBOLS, Blocks(32, 1, 2, 32, causal=True)), 8, 200),
        (_PLAYS, CharacterTransformer(SYMBOLS, Blocks(48, 2, 4, 32, causal=True)), 16, 280),
        (_PLAYS, CharacterTransformer(SYMBOLS, Blocks(64, 3, 4, 32, causal=True)), 16, 1100),
        use="search",
    ),
    *ladder(
        "mlm",
        "Transformer that fills in hidden characters of Shakespeare's plays.",
        MaskedClassification(),
        (_MASKED, CharacterTransformer(SYMBOLS, Blocks(32, 1, 2, 32, causal=False)), 8, 200),
        (_MASKED, CharacterTransformer(SYMBOLS, Blocks(48, 2, 4, 32, causal=False)), 16, 280),
        (_MASKED, CharacterTransformer(SYMBOLS, Blocks(64, 3, 4, 32, causal=False)), 16, 1100),
    ),
    *_LMMLP,
    *_FINETUNE,
    *ladder(
        "teach",
        "Student of a random tanh network, which sees every example once.",
        Regression(),
        (partial(synthetic.teacher, 16_000), MLP((16, 48, 48, 48, 1), "relu"), 32, 500),
        (partial(synthetic.teacher, 48_000), MLP((16, 96, 96, 96, 1), "relu"), 64, 750),
        (partial(synthetic.teacher, 128_000), MLP((16, 192, 192, 192, 1), "relu"), 64, 1950),
        use="set",
    ),
    *ladder(
        "quadratic",
        "Noisy quadratic with eigenvalues 1/i, turned: for stability, not for ranking.",
        Mean(),
        (partial(synthetic.gradient_noise, 128), Quadratic(128, decay=1.0, noise=0.3), 1, 1000),
        (partial(synthetic.gradient_noise, 256), Quadratic(256, decay=1.0, noise=0.3), 1, 2600),
        (partial(synthetic.gradient_noise, 512), Quadratic(512, decay=1.0, noise=0.3), 1, 6500),
    ),
    *TARGETS,
)

TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _TASKS})
"""Every shipped task by name; data are loaded on first use. Those of targets need the extra ``targets``."""

_IMPORTED: dict[str, tuple[str, Task]] = {}


def import_tasks(references: Iterable[str]) -> tuple[Task, ...]:
    """Imports user-defined tasks and registers them in this process; tasks already registered are not imported again.

    Args:
        references: ``module:object`` each; the name of the object becomes the name of the task.

    Returns:
        The tasks.

    Raises:
        TaskError: an object is not a valid task, or its name is taken.
    """
    return tuple(map(_imported, references))


def _imported(reference: str) -> Task:
    name = own_task_name(reference)
    known, task = _IMPORTED.get(name.lower(), (reference, None))
    if known != reference:
        raise TaskError(f"import {reference}: task '{name}' is already imported from {known}: rename one of them")
    if task is None:
        task = own.own_task(reference)
        _IMPORTED[name.lower()] = reference, task
    return task


def check_packages(names: Iterable[str]) -> None:
    """Checks that the optional packages of tasks are installed as pinned, before anything is trained on them.

    Raises:
        TaskError: a task does not exist, or its package is absent or differs.
    """
    for name in names:
        get_task(name).check_package()


def own_task_name(reference: str) -> str:
    """Name of the task of a reference, without importing it.

    Raises:
        TaskError: the reference does not have the form ``module:object``, or a shipped task has this name.
    """
    _, name = parts(reference, error=TaskError, example=own.EXAMPLE)
    if name.lower() in map(str.lower, TASKS):
        raise TaskError(f"import {reference}: '{name}' is the name of a shipped task: choose another name")
    return name


def reference_of(task: Task) -> str | None:
    """The ``module:object`` reference of an imported task; None for a shipped task."""
    reference, imported = _IMPORTED.get(task.name.lower(), (None, None))
    return reference if imported is task else None


def get_task(name: str) -> Task:
    """Returns a task by name, ignoring case: a shipped or imported one, or one of an installed distribution.

    Raises:
        TaskError: the name is unknown; the message suggests the nearest name. Or the object of a distribution is not a
            task.
        PlugInError: a distribution cannot be imported, or uses a name that is taken.
    """
    known = {task.name.lower(): task for task in TASKS.values()} | {key: task for key, (_, task) in _IMPORTED.items()}
    if name.lower() in known:
        return known[name.lower()]
    installed = plug_ins(plugins.TASKS, TASKS)
    if name.lower() in installed:
        return _plugged(installed[name.lower()])
    names = [*(task.name for task in known.values()), *(one.name for one in installed.values())]
    near = nearest_name(name, names, similarity=0.0)
    hint = f"did you mean '{near}'? " if near else ""
    raise TaskError(f"unknown task '{name}': {hint}the tasks are {', '.join(names)}; --import adds your own")


def plugged_name(name: str) -> str | None:
    """Name of the task of an installed distribution, without importing it; None if there is none of this name.

    Raises:
        PlugInError: a distribution uses a name that is taken.
    """
    if name.lower() in map(str.lower, TASKS) or name.lower() in _IMPORTED:
        return None
    found = plug_ins(plugins.TASKS, TASKS).get(name.lower())
    return found and found.name


def plugged_tasks() -> tuple[tuple[Task, ...], tuple[UserError, ...]]:
    """Imports all tasks of installed distributions.

    Returns:
        The tasks, and an error for each plug-in that cannot be used.
    """
    tasks: list[Task] = []
    faults: list[UserError] = []
    try:
        installed = plug_ins(plugins.TASKS, TASKS)
    except PlugInError as error:
        return (), (error,)
    for found in installed.values():
        try:
            tasks.append(_plugged(found))
        except UserError as error:
            faults.append(error)
    return tuple(tasks), tuple(faults)


@cache
def _plugged(found: PlugIn) -> Task:
    use_one_cpu_thread()  # a module may compute at import, and such computations affect results as training does
    made = found.load()
    try:
        return own.task_of(made, found.reference)
    except TaskError as error:
        raise found.fault(f"is not a task: {error}") from error
