"""Which command prints which form, and how stable it is."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

from optsearch.runs.cli.json_forms.distilled import DistilledProgramJson
from optsearch.runs.cli.json_forms.exported import ExportedProgramJson, ExportJson
from optsearch.runs.cli.json_forms.lists import (
    CampaignJson,
    CheckJson,
    DiagnosisJson,
    FunctionJson,
    LawJson,
    LibraryProgramJson,
    TaskJson,
)
from optsearch.runs.cli.json_forms.programs import (
    BehaviourJson,
    DiscoveryJson,
    FrontRowJson,
    LeaderboardRowJson,
    NamedProgramJson,
    ProgramJson,
)
from optsearch.runs.cli.json_forms.replicates import RunsJson
from optsearch.runs.cli.json_forms.runs import ProposedJson, ReportJson, RunJson, SnapshotJson, WatchedWorkJson
from optsearch.runs.cli.json_forms.studies import EvaluationHeadJson, ScriptLawJson, SelectionJson, StudySummaryJson
from optsearch.runs.store.work import Work
from optsearch.runs.summary.listing import ListedRun
from optsearch.runs.summary.proposals import ProposedProgram
from optsearch.selection.comparison.evaluation import Evaluation


class ShownRunJson(TypedDict):
    """What `show` adds to a run.

    Attributes:
        leaderboard: programs of lowest fitness.
        front: programs of the Pareto front of loss, state and statements.
        proposals: programs that were proposed to it.
        studies: funnels and evaluations of its programs.
    """

    leaderboard: list[LeaderboardRowJson]
    front: list[FrontRowJson]
    proposals: list[ProposedProgram]
    studies: list[StudySummaryJson]


class JsonOutput(NamedTuple):
    """Output of a command with `--json`.

    Attributes:
        command: the command.
        forms: the output has the keys of all of these.
        many: ``list`` for a list of them, ``lines`` for one in each line; empty for one.
    """

    command: str
    forms: tuple[type, ...]
    many: str = ""


OUTPUTS = (
    JsonOutput("search CAMPAIGN", (RunJson,)),
    JsonOutput("search CAMPAIGN --seeds N", (RunsJson,)),
    JsonOutput("runs", (ListedRun,), "list"),
    JsonOutput("watch RUN", (SnapshotJson,), "lines"),
    JsonOutput("watch NAME", (WatchedWorkJson, Work), "lines"),
    JsonOutput("show RUN", (RunJson, ShownRunJson)),
    JsonOutput("show RUN:ID", (ProgramJson,)),
    JsonOutput("show NAME", (NamedProgramJson,)),
    JsonOutput("report RUN", (ReportJson,)),
    JsonOutput("propose RUN FILE", (ProposedJson,)),
    JsonOutput("verify RUN", (CheckJson,), "list"),
    JsonOutput("simplify PROGRAM", (DistilledProgramJson,)),
    JsonOutput("evaluate PROGRAM", (EvaluationHeadJson, Evaluation)),
    JsonOutput("evaluate PROGRAM --check", (ScriptLawJson,), "list"),
    JsonOutput("select RUN", (SelectionJson,)),
    JsonOutput("export PROGRAM", (ExportJson,)),
    JsonOutput("export PROGRAM --to json", (ExportedProgramJson,)),
    JsonOutput("tasks", (TaskJson,), "list"),
    JsonOutput("tasks --check NAME", (LawJson,), "list"),
    JsonOutput("functions", (FunctionJson,), "list"),
    JsonOutput("library", (LibraryProgramJson,), "list"),
    JsonOutput("campaigns", (CampaignJson,), "list"),
    JsonOutput("doctor", (DiagnosisJson,)),
)
"""All outputs."""

STABLE, PROVISIONAL = "stable", "provisional"

STABILITY = {
    STABLE: "keys keep their names and meanings; a change is announced in the changelog one release ahead. Keys may be "
    "added",
    PROVISIONAL: "what is measured may still change; the changelog names every change",
}
"""Meaning of each level."""

PROVISIONALS = (BehaviourJson, DiscoveryJson, DiagnosisJson, ScriptLawJson)
"""Forms that are provisional, with the objects in them alone; all others are stable."""
