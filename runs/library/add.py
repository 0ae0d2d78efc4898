"""Adds a discovered program to the library, from the records of the run that found it.

    optsearch evaluate study-seed4:3529 --task cnn --task vit --baseline adamw --baseline lion
    python -m optsearch.runs.library.add study-seed0:8692 root-scale --description "weight decay by the cube root"

Only the name and the description are entered by hand. Pass a simplified program as a file with ``--program``. Results
are looked up by semantic fingerprint, so evaluate it together with the original program: ``optsearch evaluate FILE
RUN:ID ...`` records both in the run. A program is rejected if it has no recorded evaluation, or was selected on one of
the evaluation's tasks.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from optsearch.dsl.dataflow import prune
from optsearch.dsl.fingerprint import FINGERPRINT_VERSION, fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, ProgramError
from optsearch.dsl.syntax import parse
from optsearch.runs.library.discovery import NAME, Discovery, read_discovery
from optsearch.runs.library.references import load_program
from optsearch.runs.store.environment import PACKAGES
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Arm, JsonObject, Study
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.arms import SEARCH, first_stage
from optsearch.runs.summary.campaign_file import campaign_file
from optsearch.runs.summary.evaluation_result import recorded_evaluation
from optsearch.runs.summary.held_out import tasks_chosen_on, warnings
from optsearch.runs.text.plain import printable
from optsearch.search.settings.config_errors import ConfigError
from optsearch.search.settings.yaml_text import read_yaml

Fields = dict[str, Any]
"""Fields of a part of the record before `read_discovery` validates the whole; the schema is that of
`discovery.Record`."""

HOME = Path(__file__).parent / "discovered"
"""Folder of the shipped entries."""


def add(
    reference: str,
    name: str,
    description: str,
    *,
    program: Path | None = None,
    study: int | None = None,
    folder: Path = HOME,
    replace: bool = False,
) -> Discovery:
    """Writes the two files of an entry.

    Args:
        reference: the original program, as ``RUN:ID``.
        name: name of the entry.
        description: short description of the novelty.
        program: file of the simplified program; None for the original program without dead statements.
        study: number of the evaluation with the results; None for the one with the most training runs.
        folder: output folder.
        replace: if True, replaces an existing entry of this name.

    Raises:
        ConfigError, ProgramError, RunError: the name is invalid, the program does not belong to a run, or it has no
            evaluation on held-out tasks.
    """
    if not re.match(NAME, name):
        raise ConfigError([f"'{name}' is no name for a program: use small letters, digits and single hyphens"])
    if name in LIBRARY:
        raise ConfigError([f"'{name}' is a library program: choose another name"])
    if (folder / f"{name}.yaml").exists() and not replace:
        raise ConfigError([f"'{name}' is there already: choose another name, or --replace to replace it"])
    named = load_program(reference)
    if named.run is None:
        raise RunError(f"'{reference}' is no program of a run: name it RUN:ID, and a simplified form with --program")
    given = None if program is None else load_program(str(program)).program
    chosen = prune(named.program) if given is None else given
    with RunStore.read(named.run[0]) as store:
        held = _evaluation(store, reference, chosen, study)
        record: Fields = {"description": description, "fingerprint": fingerprint(chosen)}
        record |= {"fingerprint_version": FINGERPRINT_VERSION}
        record |= {"origin": _origin(store, named.run[1], "pruned" if given is None else "simplified")}
        record |= {"cost": _cost(store, held), "chosen_on": tasks_chosen_on(store)}
        record |= {"held_out": _held_out(held, _called(held, chosen))}
    texts = {"txt": str(chosen), "yaml": yaml.dump(record, Dumper=_Dumper, sort_keys=False, width=120)}
    found = read_discovery(name, texts["txt"], texts["yaml"])
    for ending, text in texts.items():
        (folder / f"{name}.{ending}").write_text(text, encoding="utf-8")
    return found


def _evaluation(store: RunReader, reference: str, program: Program, number: int | None) -> Study:
    """Selects the evaluation that provides the results."""
    studies = [study for study in store.studies() if _takes_part(study, program)]
    example = f"`optsearch evaluate {reference} --task cnn --baseline adamw`"
    if not studies:
        raise RunError(
            f"{reference}: {store.folder} has recorded no evaluation of this program at its tasks' own batch sizes: "
            f"make one, such as {example}; a simplified program is evaluated together with the one that it comes from"
        )
    known = {study.number: study for study in studies}
    if number is not None and number not in known:
        listed = ", ".join(map(str, known))
        raise RunError(f"{reference}: study {number} is no evaluation of this program; those are {listed}")
    study = known[number] if number is not None else max(studies, key=lambda study: _result(study)["cost"]["runs"])
    if recorded_evaluation(_result(study))["replicates"] < 2:
        raise RunError(
            f"{reference}: study {study.number} is no proof: every contender was tuned once, which compares settings "
            f"and not optimizers: evaluate it with replicates, such as {example}"
        )
    if said := warnings(reference, tasks_chosen_on(store), _result(study)["tasks"]):
        raise RunError(
            f"{reference}: study {study.number} is no proof. {' '.join(said)} Evaluate it on other tasks, such as "
            f"{example}"
        )
    return study


def _takes_part(study: Study, program: Program) -> bool:
    """True if a study is a finished evaluation of a program, with the default batch size of each task."""
    if "funnel" in study.settings or study.status != "finished" or any("@" in task for task in _result(study)["tasks"]):
        return False
    return any(fingerprint(parse(entry["program"])) == fingerprint(program) for entry in study.settings["candidates"])


def _called(study: Study, program: Program) -> str:
    """Name of a program in an evaluation."""
    meaning = fingerprint(program)
    return next(
        str(entry["name"]) for entry in study.settings["candidates"] if fingerprint(parse(entry["program"])) == meaning
    )


def _result(study: Study) -> JsonObject:
    return study.stages[0].result


def _origin(store: RunReader, program_id: str, distilled: str) -> Fields:
    config, about = store.config, store.meta("about")
    arm, ticket = store.find(program_id)
    found = store.ticket(arm, ticket)
    versions = {"fingerprint": store.meta("fingerprint_version"), "search": store.meta("search_version")}
    made_with = {key: about[key] for key in ("processor", "python", *PACKAGES) if key in about} | versions
    return {
        "run": store.folder.name,
        "program": program_id,
        "tasks": config.fitness_task_names,
        "seed": config.seed,
        "fitness": found.fitness.value,
        "rate": found.fitness.rate,
        "distilled": distilled,
        "population_digest": store.population_digest(store.arm(SEARCH), config.population.size),
        "made_with": {key: str(value) for key, value in made_with.items()},
        "raw": str(found.candidate.program),
        "campaign": campaign_file(store.meta("settings")),
    }


def _cost(store: RunReader, study: Study) -> Fields:
    searched = {arm.name for arm in (*first_stage(store), store.arm(SEARCH))}
    rest = [arm for arm in store.arms() if arm.name not in searched]
    spent = _result(study)["cost"]
    return {
        "search": _spent(store, [arm for arm in store.arms() if arm.name in searched]),
        "controls": _spent(store, rest),
        "evaluation": _Line(runs=spent["runs"], seconds=round(spent["seconds"], 1)),
    }


def _spent(store: RunReader, arms: Iterable[Arm]) -> Fields:
    programs, evaluations, seconds = 0, 0, 0.0
    for arm in arms:
        programs += store.progress(arm).generated
        for result in store.evaluations(arm):
            evaluations, seconds = evaluations + 1, seconds + result.fitness.seconds
    return _Line(programs=programs, evaluations=evaluations, seconds=round(seconds, 1))


def _held_out(study: Study, program: str) -> Fields:
    asked, found = study.settings["evaluation"], _result(study)["evaluation"]
    (overall,) = [row for row in found["overall"] if row["contender"] == program]
    results: list[Fields] = []
    for task in found["tasks"]:
        against = [
            _Line(
                {"baseline": row["baseline"], **_losses(found, task, row["baseline"])}
                | {"difference": _ends(row["difference"]), "p": _short(row["p_value"])}
                | {"corrected": _short(row["corrected"]), "verdict": row["verdict"]}
            )
            for row in found["comparisons"]
            if row["task"] == task and row["contender"] == program
        ]
        about = {"task": task, "version": asked["tasks"][task], **_losses(found, task, program)}
        results.append(about | {"against": against})
    return {
        "study": study.number,
        "replicates": found["replicates"],
        "seeds": asked["seeds"],
        "skipped_seeds": asked.get("skipped_seeds", 0),
        "trials": asked["trials"],
        "constants": asked["constants"],
        **({"shared": True} if asked.get("shared") else {}),
        "programs": len(study.settings["candidates"]),
        "comparisons": len(found["comparisons"]) + len(found["headlines"]),
        "relative_loss": _ends(overall["relative_loss"]),
        "improvement": _ends(overall["improvement"]),
        "results": results,
    }


def _losses(found: JsonObject, task: str, contender: str) -> Fields:
    """Mean test loss with its interval over replicates, as printed by `evaluate`, and number of failed runs."""
    (row,) = [row for row in found["estimates"] if (row["task"], row["contender"]) == (task, contender)]
    return {"loss": _ends(row["loss"]), "failed": row["failed"]}


def _ends(interval: JsonObject | None) -> list[float | None]:
    return [None] * 3 if interval is None else [_short(interval[key]) for key in ("mean", "low", "high")]


def _short(value: float | None) -> float | None:
    """Rounds to six significant digits, well below the variation between seeds."""
    return None if value is None else float(f"{value:.6g}")


class _Line(Fields):
    """A mapping that is dumped in flow style, on one line."""


class _Dumper(yaml.SafeDumper):
    """Dumps multi-line strings as blocks, lists of scalars in flow style, and quotes only where necessary."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = read_yaml(text)
    style = "|" if "\n" in text else None if not plain.faults and plain.data == text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: yaml.SafeDumper, values: Sequence[Any]) -> yaml.SequenceNode:
    flow = not any(isinstance(value, dict) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flow)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(_Line, lambda dumper, row: dumper.represent_mapping("tag:yaml.org,2002:map", row, True))


def main() -> None:
    """Entry point of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program_of_run", metavar="RUN:ID", help="the program as it was found")
    parser.add_argument("name", help="what to call it")
    parser.add_argument("--description", required=True, help="what is new in it, in a few words")
    parser.add_argument("--program", type=Path, help="file with its simplified form [default: dead statements pruned]")
    parser.add_argument("--study", type=int, help="evaluation to take results from [default: the largest]")
    parser.add_argument("--replace", action="store_true", help="replace the entry of that name")
    parser.add_argument("--into", type=Path, default=HOME, metavar="DIR", help="other folder than the package's")
    options = parser.parse_args()
    try:
        found = add(
            options.program_of_run,
            options.name,
            options.description,
            program=options.program,
            study=options.study,
            folder=options.into,
            replace=options.replace,
        )
    except (ConfigError, ProgramError, RunError) as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        raise SystemExit(2) from None
    sys.stdout.write(printable(f"{options.into / found.name}.txt and .yaml: {found.headline}\n"))


if __name__ == "__main__":
    main()
