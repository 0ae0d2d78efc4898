"""Text of exported files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from optsearch.dsl.dataflow import prune
from optsearch.dsl.export.text import to_json, to_latex, to_pseudocode
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.parameters import parametrised
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse


def balanced(text: str) -> bool:
    depth = 0
    for character in re.sub(r"\\[{}]", "", text):
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0 and text.count(r"\left") == text.count(r"\right")


def test_latex_of_lion() -> None:
    lines = to_latex(LIBRARY["lion"], "Lion").splitlines()
    assert lines[:2] == [
        r"% Needs \usepackage{amsmath}, \usepackage{algorithm} and \usepackage{algpseudocode}.",
        r"\begin{algorithm}",
    ]
    assert r"\State $m \gets 0$" in lines
    assert r"\caption{Lion}" in lines
    assert r"  \State $m \gets \left(1 - \beta_{2}\right) g + \beta_{2} \, m$" in lines
    assert r"  \State $\Delta \gets \left(u + \theta \cdot \lambda\right) \cdot \eta$" in lines


PLAIN = """Delta alpha beta cos cosh exp eta frac gets lambda langle left ln log max mathrm min nabla pi rangle right
sin sinh sqrt tan tanh theta arccos arcsin arctan cdot epsilon angle le begin end caption"""
"""Commands of LaTeX itself that are used."""

OF_PACKAGES = {"amsmath": "operatorname", "algpseudocode": "Require State While EndWhile", "algorithm": ""}


def test_latex_is_well_formed(programs: Callable[..., list[Program]]) -> None:
    known = {*PLAIN.split(), *" ".join(OF_PACKAGES.values()).split()}
    for program in [*LIBRARY.values(), *programs(100, seed=3)]:
        text = to_latex(program, "100 % of {this} & that_one")
        assert balanced(text), text
        packages, _, body = text.partition("\n")
        assert set(re.findall(r"\\usepackage\{(\w+)\}", packages)) == OF_PACKAGES.keys()
        assert set(re.findall(r"\\([A-Za-z]+)", body)) <= known
        open_environments: list[str] = []
        for command, name in re.findall(r"\\(begin|end)\{(\w+)\}", body):
            if command == "begin":
                open_environments.append(name)
            else:
                assert open_environments.pop() == name
        assert not open_environments
        for line in body.splitlines():
            assert re.sub(r"\\.", "", line).count("$") % 2 == 0, line
            outside = re.sub(r"\$[^$]*\$", "", re.sub(r"\\[_&%$#{}]", "", line))
            assert not set(outside) & set("_^&#"), line


def test_old_state_is_never_read_under_its_new_name() -> None:
    program = parse(
        "def train(w, g, m, lr):\n  old = m * 2.0\n  m = interp(g, m, 0.9)\n  update = m - old\n  return update, m\n"
    )
    lines = to_latex(program).splitlines()
    assert lines.index(r"  \State $\mathrm{old} \gets m \cdot \mathrm{factor}$") < next(
        n for n, line in enumerate(lines) if line.startswith(r"  \State $m \gets")
    )


@pytest.mark.parametrize("name", LIBRARY)
def test_json_holds_the_program(name: str) -> None:
    values = json.loads(to_json(LIBRARY[name], name))
    assert parse(values["text"]) == prune(LIBRARY[name])
    assert len(values["statements"]) == len(prune(LIBRARY[name]).body)
    assert len(values["fingerprint"]) == 16


def test_pseudocode_lists_constants_and_statements() -> None:
    text = to_pseudocode(LIBRARY["adamw"], "AdamW")
    assert text.startswith("AdamW\ninputs: ")
    for line in ("beta2 = 0.999", "weight_decay = 0.01", "    m <- (1 - beta1) * g + beta1 * m", "    w <- w - update"):
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("name", "constants"),
    [
        ("lion", {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1, "scale": 0.0001}),
        ("adamw", {"beta1": 0.9, "beta2": 0.999, "weight_decay": 0.01, "scale": 0.001}),
        ("nesterov", {"beta1": 0.9, "factor": 0.9}),
        ("sgd", {}),
    ],
)
def test_constants_have_the_names_of_their_roles(name: str, constants: dict[str, float]) -> None:
    assert parametrised(LIBRARY[name]).defaults == constants
