"""Learning-rate schedules at hand-computed steps."""

import pytest

from beamtrain.base.errors import UserError
from beamtrain.training.schedule import Cosine, InverseSquareRoot


def test_inverse_square_root():
    factor = InverseSquareRoot(warmup_steps=100)
    assert [factor(step) for step in (0, 49, 99)] == pytest.approx([0.01, 0.5, 1.0])
    assert factor(399) == pytest.approx(0.5)  # the 400th step: sqrt(100 / 400)


def test_cosine():
    factor = Cosine(total_steps=110, warmup_steps=10, final=0.1)
    assert factor(4) == pytest.approx(0.5)
    assert factor(9) == pytest.approx(1.0)
    assert factor(59) == pytest.approx(0.55)  # half-way: the mean of 1 and 0.1
    assert factor(109) == factor(500) == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", [InverseSquareRoot(7), Cosine(50, 7), Cosine(50)])
def test_steps_are_continuous_and_fall_after_the_warm_up(schedule):
    factors = [schedule(step) for step in range(60)]
    assert all(0 <= factor <= 1 for factor in factors)
    after = factors[schedule.warmup_steps :]
    assert after == sorted(after, reverse=True) and max(factors) > 0.99


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: InverseSquareRoot(0), "needs warmup_steps of at least 1; 4000 is usual"),
        (lambda: InverseSquareRoot(-3), "warmup_steps is -3, but must be 0 or more"),
        (lambda: Cosine(10, 10), r"total_steps is 10, but must be more than warmup_steps \(10\)"),
    ],
)
def test_impossible_schedules_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
