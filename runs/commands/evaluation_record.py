"""Records an evaluation in the run files of its programs, from which the report reads it.

It is recorded as a study of one stage. An evaluation selects no programs, so its tasks remain held out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from optsearch.dsl.fingerprint import fingerprint
from optsearch.runs.library.references import NamedProgram
from optsearch.runs.store.environment import about_machine
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.records import JsonObject
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.selections import EnteredProgram
from optsearch.runs.summary.stage_record import StageRecord, TrainingCost, encode_stage
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.comparison.settings import EvaluationSettings

STAGE = "evaluation"
"""Name of the single stage, and key of the settings of such a study."""


def record_evaluation(
    programs: Mapping[str, NamedProgram], settings: EvaluationSettings, cost: TrainingCost, evaluation: Evaluation
) -> list[str]:
    """Records an evaluation in the run of each of its programs; an existing record is left unchanged.

    Args:
        programs: programs by their names in the evaluation.
        settings: settings of the evaluation.
        cost: cost of training.
        evaluation: its result.

    Returns:
        A message for each run in which the evaluation could not be recorded.
    """
    folders = list({named.run[0].resolve(): named.run[0] for named in programs.values() if named.run}.values())
    if not folders:
        return []
    candidates = [
        EnteredProgram(name, fingerprint(named.program), None, str(named.program)) for name, named in programs.items()
    ]
    recorded = {
        STAGE: settings.recorded(),
        "runs": [folder.name for folder in folders],
        "candidates": [asdict(candidate) for candidate in candidates],
    }
    stage = encode_stage(StageRecord(STAGE, (), cost, None, None, evaluation))
    return [line for folder in folders for line in _record(folder, recorded, stage)]


def _record(folder: Path, settings: JsonObject, stage: JsonObject) -> Sequence[str]:
    try:
        with RunStore.read(folder) as reader:
            if any(dict(study.settings) == settings and study.status == "finished" for study in reader.studies()):
                return ()
        with RunStore.amend(folder, about_machine()) as store:
            same = [study for study in store.studies() if dict(study.settings) == settings]
            number = same[0].number if same else store.add_study(settings)
            if not (same and same[0].stages):
                store.add_stage(number, STAGE, stage)
            store.finish_study(number)
    except RunError as error:
        return (f"Not recorded in {folder}, so that its report lacks this evaluation: {error}",)
    return ()
