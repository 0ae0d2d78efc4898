"""Values from which forms are made: keys without a description of their own have that of the value."""

from __future__ import annotations

from collections.abc import Mapping

from optsearch.proxy_tasks.task import Task
from optsearch.runs.cli.json_forms import distilled, lists, programs, replicates, runs, studies
from optsearch.runs.commands.script_check import ScriptLaw
from optsearch.runs.commands.verify import Check
from optsearch.runs.library.catalog import CheckedLaw, LibraryEntry
from optsearch.runs.library.discovery import Record
from optsearch.runs.summary import selections, stage_record
from optsearch.runs.summary.counts import Counts, Leader
from optsearch.runs.summary.diagnosis import MachineFacts
from optsearch.runs.summary.evaluation_result import EvaluationResult
from optsearch.runs.summary.finals import ControlComparison, FurtherRuns
from optsearch.runs.summary.front import FrontProgram
from optsearch.runs.summary.leaderboard import RankedProgram
from optsearch.runs.summary.meta_validation import MetaValidationSummary, ValidatedProgram
from optsearch.runs.summary.program import Ancestor, ProgramEvaluation, ProgramSummary
from optsearch.runs.summary.replicates import StudyComparison, StudySummary, StudyTask
from optsearch.runs.summary.run import BestProgram, ControlSummary, FirstStageSummary, RunSummary, WarmStart
from optsearch.runs.summary.snapshot import Snapshot
from optsearch.search.config import CampaignConfig
from optsearch.selection.comparison.comparison import Comparison, Headline
from optsearch.selection.comparison.evaluation import Evaluation, Tuning
from optsearch.selection.comparison.trend import Trend
from optsearch.selection.funnel import StageVerdict
from optsearch.selection.tuning.tuner import Tuned, TuningBudget
from optsearch.simplify.behaviour.probes import Probe
from optsearch.simplify.behaviour.similarity import Influence
from optsearch.simplify.behaviour.stability import Restraint
from optsearch.simplify.distil import Distilled, Step
from optsearch.simplify.rewriting.recognise import Recognised

MADE_FROM: Mapping[type, tuple[type, ...]] = {
    runs.CountsJson: (Counts,),
    runs.LeaderJson: (Leader,),
    runs.TaskRunsJson: (FurtherRuns,),
    runs.FurtherRunsJson: (FurtherRuns,),
    runs.WarmStartJson: (WarmStart,),
    runs.BestProgramJson: (BestProgram,),
    runs.ControlJson: (ControlSummary, Counts),
    runs.FirstStageJson: (FirstStageSummary, Counts),
    runs.ControlComparisonJson: (ControlComparison,),
    runs.ValidatedProgramJson: (ValidatedProgram,),
    runs.MetaValidationJson: (MetaValidationSummary,),
    runs.RunJson: (RunSummary, Counts),
    runs.ValidationProgressJson: (MetaValidationSummary,),
    runs.SnapshotJson: (Snapshot, Counts),
    replicates.StudyComparisonJson: (StudyComparison,),
    replicates.StudyTaskJson: (StudyTask,),
    replicates.StudyJson: (StudySummary,),
    programs.LeaderboardRowJson: (RankedProgram,),
    programs.FrontRowJson: (FrontProgram,),
    programs.ProgramEvaluationJson: (ProgramEvaluation,),
    programs.AncestorJson: (Ancestor,),
    programs.ProgramJson: (programs.FormsJson, ProgramSummary),
    programs.NamedProgramJson: (programs.FormsJson,),
    programs.ProbeJson: (Probe,),
    programs.InfluenceJson: (Influence,),
    programs.BehaviourJson: (Restraint,),
    programs.DiscoveryJson: (Record,),
    lists.TaskJson: (Task,),
    lists.LawJson: (CheckedLaw,),
    lists.LibraryProgramJson: (LibraryEntry,),
    lists.CampaignJson: (CampaignConfig,),
    lists.CheckJson: (Check,),
    lists.MachineJson: (MachineFacts,),
    studies.TuningJson: (Tuning, Tuned),
    studies.TuningBudgetJson: (TuningBudget,),
    studies.EvaluationHeadJson: (EvaluationResult,),
    studies.ScriptLawJson: (ScriptLaw,),
    studies.BiasJson: (stage_record.SelectionBias,),
    studies.StageJson: (stage_record.StageRecord,),
    studies.SelectionJson: (selections.SelectionRecord, selections.SelectionResult),
    studies.RejectedProgramJson: (StageVerdict,),
    studies.TaskVerdictJson: (Comparison,),
    studies.HeadlineVerdictJson: (Headline,),
    studies.TrendVerdictJson: (Trend,),
    studies.StageSummaryJson: (stage_record.StageRecord, Evaluation),
    studies.StudySummaryJson: (selections.SelectionRecord,),
    distilled.DistilledProgramJson: (Distilled,),
    distilled.StepJson: (Step,),
    distilled.RecognisedJson: (Recognised,),
}
"""Values of each form."""

ENCODED: Mapping[type, type] = {Tuning: studies.TuningJson, TuningBudget: studies.TuningBudgetJson}
"""Forms of values inside other values."""
