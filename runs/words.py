"""What a comparison says, in words: the same in the terminal and in the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def number(value: float | None, digits: int = 5) -> str:
    """A loss as text."""
    return "-" if value is None else f"{value:.{digits}f}"


def bounds(interval: Sequence[float | None] | None, digits: int = 5) -> str:
    """An interval as text."""
    if interval is None or interval[0] is None or interval[1] is None:
        return "-"
    return f"[{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def control_name(control: str, warm_start: str) -> str:
    """What a control is called."""
    return {
        "warm start": f"{warm_start} as given",
        "constants": f"{warm_start} with tuned constants",
        "schedule": f"{warm_start} with tuned constants and schedule",
        "random": "random search",
    }[control]


def verdict(row: dict[str, Any], warm_start: str) -> str:
    """Who wins one comparison on fresh seeds, by how much and how sure.

    Args:
        row: of ``comparison`` in ``inspect.summary``.
        warm_start: name of the warm start.
    """
    name = control_name(row["control"], warm_start)
    if row["winner"] is None:
        return f"Neither the best program nor {name} trains on every fresh seed."
    if row["difference"] is None:
        return f"Only {'the best program' if row['winner'] == 'best' else name} trains on every fresh seed."
    gap = f"{abs(row['difference']):.5f}"
    spread = f"paired difference {row['difference']:+.5f}, 95 % interval {bounds(row['interval'])}"
    if row["winner"] == "best":
        return f"The best program beats {name} by {gap} ({spread})."
    if row["winner"] == "undecided":
        return f"No difference from {name} is shown ({spread}, which includes 0)."
    return f"The control wins: {name} beats the best program by {gap} ({spread})."
