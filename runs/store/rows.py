"""Rows of a run file as values of the search, with the rules that a row alone can violate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optsearch.proxy_tasks.outcome import Outcome
from optsearch.runs.store.errors import DamagedRunError
from optsearch.runs.store.schema import unpack_details
from optsearch.search.events import Evaluated
from optsearch.search.scoring.fitness import OK, Fitness

_OUTCOMES = frozenset(outcome.value for outcome in Outcome)


def read_evaluated(row: Sequence[Any]) -> Evaluated:
    """Converts a row of the table ``evaluations``.

    Raises:
        DamagedRunError: the outcome contradicts the loss, or the further values are invalid.
    """
    _, ticket, fingerprint, outcome, value, steps, seconds, curves, _ = row
    fitness = read_fitness("evaluations", row, (outcome, value, steps, seconds))
    return Evaluated(ticket, fingerprint, unpack_details(curves, ticket, fitness))


def read_fitness(table: str, row: Sequence[Any], cells: Sequence[Any]) -> Fitness:
    """Converts the cells of a result.

    Args:
        table: name of the table, for errors.
        row: the row that holds the cells, for errors.
        cells: outcome, value, steps and seconds.

    Raises:
        DamagedRunError: the outcome contradicts the value.
    """
    outcome, value, steps, seconds = cells
    check_outcome(table, row, outcome, value)
    return Fitness(value, outcome, steps, seconds)


def check_outcome(table: str, row: Sequence[Any], outcome: str, loss: float | None) -> None:
    """Checks the outcome of a result: it must be known, and have a loss if and only if the program trained.

    Raises:
        DamagedRunError: the outcome is unknown or contradicts the loss.
    """
    if outcome not in _OUTCOMES or (loss is None) != (outcome != OK):
        raise DamagedRunError(
            f"table {table}: record {tuple(row[:3])} has the outcome '{outcome:.20}' and the loss {loss}"
        )


def check_links(row: Sequence[Any]) -> Sequence[Any]:
    """Checks the references of a ticket and returns its row: the parent precedes it, and the owner does not follow it.

    Raises:
        DamagedRunError: a reference points to a later ticket.
    """
    ticket, parent, owner = row[1], row[2], row[4]
    if owner > ticket or (parent is not None and parent >= ticket):
        raise DamagedRunError(
            f"table tickets: record ({row[0]}, {ticket}) has the parent {parent} and the owner {owner}, which are not "
            "drawn before it"
        )
    return row
