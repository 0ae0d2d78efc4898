"""Recognition of known optimizers: positive and negative cases."""

from __future__ import annotations

import pytest

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.simplify.distil import distil
from optsearch.simplify.rewriting.recognise import recognise
from optsearch.simplify.rewriting.rewrite import rewrite


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
        ("m", ["m = interp(g, m, 0.95)", "update = interp(g, m, 0.95)", "update = orthogonalize(update)",
               "update = update * lr"],
         "this is Muon without weight decay with beta1 = 0.95, beta2 = 0.95"),
        ("m", ["m = interp(g, m, 0.9)", "update = orthogonalize(m)", "wd = w * 0.1", "update = update + wd",
               "update = update * lr"],
         "this is Muon without Nesterov momentum with beta = 0.9, weight_decay = 0.1"),
        ("m", ["m = m * 0.95", "m = m + g", "update = m * 0.95", "update = update + g",
               "update = orthogonalize(update)", "wd = w * 0.1", "update = update + wd", "update = update * lr"],
         "this is Muon with beta = 0.95, weight_decay = 0.1"),
        ("m", ["m = m * 0.95", "m = m + g", "update = orthogonalize(m)", "update = update * lr"],
         "this is Muon without Nesterov momentum or weight decay with beta = 0.95"),
        ("m, v", ["g2 = square(g)", "m = interp(g, m, 0.9)", "v = interp(g2, v, 0.999)", "root = sqrt(v)",
                  "update = m / root", "update = orthogonalize(update)", "wd = w * 0.1", "update = update + wd",
                  "update = update * lr"],
         "this is AdamW with orthogonalised steps, beta1 = 0.9, beta2 = 0.999, weight_decay = 0.1"),
        ("m, v", ["g2 = square(g)", "m = interp(g, m, 0.9)", "v = interp(g2, v, 0.999)", "root = sqrt(v)",
                  "update = m / root", "update = orthogonalize(update)", "update = update * lr"],
         "this is AdamW with orthogonalised steps without weight decay, beta1 = 0.9, beta2 = 0.999"),
        ("m, v", ["g2 = square(g)", "m = interp(g, m, 0.9)", "v = interp(g2, v, 0.999)", "root = sqrt(v)",
                  "update = orthogonalize(m)", "update = update / root", "update = update * lr"],
         "this is Muon with an adaptive scale from the gradient, without Nesterov momentum or weight decay, "
         "beta1 = 0.9, beta2 = 0.999"),
        ("m, v", ["m = interp(g, m, 0.95)", "update = interp(g, m, 0.95)", "update = orthogonalize(update)",
                  "u2 = square(update)", "v = interp(u2, v, 0.9)", "root = sqrt(v)", "update = update / root",
                  "wd = w * 0.1", "update = update + wd", "update = update * lr"],
         "this is Muon with an adaptive scale from its steps, beta1 = 0.95, beta2 = 0.9, weight_decay = 0.1"),
        ("m, v", ["m = interp(g, m, 0.95)", "update = orthogonalize(m)", "u2 = square(update)", "u2 = row_mean(u2)",
                  "v = interp(u2, v, 0.9)", "root = sqrt(v)", "update = update / root", "update = update * lr"],
         "this is Muon with an adaptive scale per row from its steps, without Nesterov momentum or weight decay, "
         "beta1 = 0.95, beta2 = 0.9"),
        ("", ["update = orthogonalize(g)", "update = update * lr"], "this is SGD with orthogonalised steps"),
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
        ("m", ["m = interp(g, m, 0.9)", "update = orthogonalize(m)", "update = tanh(update)", "update = update * lr"]),
    ],
)
def test_others_are_not_recognised(state: str, body: list[str]) -> None:
    assert recognise(program(state, *body)) is None


MUON = "this is Muon with beta1 = 0.95, beta2 = 0.95, weight_decay = 0.1, learning_rate = 0.001"
ORTHOGONAL_ADAMW = (
    "this is AdamW with orthogonalised steps, beta1 = 0.9, beta2 = 0.999, weight_decay = 0.01, learning_rate = 0.001"
)


@pytest.mark.parametrize(
    ("name", "state", "body", "sentence"),
    [
        ("muon", "m, z",
         ["dead = exp(g)", "z = interp(dead, z, 0.5)", "m = m * 0.95", "part = g * 0.05", "m = m + part",
          "x = interp(g, m, 0.95)", "n = norm(x)", "n = n + 1e-08", "x = x / n", "x = x * 3.0", "x = negative(x)",
          "x = negative(x)", "update = orthogonalize(x)", "wd = w * 0.1", "update = update + wd", "lr = lr * 0.001",
          "update = lr * update"], MUON),
        ("muon", "m",
         ["m = interp(g, m, 0.95)", "x = interp(g, m, 0.95)", "x = x * -0.5", "x = orthogonalize(x)",
          "update = negative(x)", "wd = w * 0.1", "update = update + wd", "lr = lr * 0.001", "update = update * lr"],
         MUON),
        ("orthogonal-adamw", "m, v, z",
         ["dead = tanh(v)", "z = z + dead", "g2 = g * g", "m = interp(g, m, 0.9)", "v = interp(g2, v, 0.999)",
          "root = sqrt(v)", "update = m / root", "size = global_norm(update)", "size = size + 1.0",
          "update = update / size", "update = negative(update)", "update = orthogonalize(update)",
          "update = negative(update)", "wd = w * 0.01", "update = update + wd", "lr = lr * 0.001",
          "update = update * lr"], ORTHOGONAL_ADAMW),
    ],
)  # fmt: skip
def test_scaled_orthogonal_steps_are_distilled_to_the_library(
    name: str, state: str, body: list[str], sentence: str
) -> None:
    found = distil(program(state, *body), ("prune", "rewrite"))
    assert fingerprint(found.program) == fingerprint(rewrite(LIBRARY[name]).program)
    assert str(found.recognised) == sentence
