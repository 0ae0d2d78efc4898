"""Ranges of training seeds by purpose, pairwise disjoint.

A result is credible only on seeds that were not used for any selection. Every purpose therefore has its own range;
seeds in settings are restricted to the range of searches, and a test checks that the ranges are disjoint.
"""

SEARCH = range(500_000 - 100)
"""Fitness and meta-validation: the seeds that a campaign may name."""

SIMPLIFY_RATES = range(SEARCH.stop, 500_000)
"""Seeds on which `simplify` tunes the learning rate for its comparisons."""

SIMPLIFY_TEST = range(500_000, 600_000)
"""Seeds on which `simplify` tests changes."""

SIMPLIFY_SEARCH = range(600_000, 700_000)
"""Seeds of the evolution in `simplify`, whose combined changes are then tested on ``SIMPLIFY_TEST``."""

FINALISTS = range(900_000, 1_000_000)
"""Seeds on which the best program of a search is selected among its finalists."""

FRESH = range(3_000_000, 4_000_000)
"""Seeds on which a campaign compares the selected programs with its controls."""

SELECTION = range(1_000_000_000, 2_000_000_000)
"""Seeds for final results of `evaluate` and of the stages of a funnel, one block per purpose."""

TUNING = range(2_000_000_000, 3_000_000_000)
"""Tuning seeds of `evaluate` and of funnels."""

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
"""All ranges by purpose."""
