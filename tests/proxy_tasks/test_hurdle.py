"""Hurdles as arrays of limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optsearch.proxy_tasks.hurdle import NO_HURDLE, Hurdle


def test_limits_stand_at_their_checkpoints_and_are_infinite_elsewhere() -> None:
    limits = Hurdle(((20, 1.5), (30, 0.5))).at((10, 20, 30))
    np.testing.assert_array_equal(limits, np.array([np.inf, 1.5, 0.5], np.float32))
    assert np.isinf(NO_HURDLE.at((10, 20, 30))).all()


def test_a_limit_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="hurdle at step 10: the limit is not a number"):
        Hurdle(((10, math.nan),)).at((10,))
