"""Contenders, which are programs or baselines, and the unit of work: one training run of one contender.

A job is a small frozen value that can be sent to any process; `run_job` keeps one trainer per task in each process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from optsearch.dsl.dataflow import execution_key
from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program
from optsearch.proxy_tasks.hurdle import Hurdle
from optsearch.proxy_tasks.imported import parts
from optsearch.proxy_tasks.machine import computing_device, made_on
from optsearch.proxy_tasks.outcome import TrainingResult
from optsearch.proxy_tasks.run import Trained, training_key
from optsearch.selection.baselines.baseline import Baseline, BaselineError
from optsearch.selection.baselines.own import own_baseline
from optsearch.selection.baselines.table import get_baseline, plugged
from optsearch.selection.baselines.torch_optimizers import TORCH_BASELINES, TorchBaseline, by_class, check_version
from optsearch.selection.optimizer_file import optax_file, program_file, torch_file
from optsearch.selection.problem import Problem
from optsearch.selection.scripts.execution import ScriptRun, run_script
from optsearch.selection.scripts.interpreter import torch_class
from optsearch.selection.scripts.script import TrainingScript, interpreter_of
from optsearch.selection.space import (
    RATE,
    Dimension,
    Ranges,
    Values,
    program_space,
    untuned_constants,
    with_values,
)

if TYPE_CHECKING:
    from optsearch.proxy_tasks.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Contender:
    """A program or a baseline.

    Attributes:
        name: display name; for a baseline its name in `optsearch.selection.baselines.table`.
        program: a verified program; None for a baseline.
        reference: ``module:object`` of a baseline of the user, which every process imports itself; empty otherwise.
        torch: a baseline of torch, for training scripts; None for programs and baselines of optax.
    """

    name: str
    program: Program | None = None
    reference: str = ""
    torch: TorchBaseline | None = None

    @property
    def is_baseline(self) -> bool:
        """True for a baseline."""
        return self.program is None

    @property
    def meaning(self) -> str:
        """Identity of the optimizer.

        A program's fingerprint; ``optax:`` or ``torch:`` and the name of a baseline; ``own:``, the reference and a hash
        of the source file of a user-defined baseline, or the name and the hash of a plug-in.
        """
        if self.program is not None:
            return fingerprint(self.program)
        if self.torch is not None:
            return f"torch:{self.name}"
        if self.reference:
            return f"own:{self.reference}:{own_baseline(self.reference).code}"
        own = plugged(self.name)
        return f"optax:{self.name}" if own is None else f"own:{self.name}:{own.code}"

    @property
    def row(self) -> Baseline:
        """The row of a baseline of optax.

        Raises:
            BaselineError: the name is unknown, or it is a program's.
        """
        return get_baseline(self.reference or self.name)

    @property
    def arguments(self) -> Mapping[str, float]:
        """Default of each tunable argument of a baseline; empty for a program."""
        return {} if self.program is not None else (self.torch or self.row).arguments

    @property
    def family(self) -> str:
        """Name of a baseline's family; empty for a program or a baseline without one."""
        return "" if self.program is not None else (self.torch or self.row).family

    @property
    def contains(self) -> Mapping[str, Mapping[str, float]]:
        """Baselines that a baseline contains, each with the values of the further arguments; empty for a program."""
        return {} if self.program is not None or self.torch is not None else self.row.contains

    def space(self, *, constants: bool = True, ranges: Ranges = ()) -> tuple[Dimension, ...]:
        """Returns its tunable hyperparameters.

        Args:
            constants: if True, include its constants, in addition to learning rate and weight decay.
            ranges: declared ranges that replace the defaults.

        Raises:
            SpaceError: a declared range excludes the contender's own setting.
        """
        if self.program is not None:
            return program_space(self.program, constants=constants, ranges=ranges)
        return (self.torch or self.row).space(constants=constants, ranges=ranges)

    def untuned(self, *, constants: bool = True) -> tuple[str, ...]:
        """Numbers that tuning leaves at the contender's own setting."""
        if self.program is not None:
            return untuned_constants(self.program, constants=constants)
        return (self.torch or self.row).untuned(constants=constants)


def baseline(name: str) -> Contender:
    """Returns a baseline by name, or by reference if it is the user's own, as a contender.

    Raises:
        BaselineError: the name is unknown, or the optimizer cannot be a baseline.
    """
    return Contender(get_baseline(name).name, reference=name if ":" in name else "")


