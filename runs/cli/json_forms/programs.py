"""JSON of programs: what `show` prints of one, and their rows in the summary of a run."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from optsearch.runs.library.discovery import Origin, RecordedEvaluation, Spent


class LeaderboardRowJson(TypedDict):
    """A program of the leaderboard.

    Attributes:
        statements: number of its statements.
        live_statements: number of its statements that can influence the update.
        state: names of its live state variables.
    """

    id: str
    fitness: float | None
    statements: int
    live_statements: int
    state: list[str]
    finalist: float | None
    best: bool


class FrontRowJson(TypedDict):
    """A program of the Pareto front.

    Attributes:
        state_arrays: number of state arrays as large as the parameters.
        live_statements: number of its statements that can influence the update.
    """

    id: str
    fitness: float
    state_arrays: int
    live_statements: int


class ProgramEvaluationJson(TypedDict):
    """An evaluation of a program, in its search or on a further seed.

    Attributes:
        task: names of the tasks that were reached, separated by commas.
        losses: with several tasks, the mean validation loss on each task that was reached.
    """

    of: str
    purpose: str
    task: str
    seeds: list[int]
    outcome: str
    rate: float
    loss: float | None
    loss_so_far: float | None
    steps: int
    losses: NotRequired[dict[str, float]]


class AncestorJson(TypedDict):
    """A program of a lineage."""

    id: str
    mutation: str
    fitness: float | None
    outcome: str


class FormsJson(TypedDict):
    """A program.

    Attributes:
        id: id of the program within the run, or its name.
        text: the program as recorded.
        rate: factor on the learning rate that the search found best; 1 for a program that belongs to no run.
        pruned: the program at this learning rate, without dead statements.
        behaviour: its cost and behaviour, determined without training.
    """

    id: str
    text: str
    rate: float
    pruned: str
    behaviour: BehaviourJson


class ProgramJson(FormsJson):
    """A program of a run.

    Attributes:
        arm: name of its search.
    """

    arm: str
    fitness: float | None
    outcome: str
    fingerprint: str
    evaluated_as: str
    evaluations: list[ProgramEvaluationJson]
    lineage: list[AncestorJson]


class NamedProgramJson(FormsJson):
    """A program of the library or of a file.

    Attributes:
        discovery: record of a discovered program; absent for others.
    """

    discovery: NotRequired[DiscoveryJson]


class CostJson(TypedDict):
    """Cost of a step of a program, per parameter.

    Attributes:
        state_arrays: number of state values kept between steps; state per row or per column is excluded.
        state_bytes: bytes of this state in float32.
        operations: number of arithmetic operations by class.
        arithmetic: total arithmetic, in units of one addition.
        traffic_bytes: bytes read and written.
        traffic_of_adamw: these bytes relative to those of AdamW.
    """

    state_arrays: int
    state_bytes: int
    operations: dict[str, int]
    arithmetic: float
    traffic_bytes: int
    traffic_of_adamw: float


class ProbeJson(TypedDict):
    """Result of a probe."""

    value: float | None
    x: list[float]
    y: list[float | None]
    says: str


class InfluenceJson(TypedDict):
    """Effect of a statement."""

    line: int
    statement: str
    change: float | None


class BehaviourJson(TypedDict):
    """Cost and behaviour of a program, determined without training.

    Attributes:
        cost: cost of a step.
        probes: result of each probe by its name.
        largest_update: proved bound on the update; without one the largest that was observed; None if not finite.
        weight_decay: `decoupled` if every step removes the same fraction of the weights regardless of the gradients.
        decay_share: that fraction; None unless decay is decoupled.
        stable_rates: largest stable value of the schedule by curvature; None if all tested rates are stable or none is.
        distances: behavioural distance to each library program.
        statements: effect of each live statement.
        says: all results as sentences.
    """

    cost: CostJson
    probes: dict[str, ProbeJson]
    bounded: bool
    largest_update: float | None
    weight_decay: str
    decay_share: float | None
    weight_bound: float | None
    stable_rates: dict[str, float | None]
    distances: dict[str, float]
    statements: list[InfluenceJson]
    says: list[str]


class DiscoveryJson(TypedDict):
    """The record of a discovered program, with two additions.

    Attributes:
        headline: its result in one sentence.
        commands: commands that reproduce it.
    """

    description: str
    fingerprint: str
    fingerprint_version: int
    origin: Origin
    cost: dict[str, Spent]
    chosen_on: dict[str, str]
    held_out: RecordedEvaluation
    further: list[RecordedEvaluation]
    headline: str
    commands: list[str]
