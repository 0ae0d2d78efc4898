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

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import numpy as np

from optsearch.dsl.functions import DEFAULT_FUNCTIONS, FUNCTIONS, Function
from optsearch.dsl.generate import new_variable, random_argument, random_statement
from optsearch.dsl.program import Argument, Program, Statement
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import is_valid_from, scope_before, statement_kind
from optsearch.search.member import Member
from optsearch.search.variation.change import INVALID, Change, Mutation, pick
from optsearch.search.variation.constants import ConstantMutations
from optsearch.search.variation.crossover import carried
from optsearch.search.variation.mutation_config import ConstantsConfig, LimitsConfig, MutationWeights

CROSS = "cross"
"""The mutation with a second parent."""

ATTEMPTS = 100
"""Maximum number of rejected samples of one mutation before another mutation is sampled."""

_NO_FACTORS: Mapping[str, float] = MappingProxyType({})


class MutationError(RuntimeError):
    """No mutation with positive weight gives a valid child of this program."""


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
        tune = ConstantMutations(self._constants)
        alone: dict[str, _Draw] = {
            "insert": self._insert,
            "delete": self._delete,
            "modify": self._modify,
            "wrap": self._wrap,
            "duplicate": self._duplicate,
            "scale": tune.scale,
            "complement": tune.complement,
            "redraw": tune.redraw,
            "retune": tune.retune,
        }
        self._draws = {name: _without_mate(draw) for name, draw in alone.items()} | {CROSS: self._cross}
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
            for _ in range(ATTEMPTS):
                change = self._draws[name](rng, program, other)
                if change is None:  # does not apply to this parent
                    break
                if change is not INVALID:
                    body, mutation = change
                    return Program(program.state, body), mutation
            del weights[name]
        raise MutationError(f"no mutation among {', '.join(self._weights)} applies to\n{program}")

    def _insert(self, rng: np.random.Generator, program: Program) -> Change | None:
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

    def _delete(self, rng: np.random.Generator, program: Program) -> Change | None:
        body = program.body
        if len(body) < 2:
            return None
        places = list(range(len(body)))
        while places:  # first deletable statement in random order: uniform over all deletable ones
            place = places.pop(pick(rng, places))
            if is_deletable(program, place):
                return (*body[:place], *body[place + 1 :]), Mutation("delete", place + 2, str(body[place]), "")
        return None

    def _modify(self, rng: np.random.Generator, program: Program) -> Change | None:
        body = program.body
        places = [index for index, statement in enumerate(body) if statement.args]
        if not places:
            return None
        place = places[pick(rng, places)]
        target, function, args = body[place]
        position = pick(rng, args)
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

    def _wrap(self, rng: np.random.Generator, program: Program) -> Change | None:
        return self._put_between(rng, program, "wrap", lambda: (self._functions[pick(rng, self._functions)], None))

    def _duplicate(self, rng: np.random.Generator, program: Program) -> Change | None:
        def copied() -> tuple[Function, Sequence[Argument]]:
            _, function, args = program.body[pick(rng, program.body)]
            return FUNCTIONS[function], args

        return self._put_between(rng, program, "duplicate", copied)

    def _put_between(
        self,
        rng: np.random.Generator,
        program: Program,
        mutation: str,
        drawn: Callable[[], tuple[Function, Sequence[Argument] | None]],
    ) -> Change | None:
        """Inserts a call between a value and its reader; ``drawn`` gives the function and its arguments or None."""
        body = program.body
        uses = _uses(body)
        if not uses or len(body) >= self._limits.statements:
            return None
        place, position = uses[pick(rng, uses)]
        old, scope = body[place], scope_before(program, place)
        function, known = drawn()
        inner = [i for i, accepted in enumerate(function.operands) if scope[str(old.args[position])] in accepted]
        if not inner:
            return INVALID
        chosen = inner[pick(rng, inner)]
        args: list[Argument | None] = list(known or ())
        if known is None:
            args = [random_argument(rng, accepted, scope, constants=self._new) for accepted in function.operands]
        args[chosen] = old.args[position]
        if any(arg is None for arg in args):
            return INVALID
        name = new_variable({*scope, *(line.target for line in body)})
        new = Statement(name, function.name, tuple(arg for arg in args if arg is not None))
        return _read_instead(program, (place, position), [new], name, mutation)

    def _cross(self, rng: np.random.Generator, program: Program, mate: Member | None) -> Change | None:
        body = program.body
        uses = _uses(body)
        if mate is None or not uses:
            return None
        place, position = uses[pick(rng, uses)]
        scope = scope_before(program, place)
        taken = {*scope, *(line.target for line in body)}
        found = carried(lambda count: int(rng.random() * count), program, mate.program, taken=taken)
        if found is None:
            return INVALID
        new, name = found
        overwritten = {line.target for line in new} & {line.target for line in body}
        if len(body) + len(new) > self._limits.statements or overwritten:
            return INVALID
        return _read_instead(program, (place, position), new, name, CROSS, f" from {mate.ticket}")


_Draw = Callable[[np.random.Generator, Program], Change | None]


def _without_mate(draw: _Draw) -> Callable[[np.random.Generator, Program, Member | None], Change | None]:
    """A mutation of one program as a row of the table, which has two."""
    return lambda rng, program, _: draw(rng, program)


def _read_instead(
    program: Program, use: tuple[int, int], new: Sequence[Statement], name: str, mutation: str, origin: str = ""
) -> Change:
    """Inserts statements before a statement, which then reads their value in the place of one of its arguments.

    Args:
        program: the parent.
        use: index of the statement, and position of the argument.
        new: the statements.
        name: variable of their value.
        mutation: name of the mutation.
        origin: end of its record.
    """
    place, position = use
    body, old = program.body, program.body[place]
    reader = Statement(old.target, old.function, (*old.args[:position], name, *old.args[position + 1 :]))
    changed = (*body[:place], *new, reader, *body[place + 1 :])
    if not is_valid_from(Program(program.state, changed), place, scope_before(program, place)):
        return INVALID
    after = "; ".join(map(str, (*new, reader)))
    return changed, Mutation(mutation, place + 2, str(old), f"{after}{origin}")


def _uses(body: Sequence[Statement]) -> list[tuple[int, int]]:
    """Places at which variables are read: index of the statement, and position of the argument."""
    return [(at, i) for at, line in enumerate(body) for i, arg in enumerate(line.args) if isinstance(arg, str)]


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
