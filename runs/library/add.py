"""Adds a discovered program to the library, from the records of the run that found it.

    optsearch evaluate study-seed4:3529 --task cnn --task vit --baseline adamw --baseline lion
    python -m optsearch.runs.library.add study-seed0:8692 root-scale --description "weight decay by the cube root"

Only the name and the description are entered by hand. Pass a simplified program as a file with ``--simplified``.
Results are looked up by semantic fingerprint, so evaluate it together with the original program: ``optsearch evaluate
FILE RUN:ID ...`` records both in the run. A program is rejected if it has no recorded evaluation, or was selected on
one of the evaluation's tasks or on their data.

A shipped program that has been evaluated again gets the new results, and keeps its provenance:

    optsearch evaluate root-scale --task cnn --task vit --baseline adamw --baseline muon --json > evaluation.json
    python -m optsearch.runs.library.add root-scale root-scale --evaluation evaluation.json --replace

With ``--further`` the new results stand beside those on held-out tasks, and may be on other tasks with the data that
selected the program; with ``--replace`` those with the same ``--losses`` are replaced:

    python -m optsearch.runs.library.add root-scale root-scale --evaluation evaluation.json --further --losses x10
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from optsearch.dsl.dataflow import prune
from optsearch.dsl.fingerprint import FINGERPRINT_VERSION, fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, ProgramError
from optsearch.dsl.syntax import parse
from optsearch.runs.library.discovery import DISCOVERED, NAME, Discovery, Record, read_discovery
from optsearch.runs.library.references import load_program
from optsearch.runs.library.results import SETTINGS, Fields, Line, RecordedResult, losses_of_seeds, results_of
from optsearch.runs.store.decoding import fault
from optsearch.runs.store.environment import PACKAGES
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Search
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.campaign_file import campaign_file
from optsearch.runs.summary.held_out import tasks_chosen_on, warnings
from optsearch.runs.summary.result_file import ResultFile
from optsearch.runs.summary.searches import SEARCH, first_stage
from optsearch.runs.summary.selections import SelectionRecord, read_selections
from optsearch.runs.text.plain import printable
from optsearch.search.settings.config_errors import ConfigError
from optsearch.search.settings.yaml_text import read_yaml
from optsearch.selection.comparison.evaluation import Evaluation

HOME = Path(__file__).parent / "discovered"
"""Folder of the shipped entries."""


def add(
    reference: str,
    name: str,
    description: str | None = None,
    *,
    program: Path | None = None,
    study: int | None = None,
    evaluation: Path | None = None,
    losses: str | None = None,
    further: bool = False,
    folder: Path = HOME,
    replace: bool = False,
) -> Discovery:
    """Writes the files of an entry: the program, its record, and the table of all losses.

    Args:
        reference: the original program, as ``RUN:ID``; or the name of a shipped program that has been evaluated again.
        name: name of the entry.
        description: short description of the novelty; None for that of the shipped program.
        program: file of the simplified program; None for the original program without dead statements.
        study: number of the evaluation with the results; None for the one with the most training runs.
        evaluation: output of ``optsearch evaluate --json`` with the results of a shipped program.
        losses: name of the table of losses, which programs evaluated together can share; None for the entry's name.
        further: if True, adds the results to those of a shipped program; otherwise they replace its held-out results.
        folder: output folder.
        replace: if True, replaces an existing entry of this name, and an existing table of another evaluation.

    Raises:
        ConfigError, ProgramError, RunError: the name is invalid, the program does not belong to a run, or it has no
            evaluation on held-out tasks.
    """
    if not re.match(NAME, name):
        raise ConfigError([f"'{name}' is no name for a program: use small letters, digits and single hyphens"])
    if name in LIBRARY:
        raise ConfigError([f"'{name}' is a library program: choose another name"])
    if further and (reference != name or reference not in DISCOVERED or losses is None):
        raise ConfigError(["--further adds results to a shipped program: give its name twice, and --losses NAME"])
    if (folder / f"{name}.yaml").exists() and not (replace or further):
        raise ConfigError([f"'{name}' is there already: choose another name, or --replace to replace it"])
    chosen, record, evaluated = (
        _shipped(reference, evaluation, further) if reference in DISCOVERED else _of_run(reference, program, study)
    )
    if description is not None:
        record["description"] = description
    if "description" not in record:
        raise ConfigError(["an entry needs a description: say what is new in the program, with --description"])
    called = evaluated.called(chosen)
    table, file = losses_of_seeds(evaluated), f"{losses or name}.csv"
    if not replace and (folder / file).exists() and (folder / file).read_text(encoding="utf-8") != table:
        raise ConfigError([f"'{file}' is there already, from another evaluation: choose another name with --losses"])
    results = results_of(evaluated, called, name, file)
    if further:
        record["further"] = [*(one for one in record["further"] if one["losses"] != file), results]
    else:
        record["held_out"] = results
        record["cost"]["evaluation"] = Line(runs=evaluated.cost.runs, seconds=round(evaluated.cost.seconds, 1))
    texts = {"txt": str(chosen), "yaml": yaml.dump(record, Dumper=_Dumper, sort_keys=False, width=120)}
    found = read_discovery(name, texts["txt"], texts["yaml"])
    files = {f"{name}.{ending}": text for ending, text in texts.items()} | {file: table}
    for path, text in files.items():
        (folder / path).write_text(text, encoding="utf-8")
    return found


def _of_run(reference: str, program: Path | None, study: int | None) -> tuple[Program, Fields, RecordedResult]:
    """The program of a run, the part of its record that is no result, and its recorded evaluation."""
    named = load_program(reference)
    if named.run is None:
        raise RunError(f"'{reference}' is no program of a run: name it RUN:ID, and a simplified form with --simplified")
    given = None if program is None else load_program(str(program)).program
    chosen = prune(named.program) if given is None else given
    with RunStore.read(named.run[0]) as store:
        held = _evaluation(store, reference, chosen, study)
        record: Fields = {"fingerprint": fingerprint(chosen), "fingerprint_version": FINGERPRINT_VERSION}
        record["origin"] = _origin(store, named.run[1], "pruned" if given is None else "simplified")
        record |= {"cost": _cost(store), "chosen_on": tasks_chosen_on(store)}
        (stage,) = held.stages
        evaluated = RecordedResult(
            SETTINGS.validate_python(held.asked),
            {candidate.name: candidate.program for candidate in held.candidates},
            stage.cost,
            stage.evaluation,
            _made_with(store.meta("about")),
        )
    return chosen, record, evaluated


def _shipped(name: str, path: Path | None, further: bool) -> tuple[Program, Fields, RecordedResult]:
    """A shipped program, its record, and a new evaluation."""
    if path is None:
        raise ConfigError([f"'{name}' is shipped: pass its new results with --evaluation FILE"])
    one = DISCOVERED[name]
    found = ResultFile.read(path)
    try:
        settings = SETTINGS.validate_python(found.settings)
    except ValidationError as error:
        raise RunError(f"{path}: is no output of `optsearch evaluate --json`: settings: {fault(error)}") from None
    evaluated = RecordedResult(
        settings,
        found.programs,
        found.cost,
        found.evaluation,
        _made_with(found.made_with),
    )
    chosen_on = {} if further else one.record.chosen_on
    _check_proof(name, f"{path}", evaluated.evaluation, chosen_on, f"`optsearch evaluate {name} --task cnn --json`")
    return one.program, _with_lines(one.record), evaluated


def _with_lines(record: Record) -> Fields:
    """A record as it was read, with the same parts on one line."""
    found = record.model_dump(mode="json", exclude_defaults=True)
    found["cost"] = {part: Line(spent) for part, spent in found["cost"].items()}
    for one in (found["held_out"], *found.setdefault("further", [])):
        for result in one["results"]:
            result["against"] = [Line(row) for row in result["against"]]
    return found


def _evaluation(store: RunReader, reference: str, program: Program, number: int | None) -> SelectionRecord:
    """Selects the evaluation that provides the results."""
    studies = [study for study in read_selections(store) if _takes_part(study, program)]
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
    study = known[number] if number is not None else max(studies, key=lambda study: study.stages[0].cost.runs)
    evaluation = study.stages[0].evaluation
    _check_proof(reference, f"study {study.number}", evaluation, tasks_chosen_on(store), example)
    return study


def _check_proof(
    reference: str, called: str, evaluation: Evaluation, chosen_on: Mapping[str, str], example: str
) -> None:
    """Refuses an evaluation with one tuning of each contender, or on data that selected the program."""
    if evaluation.replicates < 2:
        raise RunError(
            f"{reference}: {called} is no proof: every contender was tuned once, which compares settings and not "
            f"optimizers: evaluate it with replicates, such as {example}"
        )
    if said := warnings(reference, chosen_on, evaluation.tasks):
        raise RunError(
            f"{reference}: {called} is no proof. {' '.join(said)} Evaluate it on other tasks, such as {example}"
        )


def _takes_part(study: SelectionRecord, program: Program) -> bool:
    """True if a study is a finished evaluation of a program, with the default batch size of each task."""
    if study.funnel is not None or study.status != "finished" or not study.stages:
        return False
    if any("@" in task for task in study.stages[0].tasks):
        return False
    return any(fingerprint(parse(candidate.program)) == fingerprint(program) for candidate in study.candidates)


def _origin(store: RunReader, program_id: str, distilled: str) -> Fields:
    config, about = store.config, store.meta("about")
    search, ticket = store.find(program_id)
    found = store.ticket(search, ticket)
    versions = {"fingerprint": store.meta("fingerprint_version"), "search": store.meta("search_version")}
    return {
        "run": store.folder.name,
        "program": program_id,
        "tasks": config.fitness_task_names,
        "seed": config.seed,
        "fitness": found.fitness.value,
        "rate": found.fitness.rate,
        "distilled": distilled,
        "population_digest": store.population_digest(store.search(SEARCH), config.population.size),
        "made_with": _made_with(about) | {key: str(value) for key, value in versions.items()},
        "raw": str(found.candidate.program),
        "campaign": campaign_file(store.meta("settings")),
    }


def _made_with(about: Mapping[str, object]) -> dict[str, str]:
    return {key: str(about[key]) for key in ("processor", "python", *PACKAGES) if key in about}


def _cost(store: RunReader) -> Fields:
    searched = {search.name for search in (*first_stage(store), store.search(SEARCH))}
    rest = [search for search in store.searches() if search.name not in searched]
    return {
        "search": _spent(store, [search for search in store.searches() if search.name in searched]),
        "controls": _spent(store, rest),
    }


def _spent(store: RunReader, searches: Iterable[Search]) -> Fields:
    programs, evaluations, seconds = 0, 0, 0.0
    for search in searches:
        programs += store.progress(search).generated
        for result in store.evaluations(search):
            evaluations, seconds = evaluations + 1, seconds + result.fitness.seconds
    return Line(programs=programs, evaluations=evaluations, seconds=round(seconds, 1))


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
_Dumper.add_representer(Line, lambda dumper, row: dumper.represent_mapping("tag:yaml.org,2002:map", row, True))


def main() -> None:
    """Entry point of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="RUN:ID", help="the program as it was found, or the name of a shipped one")
    parser.add_argument("name", help="what to call it")
    parser.add_argument("--description", help="what is new in it, in a few words")
    parser.add_argument("--simplified", type=Path, metavar="FILE", help="its simplified form [default: pruned]")
    parser.add_argument("--study", type=int, help="evaluation to take results from [default: the largest]")
    parser.add_argument("--evaluation", type=Path, metavar="FILE", help="new results of a shipped program, as JSON")
    parser.add_argument("--losses", metavar="NAME", help="table of losses, which several programs can share")
    parser.add_argument("--further", action="store_true", help="add the results to those on held-out tasks")
    parser.add_argument("--replace", action="store_true", help="replace the entry of that name")
    parser.add_argument("--into", type=Path, default=HOME, metavar="DIR", help="other folder than the package's")
    options = parser.parse_args()
    try:
        found = add(
            options.program,
            options.name,
            options.description,
            program=options.simplified,
            study=options.study,
            evaluation=options.evaluation,
            losses=options.losses,
            further=options.further,
            folder=options.into,
            replace=options.replace,
        )
    except (ConfigError, ProgramError, RunError) as error:
        sys.stderr.write(f"error: {printable(str(error))}\n")
        raise SystemExit(2) from None
    newest = found.record.evaluations[-1 if options.further else 0]
    files = f"{options.into / found.name}.txt, .yaml and {newest.losses}"
    sys.stdout.write(printable(f"{files}: {newest.comparisons_over_tasks}\n"))


if __name__ == "__main__":
    main()
