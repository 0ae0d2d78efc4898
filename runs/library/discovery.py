"""Discovered programs that ship with the package, with their provenance and results.

An entry of ``discovered/`` consists of two files: ``NAME.txt`` with the simplified program, and ``NAME.yaml`` with its
record. A table of each evaluation has the losses of all seeds and the tuned values of all replicates, from which the
p-values and intervals of the record can be computed again (``benchmarks/recompute.py``). YAML is readable: the raw
program and the campaign keep their usual form, and each comparison takes one line. Records are validated as strictly as
campaigns. ``optsearch.runs.library.add`` generates entries from the records of a run. A program that does not match its
recorded fingerprint, or a result on a task that was used for selection, is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from optsearch.dsl.fingerprint import FINGERPRINT_VERSION, fingerprint
from optsearch.dsl.program import Program, ProgramError
from optsearch.dsl.rate import at_rate
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import nearest
from optsearch.runs.text.phrasing import listed
from optsearch.search.settings.config_errors import ConfigError
from optsearch.search.settings.settings import load_settings

NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
"""Pattern of the names of discovered programs."""

_MODEL = ConfigDict(frozen=True, extra="forbid", strict=True)

Estimate = Annotated[list[float | None], Field(min_length=3, max_length=3)]
"""A mean and the two ends of its 95 % interval; None if runs failed."""


class Origin(BaseModel):
    """Provenance of a program.

    Attributes:
        run: name of the run.
        program: id of the program in the run.
        tasks: tasks of the search.
        seed: seed of the search.
        fitness: fitness in the search.
        rate: factor on the learning rate that the search found best.
        distilled: ``pruned`` if only dead statements were removed, otherwise ``simplified``.
        population_digest: digest of the search's population, as printed by ``show RUN --json``.
        made_with: processor, and versions of packages, fingerprints and search.
        raw: the program before simplification.
        campaign: all settings of the run, as a campaign file.
    """

    model_config = _MODEL

    run: str
    program: str
    tasks: Annotated[list[str], Field(min_length=1)]
    seed: int
    fitness: float
    rate: float
    distilled: Literal["pruned", "simplified"]
    population_digest: str
    made_with: dict[str, str]
    raw: str
    campaign: str


class Spent(BaseModel):
    """Cost of one part of the work.

    Attributes:
        programs: number of generated programs; None for an evaluation.
        evaluations: number of trained programs; None for an evaluation.
        runs: number of training runs of an evaluation; None for a search.
        seconds: training time, summed over all workers.
    """

    model_config = _MODEL

    programs: int | None = None
    evaluations: int | None = None
    runs: int | None = None
    seconds: float


class Against(BaseModel):
    """Comparison of the program with one baseline on one task.

    Attributes:
        baseline: name of the baseline.
        loss: the baseline's test loss.
        failed: number of runs in which the baseline did not train.
        difference: loss of the program minus that of the baseline, with Welch's interval over replicates; negative if
            the program is better.
        p: p-value of the permutation test over replicates.
        corrected: p-value corrected for all comparisons of the evaluation.
        verdict: ``better``, ``worse`` or ``undecided``.
    """

    model_config = _MODEL

    baseline: str
    loss: Estimate
    failed: int
    difference: Estimate
    p: float
    corrected: float
    verdict: Literal["better", "worse", "undecided"]


class Result(BaseModel):
    """Result of the program on one task.

    Attributes:
        task: name of the task.
        version: version of the task.
        trivial: test loss of a predictor that ignores its input; None if unknown.
        loss: the program's test loss, with Student's interval over replicates.
        failed: number of runs in which the program did not train.
        against: comparisons with all baselines, in the order of the evaluation.
    """

    model_config = _MODEL

    task: str
    version: str
    trivial: float | None
    loss: Estimate
    failed: int
    against: Annotated[list[Against], Field(min_length=1)]


class OverTasks(BaseModel):
    """Comparison of the program with an opponent over all tasks of an evaluation.

    Attributes:
        opponent: name of a family of baselines, of which the best member counts in each replicate, or of a baseline.
        members: the baselines among which the best one is selected by tuned validation loss; one for a baseline.
        relative: mean over tasks of the relative difference of losses, with an interval over replicates; negative if
            the program is better.
        leads: number of tasks on which the program has the lower mean loss.
        p: p-value of the permutation test over replicates, stratified by task.
        corrected: p-value corrected for all comparisons of the evaluation.
        verdict: ``better``, ``worse`` or ``undecided``.
    """

    model_config = _MODEL

    opponent: str
    members: Annotated[list[str], Field(min_length=1)]
    relative: Estimate
    leads: int
    p: float
    corrected: float
    verdict: Literal["better", "worse", "undecided"]

    @property
    def called(self) -> str:
        """The opponent in a sentence."""
        return f"the {self.opponent}" if len(self.members) > 1 else self.opponent


class RecordedEvaluation(BaseModel):
    """An evaluation of the program.

    Attributes:
        replicates: number of tunings of each contender.
        seeds: number of fresh seeds of each replicate.
        skipped_seeds: number of fresh seeds of each replicate skipped before them.
        trials: number of trials of each tuning.
        constants: True if constants were tuned too.
        shared: True if each tuning selected one setting for all tasks.
        programs: names of all evaluated programs, in order. Baselines also start from their EMA decays.
        comparisons: number of comparisons for which p-values are corrected.
        losses: name of the table with the losses of all seeds, which programs evaluated together share.
        over_tasks: one comparison per opponent over all tasks.
        results: one result per task.
        made_with: processor and versions of packages.
    """

    model_config = _MODEL

    replicates: Annotated[int, Field(ge=2)]
    seeds: int
    skipped_seeds: int = 0
    trials: int
    constants: bool
    shared: bool = False
    programs: Annotated[list[str], Field(min_length=1)]
    comparisons: int
    losses: Annotated[str, Field(pattern=r"^[a-z0-9-]+\.csv$")]
    over_tasks: Annotated[list[OverTasks], Field(min_length=1)]
    results: Annotated[list[Result], Field(min_length=1)]
    made_with: dict[str, str]

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines."""
        return [row.baseline for row in self.results[0].against]

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks."""
        return [result.task for result in self.results]

    @property
    def command(self) -> str:
        """Command that repeats the evaluation with the same budget."""
        tasks = " ".join(f"--task {name}" for name in self.tasks)
        baselines = " ".join(f"--baseline {name}" for name in self.baselines)
        constants = ("" if self.constants else " --no-constants") + (" --shared" if self.shared else "")
        skipped = f" --skip-seeds {self.skipped_seeds}" if self.skipped_seeds else ""
        budget = f"--tune {self.trials} --replicates {self.replicates} --seeds {self.seeds}{skipped}"
        return f"optsearch evaluate {' '.join(self.programs)} {tasks} {baselines}{constants} {budget}"

    @property
    def comparisons_over_tasks(self) -> str:
        """The comparisons over all tasks, as a part of a sentence."""
        return f"({listed(self.tasks)}): {'; '.join(map(_over_tasks, self.over_tasks))}"


class Record(BaseModel):
    """Record of a discovered program.

    Attributes:
        description: description of the novelty.
        fingerprint: semantic fingerprint of the program.
        fingerprint_version: version of the fingerprint rules, which may be newer than that of the search.
        origin: provenance of the program.
        cost: cost of the search with its first stage, of the controls and of the evaluation.
        chosen_on: maps each task that was used for selection to the step that used it.
        held_out: evaluation on held-out tasks, which the result of the program rests on.
        further: evaluations on tasks that share data with the search, or were compared later.
    """

    model_config = _MODEL

    description: Annotated[str, Field(min_length=1, max_length=100)]
    fingerprint: str
    fingerprint_version: int
    origin: Origin
    cost: dict[Literal["search", "controls", "evaluation"], Spent]
    chosen_on: dict[str, str]
    held_out: RecordedEvaluation
    further: list[RecordedEvaluation] = []

    @property
    def evaluations(self) -> list[RecordedEvaluation]:
        """All evaluations, that on held-out tasks first."""
        return [self.held_out, *self.further]

    @model_validator(mode="after")
    def _is_no_task_of_selection(self) -> Record:
        for one in self.evaluations:
            for result in one.results:
                if result.task in self.chosen_on:
                    raise ValueError(
                        f"'{result.task}' is not held out: {self.chosen_on[result.task]} chose the program there"
                    )
                if [row.baseline for row in result.against] != one.baselines:
                    raise ValueError(f"'{result.task}' has other baselines than '{one.results[0].task}'")
        tables = [one.losses for one in self.evaluations]
        if len(set(tables)) != len(tables):
            raise ValueError(f"two evaluations name the same table of losses: {listed(tables)}")
        return self


@dataclass(frozen=True)
class Discovery:
    """A discovered program.

    Attributes:
        name: name of the program in the library.
        program: the program.
        record: provenance and results.
    """

    name: str
    program: Program
    record: Record

    @property
    def source(self) -> str:
        """Describes the source of the program."""
        origin = self.record.origin
        run = f"the run {origin.run} (seed {origin.seed}) on {listed(origin.tasks)}"
        return f"program {origin.program} of {run}, {origin.distilled}"

    @cached_property
    def headline(self) -> str:
        """Summarises the comparisons over all held-out tasks in one sentence."""
        held = self.record.held_out
        return f"Over {len(held.results)} held-out tasks {held.comparisons_over_tasks}."

    @property
    def commands(self) -> list[str]:
        """Commands that repeat the search, show the program in its run, and repeat its evaluations."""
        origin = self.record.origin
        return [
            f"optsearch search {self.name} --set controls=[]",
            f"optsearch show {origin.run}:{origin.program}",
            *(one.command for one in self.record.evaluations),
        ]


def _over_tasks(row: OverTasks) -> str:
    mean, low, high = row.relative
    if mean is None or low is None or high is None:
        return f"no comparison with {row.called}"
    word = {"better": "better than", "worse": "worse than", "undecided": "not told from"}[row.verdict]
    return f"{word} {row.called} (loss {mean:+.1%} [{low:+.1%}, {high:+.1%}], p = {row.corrected:.2g})"


def read_discovery(name: str, program: str, record: str) -> Discovery:
    """Parses a discovered program from the texts of its two files.

    Args:
        name: name of the program.
        program: text of the program.
        record: YAML of a `Record`.

    Raises:
        ConfigError: a text is damaged, or the program does not match its recorded fingerprint.
    """
    found = load_settings(Record, record, f"{name}.yaml")
    try:
        parsed, raw = parse(program), at_rate(parse(found.origin.raw), found.origin.rate)
    except ProgramError as error:
        raise ConfigError([f"{name}.txt, or raw in {name}.yaml: {error}"]) from error
    if found.fingerprint_version == FINGERPRINT_VERSION:
        texts = {f"{name}.txt": parsed} | ({"origin.raw": raw} if found.origin.distilled == "pruned" else {})
        for source, text in texts.items():
            if (meaning := fingerprint(text)) != found.fingerprint:
                raise ConfigError(
                    [
                        f"{source}: the program has another meaning than {name}.yaml records ({meaning}, not "
                        f"{found.fingerprint}): take both files from one release, or add the entry again"
                    ]
                )
    return Discovery(name, parsed, found)


class Discoveries(Mapping[str, Discovery]):
    """The discovered programs of a folder by name; files are read on first access.

    Args:
        folder: folder with ``NAME.txt`` and ``NAME.yaml`` for each program.
    """

    def __init__(self, folder: Traversable):
        self.folder, self._read = folder, dict[str, Discovery]()

    def __getitem__(self, name: str) -> Discovery:
        if name not in self:
            raise ProgramError(f"unknown discovered program '{name}'{nearest(name, self._names)}")
        if name not in self._read:
            self._read[name] = read_discovery(name, self._text(f"{name}.txt"), self._text(f"{name}.yaml"))
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    @cached_property
    def _names(self) -> Sequence[str]:
        return sorted(entry.name[:-5] for entry in self.folder.iterdir() if entry.name.endswith(".yaml"))

    def _text(self, file: str) -> str:
        try:
            return (self.folder / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{file}: cannot be read: {error}"]) from error


DISCOVERED = Discoveries(files("optsearch.runs.library.discovered"))
"""All shipped discovered programs by name. An unknown name raises ``ProgramError`` with the closest match."""
