"""Evaluations as JSON, in the form of run files and of ``evaluate --json``.

In JSON, pairs of a name and a value are an object, a tuning has the fields of its result, and a number that is not
finite is null. The decoder also reads the forms of earlier releases; what they did not record has the value that an
evaluation of today has without it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from optsearch.runs.store.decoding import fault
from optsearch.runs.store.records import JsonObject
from optsearch.selection.comparison.comparison import UNREPLICATED
from optsearch.selection.comparison.evaluation import Evaluation, Tuning
from optsearch.selection.space import RATE
from optsearch.selection.tuning.sensitivity import sensitivity
from optsearch.selection.tuning.tuner import Trial, Tuned
from optsearch.selection.tuning.tuning_curve import TuningCurve, tuning_curve

TRAINING = "training loss"
"""Loss that sets the target of the times in records without the key ``target``."""

_EVALUATION: TypeAdapter[Evaluation] = TypeAdapter(Evaluation)


def encode_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON values, with the sensitivity of each tuning."""
    values = finite(asdict(evaluation))
    for row in values["rows"]:
        row["values"] = dict(row["values"])
    for entry, tuning in zip(values["tuning"], evaluation.tuning, strict=True):
        tuned = entry.pop("tuned")
        trials = [{**trial, "values": dict(trial["values"])} for trial in tuned["trials"]]
        entry |= {**tuned, "values": dict(tuned["values"]), "trials": trials}
        entry["sensitivity"] = finite(asdict(sensitivity(tuning.tuned.trials)))
    values |= {"trivial": dict(evaluation.trivial), "state_bytes": dict(evaluation.state_bytes)}
    values["untuned"] = {name: list(left) for name, left in evaluation.untuned}
    for entry, family in zip(values["families"], evaluation.families, strict=True):
        entry["best"] = {task: list(best) for task, best in family.best}
    for row in values["times"]:
        row |= {"median_steps": dict(row["median_steps"]), "failed": dict(row["failed"])}
    return values


def decode_evaluation(recorded: JsonObject) -> Evaluation:
    """The evaluation that was recorded, by this release or an earlier one.

    Raises:
        ValueError: the values are no evaluation; the message names the first fault.
    """
    is_shared_known = "shared" in recorded
    current = _changed(_upgraded(recorded), _CHANGES)
    try:
        found = _EVALUATION.validate_json(json.dumps(current), strict=True)
    except ValidationError as error:
        raise ValueError(f"evaluation: {fault(error)}") from None
    _check(found)
    if is_shared_known:
        return found
    tuning = tuple(map(_by_loss, found.tuning))
    return replace(found, tuning=tuning, tuning_curves=_tuning_curves(tuning))


