"""Readable formatting of numbers."""

from __future__ import annotations

from optsearch.runs.text.phrasing import bounds, number, relative, signed


def test_numbers_of_runs_that_all_but_diverged_are_short() -> None:
    assert (number(0.572101), number(None), number(9999.0)) == ("0.57210", "-", "9999.00000")
    assert number(9.2e33) == "9.2e+33"
    assert (relative(-0.0202), relative(None), relative(4.06e22)) == ("-2.02%", None, "+4.1e+22 times")
    assert (signed(-0.00123), signed(5.1e15)) == ("-0.00123", "+5.1e+15")
    assert bounds((-1.5, 5.1e15)) == "[-1.50000, 5.1e+15]"
