"""JSON output of runs, programs and studies: converts each view to JSON values.

Keys and their order are part of the interface of ``--json``. Programs become text, and intervals
become their two ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from optsearch.dsl.cost import cost
from optsearch.dsl.library import LIBRARY
from optsearch.runs.cli.json_rows import discovery_json
from optsearch.runs.cli.options import Json
from optsearch.runs.commands.verify import Check
from optsearch.runs.library.discovery import Discovery
from optsearch.runs.report.explain import BYTES, Explanation
from optsearch.runs.summary.counts import Counts, Leader
from optsearch.runs.summary.finals import ControlComparison, Difference, FurtherRuns
from optsearch.runs.summary.front import FrontProgram
from optsearch.runs.summary.leaderboard import RankedProgram
from optsearch.runs.summary.meta_validation import MetaValidationSummary
from optsearch.runs.summary.program import Ancestor, ProgramEvaluation, ProgramForms, ProgramSummary
from optsearch.runs.summary.proposals import ProposedProgram
from optsearch.runs.summary.replicates import StudyComparison, StudySummary
from optsearch.runs.summary.run import BestProgram, ControlSummary, FirstStageSummary, ProgramEntry, RunSummary
from optsearch.runs.summary.snapshot import Snapshot
from optsearch.selection.statistics.intervals import Interval


def run_json(run: RunSummary) -> Json:
    """The summary of a run."""
    about = {
        "name": run.name,
        "run": str(run.folder),
        "status": run.status,
        "task": run.tasks[0],
        "tasks": list(run.tasks),
        "seed": run.seed,
        "seconds": run.seconds,
        **_counts(run.counts),
        "redundant_share": run.redundant_share,
        "best": run.best and _best(run.best),
        "warm_start": run.warm_start and {"name": run.warm_start.name, **_entry(run.warm_start)},
        "controls": [_control(control) for control in run.controls],
        "comparison": [_comparison(row) for row in run.comparison],
        "first_stage": [_first_stage(stage) for stage in run.first_stage],
        "meta_validation": run.meta_validation and _meta_validation(run.meta_validation),
    }
    return about if run.population_digest is None else about | {"population_digest": run.population_digest}


def proposals_json(proposed: Sequence[ProposedProgram]) -> list[Json]:
    """The proposals of a run; those without an id wait."""
    return [
        {"id": row.id, "source": row.source, "file": row.file, "fitness": row.fitness, "outcome": row.outcome}
        for row in proposed
    ]


def leaderboard_json(ranked: Sequence[RankedProgram]) -> list[Json]:
    """The rows of a leaderboard."""
    return [
        {
            "id": row.id,
            "fitness": row.fitness,
            "statements": len(row.program.body),
            "live_statements": len(row.live.body),
            "state": list(row.live.state),
            "finalist": row.finalist,
            "best": row.best,
        }
        for row in ranked
    ]


def front_json(front: Sequence[FrontProgram]) -> list[Json]:
    """The programs of a Pareto front."""
    return [
        {"id": row.id, "fitness": row.fitness, "state_arrays": row.size.state, "live_statements": row.size.statements}
        for row in front
    ]


def program_json(program: ProgramSummary, behaviour: Explanation) -> Json:
    """A program of a run."""
    return {
        "id": program.id,
        "arm": program.search,
        **_forms(program.forms),
        "fitness": program.fitness,
        "outcome": program.outcome,
        "fingerprint": program.fingerprint,
        "evaluated_as": program.evaluated_as,
        "evaluations": [_evaluation(evaluation) for evaluation in program.evaluations],
        "lineage": [_ancestor(ancestor) for ancestor in program.lineage],
        "behaviour": behaviour_json(behaviour),
    }


def named_program_json(name: str, forms: ProgramForms, behaviour: Explanation, found: Discovery | None) -> Json:
    """A standalone program; a discovered one with its record."""
    values = {**_forms(forms), "id": name, "behaviour": behaviour_json(behaviour)}
    return values if found is None else values | {"discovery": discovery_json(found)}


def behaviour_json(found: Explanation) -> Json:
    """Cost and behaviour of a program."""
    held = found.restraint
    return {
        "cost": {
            "state_arrays": found.cost.state,
            "state_bytes": BYTES * found.cost.state,
            "operations": {operation.value: count for operation, count in found.cost.operations.items()},
            "arithmetic": found.cost.arithmetic,
            "traffic_bytes": BYTES * found.cost.traffic,
            "traffic_of_adamw": found.cost.traffic / cost(LIBRARY["adamw"]).traffic,
        },
        "probes": {p.name: {"value": p.value, "x": p.x, "y": p.y, "says": p.says} for p in found.probes},
        "bounded": held.bounded,
        "largest_update": held.proved if held.proved is not None else held.largest,
        "weight_decay": held.decay,
        "decay_share": held.share,
        "weight_bound": held.weight_bound,
        "stable_rates": dict(zip(map(str, found.stability.curvatures), found.stability.rates, strict=True)),
        "distances": {like.name: like.distance for like in found.likenesses},
        "statements": [{"line": i.line, "statement": i.statement, "change": i.change} for i in found.influences],
        "says": found.sentences,
    }


def snapshot_json(seen: Snapshot) -> Json:
    """The progress of a run; before its first search without meta-validation and time."""
    values = {
        "name": seen.name,
        "status": seen.status,
        "search": seen.search,
        **_counts(seen.counts),
        "redundant_share": seen.redundant_share,
        "best": seen.best and _leader(seen.best),
        "warm_start": seen.warm_start,
    }
    if seen.search is None:
        return values
    meta = seen.meta_validation
    carried = meta and {"task": meta.task, "carry_forward": meta.carry_forward, "overfitting": meta.overfitting}
    return values | {"meta_validation": carried, "seconds": seen.seconds, "result": seen.result}


def check_json(check: Check) -> Json:
    """The result of one check of ``verify``."""
    return {"check": check.name, "agrees": check.agrees, "says": check.says}


def study_json(study: StudySummary) -> Json:
    """The statistics over the runs of a study."""
    fresh = study.best_fresh and _mean(study.best_fresh)
    return {
        "seeds": list(study.seeds),
        "best_fitness": study.best_fitness and _mean(study.best_fitness),
        "best_fresh_loss": None if study.tasks else fresh,
        "best_fresh_score": fresh if study.tasks else None,
        "cache_hit_rate": study.cache_hit_rate and _mean(study.cache_hit_rate),
        "redundant_share": study.redundant_share and _mean(study.redundant_share),
        "comparison": [_study_comparison(row) for row in study.comparison],
        "tasks": [
            {
                "task": on.task,
                "best_fresh_loss": on.best_fresh and _mean(on.best_fresh),
                "comparison": [_study_comparison(row) for row in on.comparison],
            }
            for on in study.tasks
        ],
    }


def _counts(counts: Counts) -> Json:
    return {
        "generated": counts.generated,
        "evaluated": counts.evaluated,
        "cache_hits": counts.cache_hits,
        "outcomes": dict(counts.outcomes),
    }


def _forms(forms: ProgramForms) -> Json:
    return {"text": str(forms.recorded), "rate": forms.rate, "pruned": str(forms.pruned)}


def _entry(entry: ProgramEntry) -> Json:
    return {"id": entry.id, "fitness": entry.fitness, **_further(entry)}


def _best(best: BestProgram) -> Json:
    return {"id": best.id, "fitness": best.fitness, **_forms(best.forms), **_further(best)}


def _further(entry: ProgramEntry) -> Json:
    return {
        "finalist": entry.finalist and _further_runs(entry.finalist),
        "fresh": entry.fresh and _further_runs(entry.fresh),
    }


def _further_runs(runs: FurtherRuns) -> Json:
    values = {
        "seeds": list(runs.seeds),
        "scores" if runs.tasks else "losses": list(runs.values),
        "outcomes": dict(runs.outcomes),
        "mean": runs.mean,
        "interval": runs.interval and _ends(runs.interval),
    }
    if not runs.tasks:
        return values
    return values | {"tasks": [{"task": task, **_further_runs(losses)} for task, losses in runs.tasks.items()]}


def _control(control: ControlSummary) -> Json:
    return {"name": control.name, **_counts(control.counts), "best": control.best and _best(control.best)}


def _first_stage(stage: FirstStageSummary) -> Json:
    return {"name": stage.name, **_counts(stage.counts), "best": stage.best and _leader(stage.best)}


def _leader(found: Leader) -> Json:
    return {"id": found.id, "fitness": found.fitness}


def _comparison(row: ControlComparison) -> Json:
    values = {"control": row.control, **_difference(row, row.overall)}
    if not row.tasks:
        return values
    return values | {"tasks": [{"task": task, **_difference(row, on)} for task, on in row.tasks.items()]}


def _difference(row: ControlComparison, found: Difference) -> Json:
    return {
        "difference": found.interval and found.interval.mean,
        "interval": found.interval and _ends(found.interval),
        "winner": row.name_of(found.winner),
    }


def _meta_validation(found: MetaValidationSummary) -> Json:
    return {
        "task": found.task,
        "seeds": list(found.seeds),
        "programs": [
            {
                "id": row.id,
                "evaluations": row.evaluations,
                "fitness": row.fitness,
                "outcome": row.outcome,
                "loss": row.loss,
            }
            for row in found.programs
        ],
        "carry_forward": found.carry_forward,
        "overfitting": found.overfitting,
    }


def _evaluation(found: ProgramEvaluation) -> Json:
    values = {
        "of": found.of,
        "purpose": found.purpose,
        "task": ", ".join(found.tasks),
        "seeds": list(found.seeds),
        "outcome": found.outcome,
        "rate": found.rate,
        "loss": found.loss,
        "loss_so_far": found.loss_so_far,
        "steps": found.steps,
    }
    return values | {"losses": dict(found.losses)} if found.losses else values


def _ancestor(found: Ancestor) -> Json:
    return {"id": found.id, "mutation": found.mutation, "fitness": found.fitness, "outcome": found.outcome}


def _study_comparison(row: StudyComparison) -> Json:
    return {
        "control": row.control,
        "runs": row.runs,
        "difference": row.difference and row.difference.mean,
        "interval": row.difference and _ends(row.difference),
    }


def _mean(interval: Interval) -> Json:
    return {"mean": interval.mean, "interval": _ends(interval), "runs": interval.count}


def _ends(interval: Interval) -> list[float | None]:
    return [interval.low, interval.high]
