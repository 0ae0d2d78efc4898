"""Recognition of known optimizers written differently: "this is Lion with beta1 = 0.9, beta2 = 0.998".

A template is a program with named constants. It is matched against all equal forms of a program, so that it is found
however the program is written; factors of 1 and decay of 0 may be absent. If the gradient enters only through some
function of it, the result names that function too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np

from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import FUNCTIONS, Function
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import INPUTS, LR, OUTPUT, G, Program, W
from optsearch.dsl.verify import input_kinds
from optsearch.dsl.walk import walk
from optsearch.simplify.rewriting.bounds import ANYTHING, state_bounds, state_variation
from optsearch.simplify.rewriting.egraph import Binding, ContradictionError, EGraph, Reading
from optsearch.simplify.rewriting.extract import Extracted, Key, Need, extract
from optsearch.simplify.rewriting.order import readable
from optsearch.simplify.rewriting.patterns import Call, Name, Pattern, pattern
from optsearch.simplify.rewriting.rules import IN_PROPORTION, RULES
from optsearch.simplify.rewriting.saturate import SaturationLimits, saturate
from optsearch.simplify.rewriting.sizes import ASSUMED, state_sizes

LIMITS = SaturationLimits(rounds=6, nodes=1500)

_BETAS, _DECAY, _RATE = ("beta1", "beta2"), "weight_decay", "learning_rate"

LONGEST = 80
"""Maximum length in characters of a displayed function of the gradient."""

_FIXED = "fixed"
"""Name bound to a constant in place of the learning rate."""

_CONSTANT_RATE = " whose learning rate is a constant"

_LIBRARY = (
    ("sgd", "SGD", ()),
    ("momentum", "SGD with momentum", ("beta",)),
    ("nesterov", "SGD with Nesterov momentum", ("beta", "beta")),
    ("signum", "Signum", ("beta", _RATE)),
    ("rmsprop", "RMSProp", ("beta",)),
    ("adagrad", "Adagrad", ()),
    ("adam", "Adam", (*_BETAS, _RATE)),
    ("adamw", "AdamW", (*_BETAS, _DECAY, _RATE)),
    ("lion", "Lion", ("beta1", "beta2", _DECAY, _RATE)),
    ("normalized-sgd", "normalised SGD", ()),
    ("muon", "Muon", ("beta1", "beta2", _DECAY, _RATE)),
    ("adafactor", "Adafactor", ("beta1", "beta2", "threshold", "least_scale", _RATE)),
    ("orthogonal-adamw", "AdamW with orthogonalised steps", (*_BETAS, _DECAY, _RATE)),
)
"""Library programs: name, label, and the names of their constants in order."""

_MUON = (
    ("", "orthogonalize(interp(g, interp(g, m, beta1), beta1))"),
    (", without Nesterov momentum", "orthogonalize(interp(g, m, beta1))"),
)
_SCALES = (
    ("from its steps", "{0} * {0}"),
    ("per row from its steps", "row_mean({0} * {0})"),
    ("from the gradient", "g * g"),
)
"""What Muon's orthogonalised momentum may be divided by: the root of the mean of these values."""

