"""Mutation: one small change of a program.

A mutation inserts or deletes a statement, changes one argument, inserts a statement between a value and its reader, or
changes constants. It is sampled by weight among the mutations that apply to the parent; deletion, for example, does not
apply to a single statement. The change is uniform over the valid ones, by rejection sampling: an invalid child is
discarded and the same mutation is sampled again.

``scale`` multiplies a constant by a random factor. ``complement`` does the same to the distance from 1, because decays
such as 0.99 and 0.999 differ by a factor of 10 in their time scale. Learning rate, decays and weight decay interact, so
that coordinate-wise changes get stuck in narrow valleys; ``retune`` changes several constants at once, with step sizes
over several orders of magnitude. An inserted statement is usually dead until a second mutation reads its value;
``wrap`` combines both in one mutation. Random statements rarely have operands that fit together; ``duplicate`` inserts
a copy of an existing statement, in analogy to gene duplication. ``cross`` takes a value from another member of the
population (`crossover`).

Source: Chen et al. 2023 (arXiv:2302.06675), section 2.1; ``wrap``, ``duplicate``, ``cross``, ``complement`` and
``retune`` are new.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from optsearch.dsl.functions import DEFAULT_FUNCTIONS, FUNCTIONS, Function
from optsearch.dsl.generate import new_variable, random_argument, random_statement
from optsearch.dsl.program import Argument, Program, Statement, shortest
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import is_valid_from, scope_before, statement_kind
from optsearch.search.crossover import carried
from optsearch.search.mutation_config import ConstantsConfig, LimitsConfig, MutationWeights
from optsearch.search.population import Member

CROSS = "cross"
"""The mutation with a second parent."""

ATTEMPTS = 100
"""Maximum number of rejected samples of one mutation before another mutation is sampled."""

LARGEST = 1e30
"""Maximum absolute value of a mutated constant; squares of larger values overflow in float32."""

RETUNE = (-5.0, 3.0)
"""Range of the base-2 logarithm of the step size of ``retune``, relative to that of ``scale``."""


_NO_FACTORS: Mapping[str, float] = MappingProxyType({})


class MutationError(RuntimeError):
    """No mutation with positive weight gives a valid child of this program."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """Record of a mutation.

    Attributes:
        name: name of the mutation, a field of ``MutationWeights``.
        line: line of the statement in the child's text; for a deletion, in the parent's text.
        before: the statement in the parent; empty for an insertion.
        after: the statement in the child; empty for a deletion.
    """

    name: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        change = f"`{self.before}` -> `{self.after}`" if self.before and self.after else f"`{self.before}{self.after}`"
        return f"{self.name} line {self.line}: {change}"


Mate = Callable[[np.random.Generator], Member]
"""Selects a second parent."""


class Variation(Protocol):
    """Protocol of variation operators, which generate a program from a member of the population.

    Attributes:
        inherits: True if the generated program depends on the member, which is then its parent.
    """

    inherits: bool

    def mutate(
        self,
        rng: np.random.Generator,
        program: Program,
        *,
        mate: Mate | None = None,
        factors: Mapping[str, float] = _NO_FACTORS,
    ) -> tuple[Program, Mutation]:
        """Generates a verified program and the record of the mutation.

        Args:
            rng: random number generator.
            program: a verified program.
            mate: selects a second parent; called only by mutations that have one. Defaults to none, so that these
                mutations do not apply.
            factors: factor on the weight of each mutation; 1 for those not listed.

        Raises:
            MutationError: no mutation gives a valid program.
        """
        ...


_Change = tuple[tuple[Statement, ...], Mutation]

INVALID: _Change = (), Mutation("", 0, "", "")
"""An invalid sample; the same mutation is sampled again."""


class Mutator:
    """Generates children by mutation.

    Args:
        weights: relative frequency of each mutation.
        functions: names of the functions that new statements may call. Defaults to `DEFAULT_FUNCTIONS`.
        limits: bounds on the children. Defaults to ``LimitsConfig()``.
        constants: distribution of new constants and step sizes. Defaults to ``ConstantsConfig()``.

    Raises:
        ValueError: a function is unknown.
    """

    inherits = True

    def __init__(
        self,
        weights: MutationWeights,
        functions: Sequence[str] | None = None,
        limits: LimitsConfig | None = None,
        constants: ConstantsConfig | None = None,
    ):
        self._limits, self._constants = limits or LimitsConfig(), constants or ConstantsConfig()
        self._new = self._constants.new
        names = DEFAULT_FUNCTIONS if functions is None else tuple(functions)
        unknown = [name for name in names if name not in FUNCTIONS]
        if unknown:
            raise ValueError(f"unknown function '{unknown[0]}'")
        self._functions: tuple[Function, ...] = tuple(FUNCTIONS[name] for name in names)
        self._draws: dict[str, Callable[[np.random.Generator, Program], _Change | None]] = {
            "insert": self._insert,
            "delete": self._delete,
            "modify": self._modify,
            "wrap": self._wrap,
            "duplicate": self._duplicate,
            "scale": self._scale,
            "complement": self._complement,
            "redraw": self._redraw,
            "retune": self._retune,
        }
        self._weights = {name: weight for name, weight in weights.as_dict().items() if weight > 0.0}

    def mutate(
        self,
        rng: np.random.Generator,
        program: Program,
        *,
        mate: Mate | None = None,
        factors: Mapping[str, float] = _NO_FACTORS,
    ) -> tuple[Program, Mutation]:
        """Generates a valid child that differs from its parent by one mutation.

        Args:
            rng: random number generator.
            program: a verified program.
            mate: as in ``Variation``.
            factors: as in ``Variation``.

        Returns:
            The verified child, and the record of the mutation.

        Raises:
            MutationError: no mutation with positive weight gives a valid child, for example if only constants are
                mutable and the program has none.
        """
        weights = {name: weight * factors.get(name, 1.0) for name, weight in self._weights.items()}
        other = mate(rng) if mate is not None and CROSS in weights else None
        while weights:
            name = _choose(rng, weights)
            draw = self._draws.get(name)
            for _ in range(ATTEMPTS):
                change = self._cross(rng, program, other) if draw is None else draw(rng, program)
                if change is None:  # does not apply to this parent
                    break
                if change is not INVALID:
                    body, mutation = change
                    return Program(program.state, body), mutation
            del weights[name]
        raise MutationError(f"no mutation among {', '.join(self._weights)} applies to\n{program}")

    def _insert(self, rng: np.random.Generator, program: Program) -> _Change | None:
        body = program.body
        if len(body) >= self._limits.statements:
            return None
        place = int(rng.random() * (len(body) + 1))
        scope = scope_before(program, place)
        taken = [statement.target for statement in body]
        statement = random_statement(rng, scope, functions=self._functions, taken=taken, constants=self._new)
        changed = (*body[:place], statement, *body[place:])
        if statement.target in scope and not _fits(program, changed, place, scope, scope[statement.target]):
            return INVALID
        return changed, Mutation("insert", place + 2, "", str(statement))

    def _delete(self, rng: np.random.Generator, program: Program) -> _Change | None:
        body = program.body
        if len(body) < 2:
            return None
        places = list(range(len(body)))
        while places:  # first deletable statement in random order: uniform over all deletable ones
            place = places.pop(_draw(rng, places))
            if is_deletable(program, place):
                return (*body[:place], *body[place + 1 :]), Mutation("delete", place + 2, str(body[place]), "")
        return None

    def _modify(self, rng: np.random.Generator, program: Program) -> _Change | None:
        body = program.body
        places = [index for index, statement in enumerate(body) if statement.args]
        if not places:
            return None
        place = places[_draw(rng, places)]
        target, function, args = body[place]
        position = _draw(rng, args)
        scope = scope_before(program, place)
        arg = random_argument(
            rng, FUNCTIONS[function].operands[position], scope, but=args[position], constants=self._new
        )
        if arg is None:
            return INVALID
        new = Statement(target, function, (*args[:position], arg, *args[position + 1 :]))
        changed = (*body[:place], new, *body[place + 1 :])
        if not _fits(program, changed, place, scope, statement_kind(body[place], scope)):
            return INVALID
        return changed, Mutation("modify", place + 2, str(body[place]), str(new))

    def _wrap(self, rng: np.random.Generator, program: Program) -> _Change | None:
        return self._put_between(rng, program, "wrap", lambda: (self._functions[_draw(rng, self._functions)], None))

    def _duplicate(self, rng: np.random.Generator, program: Program) -> _Change | None:
        def copied() -> tuple[Function, Sequence[Argument]]:
            _, function, args = program.body[_draw(rng, program.body)]
            return FUNCTIONS[function], args

        return self._put_between(rng, program, "duplicate", copied)

    def _put_between(
        self,
        rng: np.random.Generator,
        program: Program,
        mutation: str,
        drawn: Callable[[], tuple[Function, Sequence[Argument] | None]],
    ) -> _Change | None:
        """Inserts a call between a value and its reader; ``drawn`` gives the function and its arguments or None."""
        body = program.body
        uses = _uses(body)
        if not uses or len(body) >= self._limits.statements:
            return None
        place, position = uses[_draw(rng, uses)]
        old, scope = body[place], scope_before(program, place)
        function, known = drawn()
        inner = [i for i, accepted in enumerate(function.operands) if scope[str(old.args[position])] in accepted]
        if not inner:
            return INVALID
        chosen = inner[_draw(rng, inner)]
        args: list[Argument | None] = list(known or ())
        if known is None:
            args = [random_argument(rng, accepted, scope, constants=self._new) for accepted in function.operands]
        args[chosen] = old.args[position]
        if any(arg is None for arg in args):
            return INVALID
        name = new_variable({*scope, *(line.target for line in body)})
        new = Statement(name, function.name, tuple(arg for arg in args if arg is not None))
        reader = Statement(old.target, old.function, (*old.args[:position], name, *old.args[position + 1 :]))
        changed = (*body[:place], new, reader, *body[place + 1 :])
        if not is_valid_from(Program(program.state, changed), place, scope):
            return INVALID
        return changed, Mutation(mutation, place + 2, str(old), f"{new}; {reader}")

    def _cross(self, rng: np.random.Generator, program: Program, mate: Member | None) -> _Change | None:
        body = program.body
        uses = _uses(body)
        if mate is None or not uses:
            return None
        place, position = uses[_draw(rng, uses)]
        old, scope = body[place], scope_before(program, place)
        taken = {*scope, *(line.target for line in body)}
        found = carried(lambda count: int(rng.random() * count), program, mate.program, taken=taken)
        if found is None:
            return INVALID
        new, name = found
        reader = Statement(old.target, old.function, (*old.args[:position], name, *old.args[position + 1 :]))
        changed = (*body[:place], *new, reader, *body[place + 1 :])
        overwritten = {line.target for line in new} & {line.target for line in body}
        if len(changed) > self._limits.statements or overwritten:
            return INVALID
        if not is_valid_from(Program(program.state, changed), place, scope):
            return INVALID
        after = "; ".join(map(str, (*new, reader)))
        return changed, Mutation(CROSS, place + 2, str(old), f"{after} from {mate.ticket}")

    def _scale(self, rng: np.random.Generator, program: Program) -> _Change | None:
        step = self._constants.step
        return _move(rng, program, "scale", lambda c: c != 0.0, lambda c: c * 2.0 ** (step * rng.standard_normal()))

    def _complement(self, rng: np.random.Generator, program: Program) -> _Change | None:
        step, near = self._constants.step, self._constants.near_one
        return _move(
            rng,
            program,
            "complement",
            lambda c: 0.0 < abs(1.0 - c) < near,
            lambda c: 1.0 - (1.0 - c) * 2.0 ** (step * rng.standard_normal()),
        )

    def _redraw(self, rng: np.random.Generator, program: Program) -> _Change | None:
        return _move(rng, program, "redraw", lambda c: True, lambda c: self._new.draw(rng))

    def _retune(self, rng: np.random.Generator, program: Program) -> _Change | None:
        step = self._constants.step * 2.0 ** rng.uniform(*RETUNE)
        body = list(program.body)
        changed: list[int] = []
        for place, (target, function, args) in enumerate(program.body):
            moved = tuple(self._stepped(rng, arg, step) if not isinstance(arg, str) else arg for arg in args)
            if moved != args:
                body[place] = Statement(target, function, moved)
                changed.append(place)
        if not changed:
            return INVALID if any(not isinstance(arg, str) for line in body for arg in line.args) else None
        before, after = ("; ".join(str(lines[place]) for place in changed) for lines in (program.body, body))
        return tuple(body), Mutation("retune", changed[0] + 2, before, after)

    def _stepped(self, rng: np.random.Generator, constant: float, step: float) -> float:
        """Changes a constant with probability 1/2; keeps it if the new value is out of range."""
        if rng.random() < 0.5:
            return constant
        factor = 2.0 ** (step * rng.standard_normal())
        if 0.0 < constant < 1.0:
            moved = shortest(constant * factor / (1.0 - constant + constant * factor))
            return moved if 0.0 < moved < 1.0 else constant
        moved = shortest(constant * factor)
        return moved if math.isfinite(moved) and abs(moved) <= LARGEST else constant


def _uses(body: Sequence[Statement]) -> list[tuple[int, int]]:
    """Places at which variables are read: index of the statement, and position of the argument."""
    return [(at, i) for at, line in enumerate(body) for i, arg in enumerate(line.args) if isinstance(arg, str)]


def _draw(rng: np.random.Generator, choices: Sequence[object]) -> int:
    return int(rng.random() * len(choices))


def _choose(rng: np.random.Generator, weights: dict[str, float]) -> str:
    point = rng.random() * sum(weights.values())
    *others, last = weights
    for name in others:
        point -= weights[name]
        if point < 0.0:
            return name
    return last


def _fits(program: Program, body: tuple[Statement, ...], place: int, scope: Mapping[str, Kind], before: Kind) -> bool:
    """Returns True if a child with a new statement at ``place`` is valid.

    Args:
        program: the parent.
        body: the child's statements.
        place: index of the first statement that differs.
        scope: kind of every variable before that index.
        before: kind of the statement's target without the new statement; if unchanged, the rest remains valid.
    """
    return statement_kind(body[place], scope) is before or is_valid_from(Program(program.state, body), place, scope)


def is_deletable(program: Program, place: int) -> bool:
    """Returns True if a program is valid without the statement at ``place``.

    If the target has the same kind before the statement, no check is needed; otherwise the following statements are
    verified.
    """
    body, scope = program.body, scope_before(program, place)
    target = body[place].target
    if scope.get(target) is statement_kind(body[place], scope):
        return True
    if target not in scope and _is_needed(program, target, place):
        return False
    return is_valid_from(Program(program.state, (*body[:place], *body[place + 1 :])), place, scope)


def _is_needed(program: Program, name: str, place: int) -> bool:
    """Returns True if the variable assigned at ``place`` is read before its next assignment, or returned."""
    for target, _, args in program.body[place + 1 :]:
        if name in args:
            return True
        if name == target:
            return False
    return name in program.signature.outputs


def _move(
    rng: np.random.Generator,
    program: Program,
    name: str,
    applies: Callable[[float], bool],
    move: Callable[[float], float],
) -> _Change | None:
    """Changes one constant, sampled uniformly from those to which the mutation applies."""
    places = [
        (index, position, arg)
        for index, statement in enumerate(program.body)
        for position, arg in enumerate(statement.args)
        if not isinstance(arg, str) and applies(arg)
    ]
    if not places:
        return None
    place, position, constant = places[_draw(rng, places)]
    moved = shortest(move(constant))
    if not math.isfinite(moved) or abs(moved) > LARGEST or moved == constant:
        return INVALID
    body = program.body
    old = body[place]
    new = Statement(old.target, old.function, (*old.args[:position], moved, *old.args[position + 1 :]))
    return (*body[:place], new, *body[place + 1 :]), Mutation(name, place + 2, str(old), str(new))
