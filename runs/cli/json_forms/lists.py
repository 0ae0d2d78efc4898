"""JSON of the commands that list or check: tasks, functions, library programs, campaigns, checks and machines."""

from __future__ import annotations

from typing import TypedDict

from optsearch.proxy_tasks.measured import Measured
from optsearch.runs.cli.json_forms.programs import DiscoveryJson
from optsearch.runs.summary.diagnosis import CampaignFit, DeviceFacts, Finding


class TaskJson(TypedDict):
    """A task.

    Attributes:
        batch: examples per step.
        examples: number of examples of the training, validation and test split.
        epochs: number of passes over the training examples in a run.
        origin: names of the material from which data and initial weights are made.
        package: requirement of the optional package that has the data; None if they ship.
        installed: False if that package is missing or differs from the pinned one.
        trivial_loss: test loss of a predictor that ignores its input; None if unknown.
        objective: name of the loss.
        version: hash of the data and of all settings.
        adamw: measurements of AdamW on this version; None if there are none.
    """

    name: str
    family: str
    rung: str
    parameters: int
    steps: int
    batch: int
    compute: int
    examples: list[int]
    epochs: float
    origin: list[str]
    package: str | None
    installed: bool
    trivial_loss: float | None
    objective: str
    use: str
    version: str
    adamw: Measured | None
    description: str


class LawJson(TypedDict):
    """A law that tasks keep, and the result of its check.

    Attributes:
        kept: True if the task keeps it.
        says: description of the violation; None if the task keeps it.
    """

    law: str
    sentence: str
    kept: bool
    says: str | None


class FunctionJson(TypedDict):
    """A function of the language.

    Attributes:
        name: name of the function.
        operator: operator that stands for it; None without.
        signature: kinds of its operands and of its result.
        operation: class of arithmetic, for costs.
        formula: formula in LaTeX of operands x, y and a.
    """

    name: str
    operator: str | None
    signature: str
    operation: str
    formula: str


class LibraryProgramJson(TypedDict):
    """A shipped program.

    Attributes:
        statements: number of statements.
        state: names of the state variables.
        text: text of the program.
        discovery: record of a discovered program; None for a known optimizer.
    """

    name: str
    statements: int
    state: list[str]
    description: str
    text: str
    discovery: DiscoveryJson | None


class CampaignJson(TypedDict):
    """A shipped campaign.

    Attributes:
        tasks: tasks of the fitness, separated by commas.
        programs: maximum number of generated programs; None for a limit of another kind.
        population: population size.
    """

    name: str
    tasks: str
    programs: int | None
    population: int
    description: str


class CheckJson(TypedDict):
    """A check of a run.

    Attributes:
        check: what was checked.
    """

    check: str
    agrees: bool | None
    says: str


class MachineJson(TypedDict):
    """A machine."""

    about: dict[str, str]
    cores: int
    memory: int | None
    devices: list[DeviceFacts]
    device_error: str | None
    cache: str
    cache_writable: bool
    cluster_token: bool


class DiagnosisJson(TypedDict):
    """A machine, and what of a campaign fits its devices; memory in bytes.

    Attributes:
        machine: this machine.
        campaign: what of the campaign fits; None without one.
        findings: checked properties.
    """

    machine: MachineJson
    campaign: CampaignFit | None
    findings: list[Finding]
