"""Which training seeds are for what: named ranges, of which no two share a seed.

A result is believed because it comes from seeds that nothing has been chosen on. So every purpose has a range of its
own, settings that name seeds are held to the range of searches, and a test holds the ranges apart.
"""

SEARCH = range(500_000 - 100)
"""Fitness and meta-validation: what a campaign may name."""

SIMPLIFY_RATES = range(SEARCH.stop, 500_000)
"""On which `simplify` finds the learning rate at which it compares."""

SIMPLIFY_TEST = range(500_000, 600_000)
"""On which `simplify` tests whether a change may be kept."""

SIMPLIFY_SEARCH = range(600_000, 700_000)
"""On which `simplify` looks for changes that only work together; what it finds is tested on ``SIMPLIFY_TEST``."""

FINALISTS = range(900_000, 1_000_000)
"""On which the best program of a search is chosen among its finalists."""

FRESH = range(3_000_000, 4_000_000)
"""On which a campaign compares what it has chosen with its controls."""

SELECTION = range(1_000_000_000, 2_000_000_000)
"""Final results of `evaluate` and of the stages of a funnel, a block for each purpose."""

TUNING = range(2_000_000_000, 3_000_000_000)
"""On which `evaluate` and funnels tune."""

RANGES = {
    "fitness and meta-validation": SEARCH,
    "the learning rates of simplify": SIMPLIFY_RATES,
    "the test of simplify": SIMPLIFY_TEST,
    "the evolution of simplify": SIMPLIFY_SEARCH,
    "finalists": FINALISTS,
    "the comparison of a campaign": FRESH,
    "evaluate and funnels": SELECTION,
    "tuning": TUNING,
}
"""Every range by what it is for."""
