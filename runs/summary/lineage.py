"""Ancestry of programs: the lineage from the warm start, and the family tree of a population.

A lineage has hundreds of mutations, most of which are neutral. The tree keeps informative nodes (branches, and gains on
the winner's lineage) and contracts the others to edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import ndiff
from typing import Literal

import networkx as nx
import numpy as np

from optsearch.dsl.program import Program
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Search
from optsearch.runs.summary.history import SearchHistory
from optsearch.search.evolution import WARM_START

MEMBERS = 60
"""Maximum number of members of the last population whose ancestors form the tree."""


@dataclass(frozen=True, slots=True)
class LineageStep:
    """One program of a lineage.

    Attributes:
        id: id of the program within the run.
        ticket: ticket of the program in its search.
        mutation: description of the mutation of its parent.
        kind: name of the mutation, such as ``insert``; ``warm start`` for the first program.
        fitness: fitness; None if the program did not train.
        gain: fitness of the parent minus its own; None for the first program, or if one of the two did not train.
        best: True if the program is better than all its ancestors.
        outcome: name of the outcome of its evaluation.
        program: the program.
    """

    id: str
    ticket: int
    mutation: str
    kind: str
    fitness: float | None
    gain: float | None
    best: bool
    outcome: str
    program: Program


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of a family tree, from a displayed ancestor to a program.

    Attributes:
        programs: ticket of the program.
        fitness: fitness of the program.
        from_programs: ticket of its nearest displayed ancestor.
        from_fitness: fitness of this ancestor.
        program: id of the program within the run.
        line: ``winner's line`` if both are ancestors of the best program or that program, otherwise ``others``.
        steps: number of mutations between the two.
    """

    programs: int
    fitness: float
    from_programs: int
    from_fitness: float
    program: str
    line: Literal["winner's line", "others"]
    steps: int


def line_of(store: RunReader, search: Search, ticket: int) -> list[LineageStep]:
    """The lineage from the warm start to a program, including the first stage if its search started there.

    The lineage of a proposal or of a random program starts with it, since it has no parent.

    Args:
        store: the run.
        search: search of the program.
        ticket: ticket of the program.

    Raises:
        RunError: the ticket is not recorded.
    """
    steps: list[LineageStep] = []
    before: float | None = None
    lowest = math.inf
    for item in reversed(store.lineage(search, ticket)):
        candidate, mine = item.candidate, item.fitness.value
        step = LineageStep(
            id=search.program_id(candidate.ticket),
            ticket=candidate.ticket,
            mutation=candidate.mutation,
            kind=candidate.mutation.split(" ", 1)[0] if candidate.ticket != WARM_START else "warm start",
            fitness=mine,
            gain=before - mine if steps and before is not None and mine is not None else None,
            best=bool(steps) and mine is not None and mine < lowest,
            outcome=item.fitness.outcome,
            program=candidate.program,
        )
        steps.append(step)
        lowest, before = min(lowest, math.inf if mine is None else mine), mine
    start = str(search.settings.get("start", "0"))
    if start == "0" or steps[0].ticket != WARM_START:
        return steps
    return line_of(store, *store.find(start)) + steps[1:]


def difference(parent: str, child: str) -> list[tuple[str, str]]:
    """Line-wise difference of two programs: ``(" ", line)`` common, ``("-", line)`` removed, ``("+", line)`` added."""
    lines = ndiff(parent.rstrip("\n").split("\n"), child.rstrip("\n").split("\n"))
    return [(line[0], line[2:]) for line in lines if line[0] != "?"]


def family_tree(history: SearchHistory, winner: int, size: int) -> tuple[list[Edge], int]:
    """The tree of ancestors of the last population and of the winner.

    Args:
        history: history of the search.
        winner: ticket of the best program.
        size: size of the population.

    Returns:
        The edges, in order of the tickets of their programs, and the number of programs that are not displayed.
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
    edges: list[Edge] = []
    for node in sorted(shown):
        above, steps = node, 0
        while tree.in_degree[above] and (above == node or above not in shown):
            above, steps = next(iter(tree.pred[above])), steps + 1
        if above != node and above in shown:
            edges.append(_edge(history, node, above, steps, node in line and above in line))
    return edges, last + 1 - len(shown)


def _gains(history: SearchHistory, node: int, line: set[int]) -> bool:
    parent = int(history.parents[node])
    return node in line and parent >= 0 and history.fitness[node] != history.fitness[parent]


def _edge(history: SearchHistory, node: int, above: int, steps: int, line: bool) -> Edge:
    return Edge(
        programs=node,
        fitness=float(history.fitness[node]),
        from_programs=above,
        from_fitness=float(history.fitness[above]),
        program=history.id(node),
        line="winner's line" if line else "others",
        steps=steps,
    )
