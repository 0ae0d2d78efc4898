"""Settings of a campaign that takes seconds, for tests."""

from typing import Any

SETTINGS: dict[str, Any] = {
    "name": "small",
    "task": "ae",
    "budget": {"evaluations": 6},
    "population": {"size": 4, "tournament": 2},
    "look_ahead": 4,
    "controls": [],
    "finalists": {"count": 2, "seeds": 2},
    "fresh_seeds": 2,
}
