"""Short summary of the studies of a run: for each stage the kept and rejected programs, with reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Stage, Study
from optsearch.runs.summary.evaluation_result import recorded_evaluation


def studies(store: RunReader) -> list[dict[str, Any]]:
    """Studies of a run in the order of their creation, as JSON values.

    Args:
        store: the run.

    Returns:
        For each its ``study`` number, ``funnel`` (None for an evaluation), ``runs``, ``status``, ``candidates``,
        ``stages`` and ``survivors``, the programs that passed the last completed stage.
    """
    return [_study(study) for study in store.studies()]


def _study(study: Study) -> dict[str, Any]:
    funnel = study.settings.get("funnel")
    stages = [_stage(stage) for stage in study.stages]
    candidates = [candidate["name"] for candidate in study.settings["candidates"]]
    return {
        "study": study.number,
        "created": study.created,
        "status": study.status,
        "funnel": None if funnel is None else funnel["name"],
        "planned": [] if funnel is None else [stage["name"] for stage in funnel["stages"]],
        "runs": list(study.settings["runs"]),
        "candidates": candidates,
        "stages": stages,
        "survivors": stages[-1]["passed"] if stages else candidates,
    }


def _stage(stage: Stage) -> dict[str, Any]:
    result: Mapping[str, Any] = stage.result
    programs = [row for row in result["verdicts"] if not row["baseline"]]
    evaluation = recorded_evaluation(result)
    comparisons, headlines = evaluation["comparisons"], evaluation["headlines"]
    return {
        "name": stage.name,
        "tasks": list(result["tasks"]),
        "seeds": len(result["seeds"]) // evaluation["replicates"],
        "replicates": evaluation["replicates"],
        "shared": evaluation["shared"],
        "passed": [row["contender"] for row in programs if row["passed"]],
        "fell": [{"contender": row["contender"], "why": row["why"]} for row in programs if not row["passed"]],
        "comparisons": [{key: row[key] for key in ("task", "contender", "baseline", "verdict")} for row in comparisons],
        "headlines": [{key: row[key] for key in ("contender", "opponent", "verdict")} for row in headlines],
        "cost": dict(result["cost"]),
        "rank_correlation": result["rank_correlation"],
    }
