"""The lines that training prints: how long it still takes."""

import math

import pytest

from beamtrain.training.callbacks.progress_lines import _clock


@pytest.mark.parametrize(
    "seconds, said",
    [(math.nan, "unknown time"), (-2.6, "0:00"), (0.2, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3661, "1:01:01")],
)
def test_the_time_left_is_never_below_zero(seconds, said):
    assert _clock(seconds) == said
