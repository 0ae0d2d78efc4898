"""Recognition of known optimizers: positive and negative cases."""

from __future__ import annotations

import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.simplify.rewriting.recognise import recognise


def program(state: str, *body: str) -> Program:
    names = ", ".join(["update", *([state] if state else [])])
    lines = "\n".join(f"  {line}" for line in body)
    return parse(f"def train(w, g{', ' + state if state else ''}, lr):\n{lines}\n  return {names}\n")


@pytest.mark.parametrize("name", LIBRARY)
def test_library_programs_are_themselves(name: str) -> None:
    found = recognise(LIBRARY[name])
    assert found is not None
    assert found.name == ("lion" if name == "lion-raw" else name)


def test_constants_are_named_and_read() -> None:
    found = recognise(LIBRARY["lion"])
    assert found is not None
    assert found.constants == {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1, "learning_rate": 0.0001}
    assert str(found) == "this is Lion with beta1 = 0.9, beta2 = 0.99, weight_decay = 0.1, learning_rate = 0.0001"


@pytest.mark.parametrize(
    ("state", "body", "sentence"),
    [
        ("m", ["m = interp(g, m, 0.8)", "wd = w * 0.1", "update = m + wd", "update = update * lr"],
         "this is AdamW without second moment with beta1 = 0.8, weight_decay = 0.1"),
        ("m", ["update = interp(g, m, 0.9)", "update = sign(update)", "update = update * lr", "m = interp(g, m, 0.98)"],
         "this is Lion without weight decay with beta1 = 0.9, beta2 = 0.98"),
        ("m", ["update = interp(g, m, 0.9)", "update = sign(update)", "update = update * 0.0002", "wd = w * 0.0001",
               "update = update + wd", "update = update * lr", "m = interp(g, m, 0.98)"],
         "this is Lion with beta1 = 0.9, beta2 = 0.98, weight_decay = 0.5, learning_rate = 0.0002"),
        ("m", ["m = interp(g, m, 0.98)", "update = interp(g, m, 0.9)", "update = sign(update)", "update = update + w",
               "lr = lr * 0.003", "update = update * lr"],
         "this is Lion with beta1 = 0.882, beta2 = 0.98, weight_decay = 1, learning_rate = 0.003"),
        ("", ["update = sign(g)", "update = update * lr"], "this is sign SGD"),
        ("m", ["g = tanh(g)", "m = interp(g, m, 0.9)", "update = sign(m)", "update = update * lr"],
         "this is Signum with beta = 0.9, on tanh(g) in place of the gradient"),
        ("m, v", ["g2 = square(g)", "m = interp(g, m, 0.7)", "v = interp(g2, v, 0.9)", "root = sqrt(v)",
                  "update = m / root", "update = update * 0.002"],
         "this is Adam whose learning rate is a constant, with beta1 = 0.7, beta2 = 0.9, learning_rate = 0.002"),
    ],
)  # fmt: skip
def test_relatives(state: str, body: list[str], sentence: str) -> None:
    assert str(recognise(program(state, *body))) == sentence


@pytest.mark.parametrize(
    ("state", "body"),
    [
        ("", ["update = tanh(g)", "update = update * lr"]),
        ("m", ["m = interp(w, m, 0.9)", "update = sign(m)", "update = update * lr"]),
        ("m", ["m = interp(g, m, 0.9)", "update = tanh(m)", "update = update * lr"]),
    ],
)
def test_others_are_not_recognised(state: str, body: list[str]) -> None:
    assert recognise(program(state, *body)) is None