_VARIANTS = (
    ("momentum", "SGD with momentum", "m", "g + m", "(g + m) * beta"),
    ("nesterov", "SGD with Nesterov momentum", "m", "(g + m) * beta + g", "(g + m) * beta"),
    ("sgd", "SGD with weight decay", "", "g", ""),
    ("sgd", "sign SGD", "", "sign(g)", ""),
    ("momentum", "SGD with averaged momentum", "m", "interp(g, m, beta)", "interp(g, m, beta)"),
    ("momentum", "SGD with momentum and weight decay", "m", "m * beta + g", "m * beta + g"),
    ("adamw", "AdamW without second moment, with weight decay", "m", "interp(g, m, beta1)", "interp(g, m, beta1)"),
    ("sgd", "sign SGD with weight decay", "", "sign(g)", ""),
    ("lion", "Lion without sign", "m", "interp(g, m, beta1)", "interp(g, m, beta2)"),
    ("signum", "Signum with weight decay", "m", "sign(interp(g, m, beta))", "interp(g, m, beta)"),
    ("muon", "Muon without Nesterov momentum", "m", "orthogonalize(interp(g, m, beta))", "interp(g, m, beta)"),
    (
        "muon",
        "Muon without Nesterov momentum, with weight decay",
        "m",
        "orthogonalize(interp(g, m, beta))",
        "interp(g, m, beta)",
    ),
    ("muon", "Muon, with weight decay", "m", "orthogonalize((m * beta + g) * beta + g)", "m * beta + g"),
    ("muon", "Muon, with weight decay", "m", "orthogonalize((g + m) * beta + g)", "(g + m) * beta"),
    ("muon", "Muon without Nesterov momentum, with weight decay", "m", "orthogonalize(m * beta + g)", "m * beta + g"),
    *(
        (
            "muon",
            f"Muon with an adaptive scale {words}{without}, with weight decay",
            "m v",
            f"{step} / sqrt(interp({squares.format(step)}, v, beta2))",
            f"interp(g, m, beta1); interp({squares.format(step)}, v, beta2)",
        )
        for without, step in _MUON
        for words, squares in _SCALES
    ),
    ("sgd", "SGD with orthogonalised steps", "", "orthogonalize(g)", ""),
    ("sgd", "SGD with orthogonalised steps, with weight decay", "", "orthogonalize(g)", ""),
    ("rmsprop", "RMSProp with weight decay", "v", "g / sqrt(interp(g * g, v, beta))", "interp(g * g, v, beta)"),
)
"""Variants of library programs: name, label, state, the update before decay and rate, the next state."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A recognised optimizer.

    Attributes:
        name: name of the library program that it equals, up to constants.
        label: label, including omitted parts.
        constants: value of each named constant.
        gradient: expression in place of the gradient; None for the gradient itself.
    """

    name: str
    label: str
    constants: Mapping[str, float]
    gradient: str | None = None

    def __str__(self) -> str:
        values = ", ".join(f"{name} = {_short(value)}" for name, value in self.constants.items())
        instead = "" if self.gradient is None else f", on {self.gradient} in place of the gradient"
        comma = "," if _CONSTANT_RATE in self.label else ""
        joined = "" if not values else ", " if " with " in self.label else f"{comma} with "
        return f"this is {self.label}{joined}{values}{instead}"


@dataclass(frozen=True, slots=True)
class _Template:
    name: str
    label: str
    update: Pattern
    state: tuple[Pattern, ...]
    state_names: tuple[str, ...]


class _Patterns:
    """The domain of the walk that converts a program to patterns, with its constants named in order."""

    def __init__(self, constants: Iterator[str]):
        self.constants = constants

    def constant(self, value: float) -> Pattern:
        return Name(next(self.constants), constant=True)

    def apply(self, function: Function, operands: list[Pattern]) -> Pattern:
        return Call(function.name, tuple(operands))


@cache
def _templates() -> tuple[_Template, ...]:
    found: list[_Template] = []
    for name, label, constants in _LIBRARY:
        program = LIBRARY[name]
        names: dict[str, Pattern] = {n: Name(n, constant=False) for n in program.signature.inputs}
        values = walk(program, names, _Patterns(iter(constants)))
        state = tuple(values[n] for n in program.state)
        found.append(_Template(name, label, _scaled(values[OUTPUT], constants), state, program.state))
    for name, label, state, update, after in _VARIANTS:
        decay = Call("multiply", (Name(W, constant=False), Name(_DECAY, constant=True)))
        wanted = _named(update)
        if "decay" in label or name == "lion":
            wanted = Call("add", (wanted, decay))
        next_state = tuple(_named(text) for text in after.split("; ") if text)
        rated = _scaled(Call("multiply", (wanted, Name(LR, constant=False))), ())
        found.append(_Template(name, label, rated, next_state, tuple(state.split())))
    return tuple(found)


