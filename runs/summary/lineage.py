"""Ancestry of programs: the lineage from the warm start, and the family tree of a population.

A lineage has hundreds of mutations, most of which are neutral. The tree keeps informative nodes (branches, and gains on
the winner's lineage) and contracts the others to edges.
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
"""Maximum number of members of the last population whose ancestors form the tree."""


def line_of(store: RunReader, arm: Arm, ticket: int) -> list[Row]:
    """The lineage from the warm start to a program, including the first stage if its search started there.

    Returns:
        For each program, starting with the warm start: ``id``, ``ticket``, ``mutation`` as text, ``kind``, ``fitness``,
        ``gain`` (fitness of the parent minus its own, None at the start or if one did not train), ``best`` (True if
        it is better than all its ancestors), ``outcome``.
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
    """Line-wise difference of two programs: ``(" ", line)`` common, ``("-", line)`` removed, ``("+", line)`` added."""
    lines = ndiff(parent.rstrip("\n").split("\n"), child.rstrip("\n").split("\n"))
    return [(line[0], line[2:]) for line in lines if line[0] != "?"]


def family_tree(history: SearchHistory, winner: int, size: int) -> tuple[list[Row], int]:
    """The tree of ancestors of the last population and of the winner.

    Args:
        history: history of the search.
        winner: ticket of the best program.
        size: size of the population.

    Returns:
        One row per edge: ``programs`` and ``fitness`` of the child, ``from_programs`` and ``from_fitness`` of its
        nearest displayed ancestor, ``program``, ``line`` (True if both are on the winner's lineage), and ``steps``, the
        number of mutations between them; and the number of programs that are not displayed.
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
