"""Strictly validated campaign settings.

    name: quickstart
    task: ae
    warm_start: adamw
    budget: {programs: 10000}
    population: {size: 300, tournament: 8}

A campaign contains all settings that affect the results of a search, and none that affect only its speed (workers,
cluster). Unknown keys, wrong types and values out of range are all reported at once, each with its line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.generate import last_functions
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import MAX_STATE, MAX_STATEMENTS, Program, ProgramError
from optsearch.dsl.syntax import parse
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import nearest, verify
from optsearch.proxy_tasks.seeds import FRESH
from optsearch.search.algorithms import ALGORITHMS, AlgorithmName, ControlName
from optsearch.search.budget import Budget
from optsearch.search.meta_validation import MetaValidationConfig, Seed
from optsearch.search.population.adaptation import AdaptationConfig
from optsearch.search.population.archive import ArchiveConfig
from optsearch.search.population.breeding import Methods
from optsearch.search.population.parsimony import ParsimonyConfig
from optsearch.search.population.population import PopulationConfig
from optsearch.search.population.refinement import RefinementConfig
from optsearch.search.proposals import ProposalsConfig
from optsearch.search.scoring.fitness import FurtherTask, Setting
from optsearch.search.scoring.reference import HurdleConfig, RaceConfig, RateSweepConfig
from optsearch.search.settings.config_errors import RuleError
from optsearch.search.settings.settings import load_settings, settings_text
from optsearch.search.settings.task_names import known_task, own_task_names
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import ConstantsConfig, LimitsConfig, MutationWeights
from optsearch.search.variation.random_programs import RandomPrograms
from optsearch.search.warm_starts import PROGRAM, ReadProgram, read_warm_starts

SEEDS = 2**63
"""Exclusive upper bound of search seeds."""


class FinalistsConfig(BaseModel):
    """Final selection of the best program of a search and of each control.

    Attributes:
        count: number of programs of lowest fitness that are retrained.
        seeds: number of seeds for retraining; these seeds have no other use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    count: int = Field(default=16, ge=1, le=10_000)
    seeds: int = Field(default=8, ge=1, le=4096)