def _scaled(update: Pattern, constants: tuple[str, ...]) -> Pattern:
    """The update scaled by a constant rate, if the template has none."""
    if _RATE in constants or not isinstance(update, Call):
        return update
    rate = Call("multiply", (Name(LR, constant=False), Name(_RATE, constant=True)))
    return Call("multiply", (update.operands[0], rate))


def _named(text: str) -> Pattern:
    """A pattern in which every name except inputs and state is a constant."""
    words = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    return _renamed(pattern(text), words - {W, G, "m", "v", LR} - FUNCTIONS.keys())


def _renamed(of: Pattern, constants: set[str]) -> Pattern:
    if isinstance(of, Name):
        return Name(of.name, constant=of.name in constants)
    if isinstance(of, Call):
        return Call(of.function, tuple(_renamed(operand, constants) for operand in of.operands))
    return of


def recognise(program: Program) -> Recognised | None:
    """Compares a program with the library and its variants, up to constants.

    Args:
        program: a verified program, preferably distilled.

    Returns:
        The recognised optimizer, with the fewest omitted parts; None if there is none.
    """
    program = prune(program)
    read = _Read(program)
    if not read.sound:
        return None
    for exactly in (True, False):
        found: list[tuple[int, int, Recognised]] = []
        for place, template in enumerate(_templates()):
            if len(template.state) == len(program.state) and (exactly or template.state):
                found += [(absent, place, r) for absent, r in read.matches(template, exactly=exactly)]
        if found:
            return min(found, key=lambda row: row[:2])[2]
    return None


