import math

import pytest
import torch

from beamtrain.base.errors import UserError
from beamtrain.search.length import length_limits, length_penalties
from beamtrain.search.options import check_length_limits, check_length_penalty


def test_penalties_follow_their_formulas():
    assert length_penalties(4, "none", 3.0).tolist() == [1, 1, 1, 1, 1]
    assert length_penalties(4, "average", 2.0).tolist() == [1, 1, 4, 9, 16]
    assert length_penalties(7, "gnmt", 1.0).tolist() == pytest.approx([1, 1, 7 / 6, 8 / 6, 9 / 6, 10 / 6, 11 / 6, 2])
    assert length_penalties(7, "gnmt", -2.0)[7].item() == pytest.approx(1 / 4)


@pytest.mark.parametrize("kind", ["average", "gnmt"])
@pytest.mark.parametrize("alpha", [-10, -0.3, 1e-3, 0.6, 1, 10])
def test_penalties_rise_or_fall_throughout_and_stay_finite(kind, alpha):
    steps = length_penalties(2000, kind, alpha)[1:].diff() * math.copysign(1, alpha)
    assert (steps >= 0).all() and steps.isfinite().all()


def test_limit_follows_the_source_within_the_maximum_and_what_is_needed():
    def limits(max_length, at_least):
        return length_limits(torch.tensor([1, 4, 30]), max_length, 1.5, 2, torch.tensor(at_least)).tolist()

    assert limits(None, [1, 1, 1]) == [3, 8, 47]
    assert limits(20, [1, 9, 1]) == [3, 9, 20]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(max_length=0, ratio=2, offset=10), "max_length is 0; it must be 1 or more"),
        (dict(max_length=None, ratio=-1, offset=10), "max_length_ratio is -1; it must be a finite number"),
        (dict(max_length=None, ratio=math.inf, offset=10), "max_length_ratio is inf"),
        (dict(max_length=None, ratio=2, offset=-1), "max_length_offset is -1; it must be 0 or more"),
        (dict(max_length=9, ratio=2, offset=1, min_length=10), "min_length 10 is above max_length 9"),
        (dict(max_length=9, ratio=2, offset=1, min_length=-1), "min_length is -1; it must be 0 or more"),
    ],
)
def test_wrong_limits(settings, message):
    with pytest.raises(UserError, match=message):
        check_length_limits(**settings)


@pytest.mark.parametrize(
    ("kind", "alpha", "message"),
    [
        ("gmnt", 1.0, "length_penalty is 'gmnt'; it must be gnmt, average or none"),
        ("gnmt", math.nan, "alpha is nan; it must be a number from -10 to 10"),
        ("average", 11, "alpha is 11"),
    ],
)
def test_wrong_penalty(kind, alpha, message):
    with pytest.raises(UserError, match=message):
        check_length_penalty(kind, alpha)
