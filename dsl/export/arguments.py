"""The arguments of exported optimizers: the learning rate, the weight decay and the other constants of a program."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from optsearch.dsl.dataflow import prune
from optsearch.dsl.hyperparameters import WeightDecay, weight_decay, with_rate
from optsearch.dsl.parameters import Parametrised, parametrised, without_clashes
from optsearch.dsl.program import Program

DECAY = "weight_decay"
LEARNING_RATE = "learning_rate"
FACTOR = "rate_factor"
"""Argument for the ``lr`` of a program without a learning rate."""

TRIED = (0.1, 10.0)
"""Default range to try, in multiples of the program's own rate."""

_NAMES = frozenset({DECAY, FACTOR, LEARNING_RATE})


@dataclass(frozen=True, slots=True)
class Advice:
    """What the user of a file should know about the rate of a program.

    Attributes:
        schedule: the schedule that the program was found or tuned under, in words; empty if unknown.
        rates: range to try, in multiples of the program's own rate.
    """

    schedule: str = ""
    rates: tuple[float, float] = TRIED


NO_ADVICE = Advice()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A program with the arguments of its export.

    Attributes:
        original: the program without dead statements.
        program: the same with ``lr`` as its learning rate, where it has one, and without names that clash.
        named: ``program`` with named constants.
        rate: its learning rate; None if its update is not proportional to ``lr``.
        decay: its weight decay; None if it has none.
    """

    original: Program
    program: Program
    named: Parametrised
    rate: float | None
    decay: WeightDecay | None

    @property
    def has_decay(self) -> bool:
        """True if an argument is the weight decay."""
        return self.decay is not None

    @property
    def checked(self) -> tuple[str, ...]:
        """Names of the constants that must not be negative."""
        return (DECAY,) if self.has_decay else ()

    def rate_words(self, argument: str, advice: Advice = NO_ADVICE) -> str:
        """Describes the argument for the rate: what it is, its default, a range to try, and the schedule.

        Args:
            argument: its name in the file, if it is a learning rate.
            advice: range and schedule.
        """
        own = self.rate or 1.0
        low, high = (f"{own * end:.3g}" for end in advice.rates)
        words = (
            f"`{argument}` is the learning rate: the update is proportional to it. The default is the program's own; "
            if self.rate is not None
            else f"`{FACTOR}` is not a learning rate, since the update is not proportional to it: it multiplies the "
            "schedule of the program, which has a peak of 1. The default is the program's own; "
        )
        schedule = f" {advice.schedule}" if advice.schedule else ""
        return f"{words}a range to try is {low} to {high}.{schedule}"

    @property
    def decay_words(self) -> str:
        """Describes the weight decay; empty if there is none."""
        if self.decay is None:
            return ""
        how = (
            f"decoupled: every step also subtracts learning rate * {DECAY} * w"
            if self.decay.is_decoupled
            else f"added to the gradient, as {DECAY} * w"
        )
        return f"`{DECAY}` is {how}."


def prepared(program: Program, taken: Collection[str] = ()) -> Prepared:
    """Prepares a program for export.

    Args:
        program: a verified program; dead statements are omitted.
        taken: names that the exported file uses itself.
    """
    original = prune(program)
    scaled, rate = with_rate(original)
    scaled = without_clashes(scaled, {*taken, *_NAMES})
    decay = weight_decay(scaled, has_rate=rate is not None)
    named = parametrised(scaled, {*taken, *_NAMES} - {DECAY}, {decay.place: DECAY} if decay else {})
    return Prepared(original, scaled, named, rate, decay)