class _Read:
    """A program in all its equal forms."""

    def __init__(self, program: Program):
        self.program, self.graph = program, EGraph()
        graph, bounds, sizes = self.graph, state_bounds(program), state_sizes(program)
        kinds = input_kinds(program) | state_variation(program)
        self.inputs = {name: graph.variable(name, ANYTHING, ASSUMED[name], kinds[name]) for name in INPUTS}
        self.start = {n: graph.variable(n, bounds[n], sizes[n], kinds[n]) for n in program.state}
        values = walk(program, {**self.inputs, **self.start}, Reading(graph))
        self.outputs = [values[name] for name in program.signature.outputs]
        self.forms: dict[int, Extracted | None] = {}
        self.zero, self.one = graph.constant(0.0), graph.constant(1.0)
        try:
            saturate(graph, LIMITS, (*RULES, *IN_PROPORTION))
            self.sound = True
        except ContradictionError:
            self.sound = False
        graph.rebuild()

    def matches(self, template: _Template, *, exactly: bool) -> Iterator[tuple[int, Recognised]]:
        """Matches of a template, with the number of omitted parts."""
        for order in permutations(range(len(self.program.state))):
            binding = {name: self.graph.find(self.inputs[name]) for name in (INPUTS if exactly else (W, LR))}
            for name, position in zip(template.state_names, order, strict=True):
                binding[name] = self.graph.find(self.start[self.program.state[position]])
            states = [self.outputs[1 + position] for position in order]
            pairs = [*zip(template.state, states, strict=True), (template.update, self.outputs[0])]
            best: tuple[int, float, Binding] | None = None
            for number, found in enumerate(self._match_all(pairs, binding)):
                if number > 200:
                    break
                if exactly or self._is_gradient(found[G]):
                    constants = [v for v in (self.graph.constant_of(c) for c in found.values()) if v is not None]
                    absent = sum(v in (0.0, 1.0) for v in constants)
                    rank = absent, sum(abs(np.log(abs(v))) for v in constants if v), found
                    best = rank if best is None or rank[:2] < best[:2] else best
            if best is not None:
                yield best[0], self._result(template, best[2], exactly=exactly)

    def _result(self, template: _Template, found: Binding, *, exactly: bool) -> Recognised:
        graph = self.graph
        values = {name: graph.constant_of(c) for name, c in found.items() if name not in (W, G, LR, "m", "v")}
        constants = {name: readable(value) for name, value in values.items() if value is not None}
        label = template.label
        if constants.get(_DECAY) == 0.0:
            del constants[_DECAY]
            label = label.removesuffix(", with weight decay")
            label += " or weight decay" if " without " in label else " without weight decay"
        if constants.get(_RATE) == 1.0:
            del constants[_RATE]
        order = ("beta", "beta1", "beta2", _DECAY, _RATE)
        constants = {name: constants[name] for name in order if name in constants}
        label = label.removesuffix(", with weight decay")
        if _FIXED in found:
            label += _CONSTANT_RATE
        return Recognised(template.name, label, constants, None if exactly else self._text(found[G]))

    def _match_all(self, pairs: list[tuple[Pattern, int]], binding: Binding) -> Iterator[Binding]:
        if not pairs:
            yield binding
            return
        (pattern, owner), rest = pairs[0], pairs[1:]
        for found in self._match(pattern, self.graph.find(owner), binding):
            yield from self._match_all(rest, found)

    def _match(self, pattern: Pattern, owner: int, binding: Binding) -> Iterator[Binding]:
        graph = self.graph
        if isinstance(pattern, int | float):
            if graph.constant_of(owner) == pattern:
                yield binding
        elif isinstance(pattern, Name):
            if pattern.name in binding:
                if binding[pattern.name] == owner:
                    yield binding
            elif not pattern.constant or graph.constant_of(owner) is not None:
                yield {**binding, pattern.name: owner}
        else:
            for node in graph.classes.get(owner, ()):
                if node[0] == pattern.function:
                    orders = [node[1]]
                    if FUNCTIONS[node[0]].laws.commutative and node[1][0] != node[1][1]:
                        orders.append(node[1][::-1])
                    for operands in orders:
                        pairs = list(zip(pattern.operands, operands, strict=True))
                        yield from self._match_all(pairs, binding)
            yield from self._match_without(pattern, owner, binding)

    def _match_without(self, pattern: Call, owner: int, binding: Binding) -> Iterator[Binding]:
        """Matches of the pattern without a factor that may be 1 or a decay that may be 0."""
        last = pattern.operands[-1]
        if pattern.function == "multiply" and isinstance(last, Name) and last.constant:
            first = pattern.operands[0]
            if isinstance(first, Name) and first.name == LR and self.graph.constant_of(owner) is not None:
                yield {**binding, last.name: owner, _FIXED: owner}
            if last.name in (_RATE, _DECAY) and last.name not in binding:
                yield from self._match(pattern.operands[0], owner, {**binding, last.name: self.graph.find(self.one)})
        elif pattern.function == "add" and isinstance(last, Call):
            decay = last.operands[-1]
            if isinstance(decay, Name) and decay.name == _DECAY and _DECAY not in binding:
                yield from self._match(pattern.operands[0], owner, {**binding, _DECAY: self.graph.find(self.zero)})

    def _is_gradient(self, owner: int) -> bool:
        """True if a class depends only on the gradient, and possibly the learning rate."""
        found = self._form(owner)
        if found is None:
            return False
        used = {name[1:] for (name, _), _ in found.choices.values() if name[0] == "$"}
        return G in used and not used & {W, *self.program.state}

    def _form(self, owner: int) -> Extracted | None:
        """The cheapest form of a class."""
        if owner not in self.forms:
            self.forms[owner] = extract(self.graph, [(owner, Need.LEAF)], input_kinds(self.program))
        return self.forms[owner]

    def _text(self, owner: int) -> str:
        """Text of the cheapest form of a class, if it is short enough for a sentence."""
        found = self._form(owner)
        if found is None:
            return "something"
        choices, texts = found.choices, dict[Key, str]()

        def write(key: Key) -> str:
            if key not in texts:
                (name, _), operands = choices[key]
                if name[0] == "$":
                    texts[key] = name[1:]
                elif name[0] == "#":
                    texts[key] = _short(readable(float(name[1:])))
                else:
                    below, infix = [write(operand) for operand in operands], FUNCTIONS[name].infix
                    text = f"({below[0]} {infix} {below[1]})" if infix else f"{name}({', '.join(below)})"
                    texts[key] = text if len(text) <= LONGEST else "..."
            return texts[key]

        text = write(found.roots[0])
        return "a long function of g" if "..." in text else text


def _short(value: float) -> str:
    return f"{value:.4g}"
