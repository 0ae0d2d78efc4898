"""Where a program comes from: its line back to the warm start, step by step, and the family tree of a population.

A search's line of descent runs through hundreds of mutations, most of which change nothing. The tree keeps the nodes at
which something happens (a branch, a gain on the winner's line) and draws the others as one edge.
"""

from __future__ import annotations

import math
from difflib import ndiff
from typing import Any

import networkx as nx
import numpy as np

from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Arm
from optsearch.runs.summary.history import Row, SearchHistory

MEMBERS = 60
"""Members of the last population whose ancestors make the tree."""


def line_of(store: RunReader, arm: Arm, ticket: int) -> list[Row]:
    """The line from the warm start to a program, through the first stage's search if the program's search began there.

    Returns:
        For each program, the warm start first: ``id``, ``ticket``, ``mutation`` in words, ``kind``, ``fitness``,
        ``gain`` (the parent's fitness minus its own, None at the start or where one did not train), ``best`` (whether
        it is better than all before it on the line), ``outcome``.
    """
    rows: list[Row] = []
    before: float | None = None
    lowest = math.inf
    for item in reversed(store.lineage(arm, ticket)):
        mine, mutation = item.fitness.value, item.candidate.mutation
        gain = before - mine if rows and before is not None and mine is not None else None
        rows.append(
            {
                "id": arm.program_id(item.candidate.ticket),
                "ticket": item.candidate.ticket,
                "mutation": mutation,
                "kind": mutation.split(" ", 1)[0] if rows else "warm start",
                "fitness": mine,
                "gain": gain,
                "best": bool(rows) and mine is not None and mine < lowest,
                "outcome": item.fitness.outcome,
                "text": str(item.candidate.program),
            }
        )
        lowest, before = min(lowest, math.inf if mine is None else mine), mine
    start = str(arm.settings.get("start", "0"))
    return rows if start == "0" else line_of(store, *store.find(start)) + rows[1:]


def difference(parent: str, child: str) -> list[tuple[str, str]]:
    """Lines of two programs' texts: ``(" ", line)`` in both, ``("-", line)`` in the parent, ``("+", line)`` new."""
    lines = ndiff(parent.rstrip("\n").split("\n"), child.rstrip("\n").split("\n"))
    return [(line[0], line[2:]) for line in lines if line[0] != "?"]


def family_tree(history: SearchHistory, winner: int, size: int) -> tuple[list[Row], int]:
    """The tree of ancestors of the last population, and of the winner.

    Args:
        history: a search.
        winner: ticket of its best program.
        size: size of the population.

    Returns:
        An edge a row, ``programs`` and ``fitness`` of the child, ``from_programs`` and ``from_fitness`` of its nearest
        ancestor that is shown, ``program``, ``line`` (whether both are on the winner's line), and ``steps`` mutations
        between them; and how many programs are not shown.
    """
    last = len(history) - 1
    first = max(last + 1 - size, 0)
    members = {int(t) for t in np.linspace(first, last, min(MEMBERS, last + 1 - first))} | {winner}
    tree: nx.DiGraph[int] = nx.DiGraph()
    for member in members:
        while member not in tree or not tree.pred[member]:
            parent = int(history.parents[member])
            if parent < 0:
                tree.add_node(member)
                break
            tree.add_edge(parent, member)
            member = parent
    if winner not in tree:
        return [], last + 1
    line = {winner} | nx.ancestors(tree, winner)
    shown = {
        node for node in tree if tree.out_degree[node] != 1 or tree.in_degree[node] == 0 or _gains(history, node, line)
    }
    shown = {node for node in shown if math.isfinite(history.fitness[node])}
    rows: list[Row] = []
    for node in sorted(shown):
        above, steps = node, 0
        while tree.in_degree[above] and (above == node or above not in shown):
            above, steps = next(iter(tree.pred[above])), steps + 1
        if above != node and above in shown:
            rows.append(_edge(history, node, above, steps, node in line and above in line))
    return rows, last + 1 - len(shown)


def _gains(history: SearchHistory, node: int, line: set[int]) -> bool:
    parent = int(history.parents[node])
    return node in line and parent >= 0 and history.fitness[node] != history.fitness[parent]


def _edge(history: SearchHistory, node: int, above: int, steps: int, line: bool) -> dict[str, Any]:
    return {
        "programs": node,
        "fitness": float(history.fitness[node]),
        "from_programs": above,
        "from_fitness": float(history.fitness[above]),
        "program": history.id(node),
        "line": "winner's line" if line else "others",
        "steps": steps,
    }
