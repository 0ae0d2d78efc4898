"""JSON output of funnels, and of the studies of a run."""

from __future__ import annotations

from dataclasses import asdict

from optsearch.runs.cli.options import Json
from optsearch.runs.summary.selections import SelectionRecord, SelectionResult
from optsearch.runs.summary.stage_record import StageRecord, encode_stage


def selection_json(result: SelectionResult) -> Json:
    """The result of ``select``: candidates, and for each stage its verdicts, cost and complete evaluation."""
    found = result.selection
    return {
        "funnel": found.name,
        "runs": list(found.runs),
        "status": found.status,
        "study": found.number,
        "warnings": list(result.warnings),
        "candidates": [asdict(candidate) for candidate in found.candidates],
        "stages": [encode_stage(stage) for stage in found.stages],
        "survivors": list(found.survivors),
        "considered": result.considered,
        "doubles": [asdict(double) for double in result.doubles],
        "trained_runs": result.trained,
        "known_runs": result.known,
    }


def studies_json(found: list[SelectionRecord]) -> list[Json]:
    """Short summaries of the studies of a run."""
    return [_study(study) for study in found]


def _study(study: SelectionRecord) -> Json:
    return {
        "study": study.number,
        "created": study.created,
        "status": study.status,
        "funnel": study.funnel and study.funnel.name,
        "planned": [] if study.funnel is None else list(study.funnel.stages),
        "runs": list(study.runs),
        "candidates": [candidate.name for candidate in study.candidates],
        "stages": [_stage(stage) for stage in study.stages],
        "survivors": list(study.survivors),
    }


def _stage(stage: StageRecord) -> Json:
    """The kept and rejected programs with reasons, and the verdicts against baselines."""
    found = stage.evaluation
    return {
        "name": stage.name,
        "tasks": list(stage.tasks),
        "seeds": stage.seeds,
        "replicates": found.replicates,
        "shared": found.shared,
        "passed": list(stage.passed),
        "fell": [{"contender": row.contender, "why": row.why} for row in stage.programs if not row.passed],
        "comparisons": [
            {"task": row.task, "contender": row.contender, "baseline": row.baseline, "verdict": row.verdict}
            for row in found.comparisons
        ],
        "headlines": [
            {"contender": row.contender, "opponent": row.opponent, "verdict": row.verdict} for row in found.headlines
        ],
        "trends": [
            {"task": row.task, "contender": row.contender, "opponent": row.opponent, "verdict": row.verdict}
            for row in found.trends
        ],
        "cost": asdict(stage.cost),
        "rank_correlation": stage.rank_correlation and asdict(stage.rank_correlation),
    }