class FirstStageConfig(BaseModel):
    """Preliminary searches; the main search starts from the best program of all of them.

    Attributes:
        searches: number of searches; they differ only in their random numbers.
        budget: budget of each search.
        algorithm: ``evolution``, or ``constants`` to tune the constants of the warm start first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    searches: int = Field(default=5, ge=1, le=100)
    budget: Budget
    algorithm: Literal["evolution", "constants"] = "evolution"


class CampaignConfig(BaseModel):
    """All settings of a campaign.

    Attributes:
        name: name of the run.
        description: purpose of the campaign.
        imports: custom tasks, each as ``module:object``; the object's name is the name of the task. They are imported
            when a search starts, not when settings are read.
        task: name of the proxy task.
        task_scale: with further tasks, the difference from the warm start's loss that counts as 1. Defaults to the warm
            start's loss.
        further_tasks: additional tasks of the fitness, in this order; see ``optsearch.search.scoring.fitness``.
        warm_start: name of a library program, or a program's text; the initial population consists of copies of it. In
            a campaign also a reference to another program, such as ``RUN:ID``, or a list, whose first entry becomes
            the warm start and whose others become ``further_warm_starts``.
        further_warm_starts: further initial programs, which enter the population right after it.
        warm_start_references: the entries as they were given, if some were references; they name the programs.
        extra_state: names of additional state variables of the warm start, initially unused.
        training_seeds: seeds over which the validation loss is averaged.
        seed: seed of the search.
        algorithm: search algorithm.
        budget: stopping condition.
        first_stage: preliminary searches. Defaults to none; the search then starts from ``warm_start``.
        population: size and tournament of the ageing population.
        archive: selection of parents from the Pareto front of loss, state, statements and age. Defaults to the
            population alone.
        adaptation: adaptation of the mutation weights. Defaults to fixed weights.
        refinement: refines the constants of the best programs by an evolution strategy. Defaults to none.
        parsimony: handicap of programs of a common length in tournaments. Defaults to none.
        proposals: programs that `optsearch propose` adds.
        mutation: weight of each mutation.
        limits: bounds on programs.
        constants: distribution of new constants, and step sizes of their mutations.
        functions: functions that new statements may call. Defaults to all but those of rows, columns and matrices.
        look_ahead: maximum number of open tickets. It determines the eligible parents and therefore affects results.
        batch_size: number of evaluations sent to a worker together.
        hurdle: early stopping of bad programs. Defaults to no early stopping.
        race: with several training seeds or tasks, trains programs that are worse than the warm start in their first
            case alone. With one seed of one task it has no effect. Defaults to all cases for every program.
        rate_sweep: evaluates programs near the top at several learning rates and takes the best. Defaults to each
            program's own rate only.
        lanes: number of training runs batched into one computation, for accelerators. It may change the last digits of
            a result and therefore affects results.
        meta_validation: larger task on which the best program is evaluated. Defaults to none.
        controls: algorithms to compare with. ``constants`` is the hyperparameter control, the same evolution with only
            constants mutable; ``schedule`` is the control for programs that reshape the schedule.
        control_budget: evaluations of each control, as a multiple of those of the search including its first stage.
        finalists: final selection of the best program.
        fresh_seeds: number of seeds for the final comparison of the best program with the controls; the search does not
            use these seeds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    description: str = ""
    imports: list[str] = Field(default=[], max_length=16)
    task: str
    task_scale: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    further_tasks: list[FurtherTask] = Field(default=[], max_length=16)
    warm_start: str = "adamw"
    further_warm_starts: list[str] = Field(default=[], max_length=64)
    warm_start_references: list[str] = Field(default=[], max_length=65)
    extra_state: list[str] = Field(default=[], max_length=MAX_STATE)
    training_seeds: list[Seed] = Field(default=[0], min_length=1, max_length=64)
    seed: int = Field(default=0, ge=0, lt=SEEDS)
    algorithm: AlgorithmName = "evolution"
    budget: Budget
    first_stage: FirstStageConfig | None = None
    population: PopulationConfig = PopulationConfig()
    archive: ArchiveConfig | None = None
    adaptation: AdaptationConfig | None = None
    refinement: RefinementConfig | None = None
    parsimony: ParsimonyConfig | None = None
    proposals: ProposalsConfig = ProposalsConfig()
    mutation: MutationWeights = MutationWeights()
    limits: LimitsConfig = LimitsConfig()
    constants: ConstantsConfig = ConstantsConfig()
    functions: list[str] | None = None
    look_ahead: int = Field(default=128, ge=1, le=100_000)
    batch_size: int = Field(default=4, ge=1, le=1024)
    hurdle: HurdleConfig | None = None
    race: RaceConfig | None = None
    rate_sweep: RateSweepConfig | None = None
    lanes: int = Field(default=1, ge=1, le=65_536)
    meta_validation: MetaValidationConfig | None = None
    controls: list[ControlName] = ["constants"]
    control_budget: float = Field(default=1.0, ge=0.1, le=100.0)
    finalists: FinalistsConfig = FinalistsConfig()
    fresh_seeds: int = Field(default=16, ge=2, le=4096)

    @model_validator(mode="before")
    @classmethod
    def _warm_starts_are_read(cls, data: Any, given: ValidationInfo) -> Any:
        return read_warm_starts(data, given.context) if isinstance(data, dict) and "warm_start" in data else data

    @field_validator("imports")
    @classmethod
    def _imports_are_references(cls, references: list[str]) -> list[str]:
        own_task_names(references)
        return references

    @field_validator("task")
    @classmethod
    def _task_is_known(cls, name: str, given: ValidationInfo) -> str:
        return known_task(name, for_=("search",), imports=given.data.get("imports", ()))

    @field_validator("further_tasks")
    @classmethod
    def _further_tasks_are_known(cls, tasks: list[FurtherTask], given: ValidationInfo) -> list[FurtherTask]:
        imports = given.data.get("imports", ())
        names = [known_task(task.task, for_=("search", "set"), imports=imports) for task in tasks]
        tasks = [task.model_copy(update={"task": name}) for task, name in zip(tasks, names, strict=True)]
        gates = [task.if_below for task in tasks if task.if_below is not None]
        if gates != sorted(gates, reverse=True):
            raise ValueError(f"if_below must not rise from one task to the next, got {gates}")
        return tasks

    @field_validator("meta_validation")
    @classmethod
    def _validation_task_is_known(
        cls, config: MetaValidationConfig | None, given: ValidationInfo
    ) -> MetaValidationConfig | None:
        imports = given.data.get("imports", ())
        return config and config.model_copy(update={"task": known_task(config.task, imports=imports)})

    @field_validator("warm_start")
    @classmethod
    def _warm_start_is_valid(cls, text: str) -> str:
        return cls._valid_start(text)

    @field_validator("further_warm_starts")
    @classmethod
    def _further_warm_starts_are_valid(cls, texts: list[str]) -> list[str]:
        return [cls._valid_start(text) for text in texts]

    @staticmethod
    def _valid_start(text: str) -> str:
        if "\n" not in text and not text.lstrip().startswith("def"):
            if text not in LIBRARY:
                raise ValueError(f"unknown library program '{text}'{nearest(text, LIBRARY)}")
            return text
        try:
            return str(parse(text))
        except ProgramError as error:
            raise ValueError(f"the program is not valid: {error}") from None

    @field_validator("functions")
    @classmethod
    def _functions_are_known(cls, names: list[str] | None) -> list[str] | None:
        if names is None:
            return None
        for name in names:
            if name not in FUNCTIONS:
                raise ValueError(f"unknown function '{name}'{nearest(name, FUNCTIONS)}")
        if len(set(names)) != len(names):
            raise ValueError("a function is listed twice")
        if not any(all(Kind.SCALAR in kinds for kinds in FUNCTIONS[name].operands) for name in names):
            raise ValueError("list at least one function that takes operands of any kind, or leave the key out for all")
        return names

    @field_validator("training_seeds", "controls")
    @classmethod
    def _distinct(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) != len(values):
            raise ValueError(f"a value is listed twice in {values}")
        return values

    @model_validator(mode="after")
    def _tasks_differ(self) -> CampaignConfig:
        names = [self.task, *(task.task for task in self.further_tasks)]
        if len(set(names)) != len(names):
            raise RuleError(("further_tasks",), f"a task is listed twice in the fitness: {', '.join(names)}")
        if self.meta_validation is not None and self.meta_validation.task in names:
            raise RuleError(
                ("meta_validation", "task"),
                f"meta_validation.task is '{self.meta_validation.task}', which is part of the fitness",
            )
        if self.task_scale is not None and not self.further_tasks:
            raise RuleError(("task_scale",), "task_scale requires further_tasks")
        if self.algorithm in self.controls:
            raise RuleError(("controls",), f"the search itself uses '{self.algorithm}': remove it from controls")
        return self

    @model_validator(mode="after")
    def _warm_start_fits(self) -> CampaignConfig:
        try:
            for program in self.warm_start_programs:
                verify(program)
        except ProgramError as error:
            raise RuleError(("extra_state",), error.reason) from None
        statements = max(len(program.body) for program in self.warm_start_programs)
        if statements > self.limits.statements:
            raise RuleError(
                ("limits", "statements"),
                f"the warm start has {statements} statements, but limits.statements is {self.limits.statements}",
            )
        used: set[AlgorithmName] = {self.algorithm, *self.controls}
        if self.first_stage is not None:
            used.add(self.first_stage.algorithm)
        tuned = [name for name in used if ALGORITHMS[name].tunes]
        longer = len(self.start(self.algorithm).body) > statements
        if self.first_stage is not None and longer and self.limits.statements == MAX_STATEMENTS:
            raise RuleError(
                ("limits", "statements"),
                f"limits.statements is {MAX_STATEMENTS}, as many as a program can have, but '{self.algorithm}' starts "
                f"with one more than its first stage finds: at most {MAX_STATEMENTS - 1}",
            )
        if self.rate_sweep is not None and self.limits.statements == MAX_STATEMENTS:
            raise RuleError(
                ("limits", "statements"),
                f"limits.statements is {MAX_STATEMENTS}, as many as a program can have, but rate_sweep can add one "
                f"that scales the learning rate: at most {MAX_STATEMENTS - 1}",
            )
        if tuned and not any(
            isinstance(arg, float) for statement in self.warm_start_program.body for arg in statement.args
        ):
            raise RuleError(
                ("warm_start",), f"the warm start has no constants that '{min(tuned)}' could tune: use controls: []"
            )
        return self

    @model_validator(mode="after")
    def _random_programs_can_end(self) -> CampaignConfig:
        drawing = [name for name in (self.algorithm, *self.controls) if ALGORITHMS[name].draws]
        if drawing and self.functions is not None:
            try:
                last_functions([FUNCTIONS[name] for name in self.functions])
            except ValueError as error:
                raise RuleError(("functions",), f"'{drawing[0]}' cannot draw programs: {error}") from None
        return self

    @property
    def warm_start_program(self) -> Program:
        """The warm start, with the extra state variables in its signature."""
        return self.warm_start_programs[0]

    @property
    def warm_start_programs(self) -> list[Program]:
        """The warm start and the further ones, with the extra state variables in their signatures."""
        programs = [LIBRARY[text] if text in LIBRARY else parse(text) for text in self._warm_starts]
        return [Program((*program.state, *self.extra_state), program.body) for program in programs]

    @property
    def _warm_starts(self) -> list[str]:
        return [self.warm_start, *self.further_warm_starts]

    @property
    def warm_start_name(self) -> str:
        """Name of the warm start: in the library, or the reference that was given; otherwise ``the warm start``."""
        if self.warm_start in LIBRARY:
            return self.warm_start
        return self.warm_start_references[0] if self.warm_start_references else "the warm start"

    def further_starts(self, algorithm: AlgorithmName) -> list[Program]:
        """The further initial programs of an algorithm; none for one that draws its programs at random."""
        row = ALGORITHMS[algorithm]
        return [] if row.draws else [row.start(program) for program in self.warm_start_programs[1:]]

    def start(self, algorithm: AlgorithmName, found: Program | None = None) -> Program:
        """Returns the initial program of an algorithm.

        Args:
            algorithm: name of the algorithm.
            found: best program of the first stage. Defaults to the warm start.
        """
        return ALGORITHMS[algorithm].start(found or self.warm_start_program)

    @property
    def setting(self) -> Setting:
        """Definition of the fitness."""
        validation = self.meta_validation
        return Setting(
            self.task,
            tuple(self.training_seeds),
            scale=self.task_scale,
            further=tuple(self.further_tasks),
            validation=None if validation is None else (validation.task, tuple(validation.seeds)),
            imports=tuple(self.imports),
            rates=() if self.rate_sweep is None else tuple(self.rate_sweep.factors),
            lanes=self.lanes,
        )

    @property
    def fitness_tasks(self) -> tuple[FurtherTask, ...]:
        """The tasks of the fitness, in order."""
        return (FurtherTask(task=self.task, scale=self.task_scale), *self.further_tasks)

    @property
    def fitness_task_names(self) -> list[str]:
        """Names of the tasks of the fitness. With one task the fitness is a loss, with several it is a score."""
        return [task.task for task in self.fitness_tasks]

    @property
    def tasks(self) -> list[str]:
        """All tasks of a run: those of the fitness, followed by the meta-validation task."""
        return [*self.fitness_task_names, *([self.meta_validation.task] if self.meta_validation else [])]

    @property
    def fresh_seed_values(self) -> range:
        """Seeds of the final comparison; disjoint from the training seeds."""
        return FRESH[: self.fresh_seeds]

    @property
    def tickets_to_resume(self) -> int | None:
        """Number of settled tickets from which a search resumes; None for all, on which some methods rest."""
        return None if self.methods.remember else self.population.size + self.look_ahead

    @property
    def race_held(self) -> RaceConfig | None:
        """The race; None also if all programs have one case, so that there is nothing to leave out."""
        return self.race if len(self.training_seeds) * len(self.fitness_tasks) > 1 else None

    @property
    def methods(self) -> Methods:
        """Extensions of the published evolution."""
        gate = None if self.race_held is None else self.race_held.share
        return Methods(self.archive, self.adaptation, self.refinement, self.parsimony, gate)

    def variation(self, algorithm: AlgorithmName) -> Mutator | RandomPrograms:
        """Creates the variation operator of an algorithm."""
        return ALGORITHMS[algorithm].variation(self)


def load_campaign(
    text: str, source: str, overrides: Sequence[str] = (), program: ReadProgram | None = None
) -> CampaignConfig:
    """Loads a campaign; see `load_settings`.

    Args:
        text: YAML text.
        source: name of the text in messages.
        overrides: ``key.sub=value`` settings.
        program: reads the references of warm starts. Defaults to none: only library programs and texts are known.
    """
    return load_settings(CampaignConfig, text, source, overrides, {PROGRAM: program})


def load_campaign_file(
    path: Path, overrides: Sequence[str] = (), program: ReadProgram | None = None
) -> tuple[CampaignConfig, str]:
    """Loads a campaign file.

    Args:
        path: path of the file.
        overrides: as in ``load_campaign``.
        program: as in ``load_campaign``.

    Returns:
        The settings, and the unmodified text of the file.

    Raises:
        ConfigError: the file cannot be read or is not valid.
    """
    text = settings_text(path)
    return load_campaign(text, str(path), overrides, program), text