def torch_contenders(script: TrainingScript, names: Iterable[str]) -> list[Contender]:
    """Returns baselines of torch for a training script, by name or as ``module:object``, without repetitions.

    Raises:
        BaselineError: a name is unknown, the script's torch lacks it, or it needs more than gradients.
        InterpreterError: the script's interpreter cannot import torch.
    """
    found: list[Contender] = []
    for name in names:
        if ":" in name:
            parts(name, error=BaselineError, example="my_optimizers:Halving")
        row = TORCH_BASELINES.get(name.lower())
        if row is None:
            row = by_class(name, torch_class(interpreter_of(script), script.folder, name), script.folder)
        check_version(row, dict(script.packages).get("torch", ""))
        found.append(Contender(row.name, torch=row))
    found = list(dict.fromkeys(found))
    names = [one.name.lower() for one in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BaselineError(f"two baselines are called '{twice}': give yours another name")
    return found


def jax_contenders(names: Iterable[str]) -> list[Contender]:
    """Returns baselines of optax for a training script; see `baseline_contenders`.

    Raises:
        BaselineError: as there, or a baseline needs more than gradients, weights and the script's schedule.
    """
    found = baseline_contenders(names)
    for one in found:
        if one.row.evaluated is not None or one.row.schedule != "task":
            raise BaselineError(
                f"baseline '{one.name}' cannot be used with a script: it has a schedule of its own and is evaluated at "
                "averaged weights, for which the contract of scripts has no place: leave it out"
            )
    return found


def baseline_contenders(names: Iterable[str]) -> list[Contender]:
    """Returns baselines by name or reference, without repetitions.

    Raises:
        BaselineError: as for `baseline`, or two different ones have the same name.
    """
    found = list(dict.fromkeys(map(baseline, names)))
    known: dict[str, Contender] = {}
    for one in found:
        other = known.setdefault(one.name.lower(), one)
        if other != one:
            raise BaselineError(
                f"import {one.reference or other.reference}: two baselines are called '{one.name}': "
                "give yours another name"
            )
    return found


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training run.

    Attributes:
        contender: the optimizer.
        problem: the task and batch size.
        values: hyperparameter values; the rate is a factor on the task's schedule.
        seed: seed of initial weights and batches.
        validates: if True, the run also records the validation loss at each checkpoint.
    """

    contender: Contender
    problem: Problem
    values: Values
    seed: int
    validates: bool = False

    @property
    def key(self) -> str:
        """Cache key: version of the task, the executed optimizer, hyperparameter values, seed, and what is recorded.

        A program with other constants is a different program. On a script the module of the optimizer has all of these.
        """
        if self.problem.script is not None:
            return self.on_script(self.problem.script).key
        about, values = self.contender.meaning, dict(self.values)
        if self.contender.program is None:
            values = {RATE: values[RATE], **_arguments(self)}
        else:
            about, values = execution_key(with_values(self.contender.program, values)), {RATE: values[RATE]}
        key = training_key(self.problem.load().version, about, values, self.seed)
        return f"{key} validates" if self.validates else key

    def on_script(self, script: TrainingScript) -> ScriptRun:
        """The run as one of a training script, with the optimizer as a module."""
        contender, values = self.contender, dict(self.values)
        if contender.program is not None:
            module = program_file(contender.program, script.framework, values)
        elif contender.torch is not None:
            module = torch_file(contender.torch, values)
        else:
            module = optax_file(contender.reference or contender.name, _arguments(self), values[RATE])
            if contender.meaning.startswith("own:"):
                module += f"# {contender.meaning}\n"  # an edited baseline is another optimizer
        is_own = all(row.reference == values.get(row.name, row.reference) for row in contender.space())
        told = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
        return ScriptRun(
            script, module, f"{contender.name} at {told}", contender.name, self.seed, self.validates, is_own
        )


def run_job(job: TrainingJob) -> Trained:
    """Executes a training run in this process, or on a script in a process of its own.

    Raises:
        ScriptRunError: the script cannot be run, or made no report with a contender's own settings.
    """
    if job.problem.script is not None:
        return run_script(job.on_script(job.problem.script))
    trainer = _trainer(job.problem)
    trainer.recording = job.validates
    began = time.perf_counter()
    result = train_with(trainer, job)
    seconds = time.perf_counter() - began
    return Trained(result, seconds, made_on(computing_device()), trainer.resumed_from)


def train_with(trainer: Trainer, job: TrainingJob, hurdle: Hurdle | None = None) -> TrainingResult:
    """Executes a training run with a trainer of its task.

    Args:
        trainer: the trainer, which determines how programs run and what is recorded.
        job: the run.
        hurdle: early-stopping rule; None for no early stopping.
    """
    from optsearch.proxy_tasks.execution.compiled_loop import the_weights

    values = dict(job.values)
    rate = values.pop(RATE)
    if job.contender.program is not None:
        return trainer.run(with_values(job.contender.program, values), job.seed, rate=rate, hurdle=hurdle)
    row, arguments = job.contender.row, _arguments(job)
    return trainer.run_optax(
        _make(job.contender, tuple(arguments), trainer.task.steps),
        job.seed,
        rate=rate,
        hurdle=hurdle,
        values=list(arguments.values()),
        decays=row.schedule == "task",
        evaluated=row.evaluated or the_weights,
    )


def _arguments(job: TrainingJob) -> dict[str, float]:
    """All keyword arguments of a baseline's row, in the row's order, tuned or not."""
    values = dict(job.values)
    return {name: values.get(name, default) for name, default in job.contender.arguments.items()}


@cache
def _trainer(problem: Problem) -> Trainer:
    from optsearch.search.scoring.evaluate import use_one_cpu_thread

    use_one_cpu_thread()
    from optsearch.proxy_tasks.trainer import Trainer

    # Compiling a loop per trial would cost more than it saves.
    return Trainer(problem.load(), method="interpret", validates=True)


@cache
def _make(contender: Contender, arguments: tuple[str, ...], steps: int) -> Callable[[Any], Any]:
    return partial(_optimizer, contender, arguments, steps)


def _optimizer(contender: Contender, arguments: tuple[str, ...], steps: int, schedule: Callable[[Any], Any]) -> Any:
    """The optimizer of a baseline; values for its arguments follow the rates of the steps."""
    import jax.numpy as jnp

    values = {argument: schedule(steps + place) for place, argument in enumerate(arguments)}
    return contender.row.optimizer(lambda count: schedule(jnp.clip(count, 0, steps - 1)), values)
