"""User-defined baselines, referenced as ``module:object``: a `Baseline`, or a function like those of optax.

    def halving(learning_rate, b1=0.9, weight_decay=0.0):
        return optax.chain(optax.trace(b1), optax.add_decayed_weights(weight_decay),
                           optax.scale_by_learning_rate(learning_rate))

The learning rate is given as a schedule. A function's floats of at least 0 are tuned, from their defaults on.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

from optsearch.proxy_tasks.imported import Imported, imported
from optsearch.proxy_tasks.plugins import PlugIn
from optsearch.selection.baselines.baseline import Baseline, BaselineError
from optsearch.selection.baselines.optax_optimizers import by_signature, check

EXAMPLE = "my_optimizers:halving"


class OwnBaseline(NamedTuple):
    """A user-defined baseline.

    Attributes:
        baseline: the baseline, named after the object.
        code: sha256 of the source of its module, so that an edited file does not receive earlier results.
    """

    baseline: Baseline
    code: str


@cache
def own_baseline(reference: str) -> OwnBaseline:
    """Imports a user-defined baseline; exceptions raised on import propagate with their traceback.

    Raises:
        BaselineError: the module or object does not exist, or the object cannot be a baseline.
    """
    from optsearch.search.scoring.evaluate import use_one_cpu_thread

    use_one_cpu_thread()  # a module may compute at import
    return _made(imported(reference, error=BaselineError, example=EXAMPLE), f"import {reference}: it")


@cache
def plugged_baseline(found: PlugIn) -> OwnBaseline:
    """Imports the baseline of an installed distribution.

    Raises:
        BaselineError: the object cannot be a baseline.
        PlugInError: it cannot be imported.
    """
    from optsearch.search.scoring.evaluate import use_one_cpu_thread

    use_one_cpu_thread()
    return _made(found.load(), f"plug-in '{found.name}' of the distribution {found.distribution}")


def _made(found: Imported, about: str) -> OwnBaseline:
    if isinstance(found.made, Baseline):
        check(found.made, about=about)
        return OwnBaseline(replace(found.made, name=found.name), found.code)
    if not callable(found.made):
        raise BaselineError(
            f"{about} is {type(found.made).__name__}, neither a Baseline nor a function "
            "f(learning_rate, **numbers) that returns an optax optimizer"
        )
    return OwnBaseline(by_signature(found.name, found.made, about=about), found.code)
