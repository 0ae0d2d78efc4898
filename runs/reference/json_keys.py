"""Reference of JSON: the keys of the output of each command, and how stable they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from optsearch.runs.cli.json_forms.outputs import OUTPUTS, PROVISIONAL, PROVISIONALS, STABILITY, STABLE, JsonOutput
from optsearch.runs.reference.documented import summary
from optsearch.runs.reference.forms import forms_in, keys, words
from optsearch.runs.reference.markdown import code, page, sentence, settings_words, table


def json_page() -> str:
    """The page of all keys."""
    found = list(dict.fromkeys(form for output in OUTPUTS for form in _all_forms(output.forms)))
    if len({_title(form) for form in found}) < len(found):
        raise ValueError("two forms have the same title")
    links = {form: f"[{_title(form)}](#{_title(form).lower().replace(' ', '-')})" for form in found}
    stability = _stability()
    return page(
        "JSON",
        "With `--json` a command prints one JSON value on the standard output and everything else on the error stream; "
        "`watch` prints a value in each line. `export --to json` writes JSON without it. The order of keys is fixed. A "
        "number that is not finite is null. Intervals are 95 % intervals.",
        table(("command", "output"), ((code(one.command), _output(one, links)) for one in OUTPUTS)),
        "## Stability",
        table(("level", "meaning"), ((name, sentence(text)) for name, text in STABILITY.items())),
        "Provisional are "
        + ", ".join(links[form] for form in found if stability[form] == PROVISIONAL)
        + "; all other objects are stable.",
        *(block for form in found for block in _object(form, links)),
    )


def _object(form: type, links: Mapping[type, str]) -> Iterator[str]:
    yield f"## {_title(form)}"
    yield settings_words(summary(form))
    yield table(
        ("key", "value", "meaning"),
        (
            (
                code(key.name),
                words(key.kind, links) + ("" if key.required else ", may be absent"),
                sentence(settings_words(key.description)),
            )
            for key in keys(form)
        ),
    )


def _output(one: JsonOutput, links: Mapping[type, str]) -> str:
    found = " with the keys of ".join(links[form] for form in one.forms)
    return {"list": f"list of {found}", "lines": f"{found} in each line", "": found}[one.many]


def _stability() -> Mapping[type, str]:
    """Level of each form; one that occurs in a stable form and in a provisional one is stable."""
    provisional = set(_all_forms(PROVISIONALS))
    stable = set(_all_forms((form for one in OUTPUTS for form in one.forms), without=PROVISIONALS))
    return {form: STABLE if form in stable else PROVISIONAL for form in provisional | stable}


def _all_forms(roots: Iterable[type], without: Iterable[type] = ()) -> Iterator[type]:
    """Forms and those inside them, without repetition, in the order of reading."""
    seen, waiting = set(without), list(roots)
    while waiting:
        form = waiting.pop(0)
        if form in seen:
            continue
        seen.add(form)
        yield form
        waiting = [inner for key in keys(form) for inner in forms_in(key.kind)] + waiting


def _title(form: type) -> str:
    """Name of a form in words: ``RunJson`` is ``Run``."""
    name = form.__name__.removesuffix("Json")
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip().capitalize()