def finite(value: Any) -> Any:
    """Replaces non-finite numbers by None, for JSON."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_Change = Callable[[Any], Any]
"""Converts a JSON value; a value of another kind stays as it is, for validation to refuse."""


def _changed(values: Any, changes: Mapping[str, _Change]) -> Any:
    """A JSON object with some of its values converted."""
    if not isinstance(values, Mapping):
        return values
    return {**values, **{key: change(values[key]) for key, change in changes.items() if key in values}}


def _each(change: _Change) -> _Change:
    """Converts every element of a list."""
    return lambda values: [change(value) for value in values] if isinstance(values, list) else values


def _with(changes: Mapping[str, _Change]) -> _Change:
    return lambda values: _changed(values, changes)


def _pairs(values: Any) -> Any:
    """An object as a list of pairs."""
    return list(values.items()) if isinstance(values, dict) else values


def _loss(value: Any) -> Any:
    """The loss of a run; null is that of a failed one."""
    return math.inf if value is None else value


def _tuned(entry: Any) -> Any:
    """A tuning with its result apart; without trials there is no loss, and null is none."""
    if not isinstance(entry, dict):
        return entry
    losses = dict.fromkeys(("loss", "objective"), _loss) if entry.get("trials") else {}
    trials = _each(_with({"values": _pairs, "losses": _each(_loss), "objective": _loss}))
    return {**entry, "tuned": _changed(entry, {"values": _pairs, "trials": trials, **losses})}


_CHANGES: Mapping[str, _Change] = {
    "rows": _each(_with({"values": _pairs})),
    "tuning": _each(_tuned),
    "families": _each(_with({"best": _pairs})),
    "times": _each(_with({"median_steps": _pairs, "failed": _pairs})),
    **dict.fromkeys(("trivial", "untuned", "state_bytes"), _pairs),
}
"""From the recorded form to that of the dataclasses."""


def _upgraded(recorded: JsonObject) -> JsonObject:
    """The current form of an evaluation that an earlier release recorded, without what follows from its trials.

    Releases that tuned every contender once recorded verdicts from paired seeds. These hold for the settings found and
    do not compare optimizers, so they are replaced by `UNREPLICATED`, without p-values.
    """
    evaluation: JsonObject = {"target": TRAINING, "state_bytes": {}, **recorded}
    if "target" not in recorded:
        evaluation = _changed(evaluation, {"rows": _each(_defaults({"validation_losses": []}))})
    if "replicates" not in recorded:
        first = _each(_defaults({"replicate": 0}))
        unknown = {"verdict": UNREPLICATED, "p_value": None, "corrected": None, "detectable": None}
        changes: dict[str, _Change] = {
            "budget": _with({"seeds": lambda seeds: len(seeds) if isinstance(seeds, list) else seeds}),
            "rows": first,
            "tuning": first,
            "comparisons": _each(lambda row: {**row, **unknown} if isinstance(row, dict) else row),
            "times": _each(_defaults({"failed": {}})),
        }
        evaluation = {"replicates": 1, "families": [], "trivial": {}, "untuned": {}, **_changed(evaluation, changes)}
    if "shared" not in recorded:
        trials = _each(_defaults({"objective": None}))
        tuning = _each(lambda entry: _defaults({"objective": None})(_changed(entry, {"trials": trials})))
        evaluation = {"shared": False, **_changed(evaluation, {"tuning": tuning})}
    return evaluation


def _defaults(defaults: JsonObject) -> _Change:
    """Adds values to an object that lacks them."""
    return lambda values: {**defaults, **values} if isinstance(values, dict) else values


def _check(evaluation: Evaluation) -> None:
    """Checks that the parts of an evaluation belong together.

    Raises:
        ValueError: a part is missing, or names something that does not take part.
    """
    tasks, contenders = evaluation.tasks, evaluation.contenders
    pairs = {(task, name) for task in tasks for name in contenders}
    opponents = {family.name for family in evaluation.families} | set(contenders)
    chosen = [entry.tuned for entry in evaluation.tuning]
    laws = {
        "checkpoints": len(evaluation.checkpoints) == len(tasks),
        "reference": evaluation.reference in contenders,
        "replicates": evaluation.replicates >= 1 and len(evaluation.seeds) % evaluation.replicates == 0,
        "rows": {(row.task, row.contender) for row in evaluation.rows} == pairs,
        "tuning": {(row.task, row.contender) for row in evaluation.tuning} == pairs,
        "values": all(RATE in dict(tuned.values) for tuned in chosen),
        "trials": all(map(_can_be_shown, chosen)),
        "estimates": evaluation.replicates == 1
        or {(row.task, row.contender) for row in evaluation.estimates}
        == {(t, name) for t in tasks for name in opponents},
        "comparisons": {(row.task, row.contender) for row in evaluation.comparisons} <= pairs,
        "overall": set(contenders) <= {row.contender for row in evaluation.overall} <= opponents,
        "times": {row.contender for row in evaluation.times} <= set(contenders),
        "trends": all(
            len(row.tasks) == len(row.steps) == len(row.differences) > 1 and min(row.steps) > 0
            for row in evaluation.trends
        ),
        "rate_sensitivity": all(row.losses for row in evaluation.rate_sensitivity),
    }
    for part, holds in laws.items():
        if not holds:
            raise ValueError(f"evaluation: {part}: does not fit the tasks and contenders of the evaluation")


def _can_be_shown(tuned: Tuned) -> bool:
    """True if all trials have losses, and rates that a logarithmic axis can show, as has the selected point."""
    rates = [dict(point.values).get(RATE, 0.0) for point in (tuned, *tuned.trials)] if tuned.trials else []
    return all(rate > 0.0 for rate in rates) and all(trial.losses for trial in tuned.trials)


def _by_loss(tuning: Tuning) -> Tuning:
    """A tuning with its objectives, which are the losses, as every task had settings of its own."""
    trials = tuple(replace(trial, objective=trial.mean) for trial in tuning.tuned.trials)
    return replace(tuning, tuned=replace(tuning.tuned, objective=tuning.tuned.loss, trials=trials))


def _tuning_curves(tuning: tuple[Tuning, ...]) -> tuple[TuningCurve, ...]:
    """Loss against tuning budget of each contender on each task; none without trials."""
    found: dict[tuple[str, str], list[tuple[Trial, ...]]] = {}
    for row in tuning:
        if row.tuned.trials:
            found.setdefault((row.task, row.contender), []).append(row.tuned.trials)
    return tuple(tuning_curve(*about, replicates) for about, replicates in found.items())
