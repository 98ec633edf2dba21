"""How much of what a decoder reads is gold, as training goes on."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from beamtrain.base.errors import UserError

Decay = Literal["linear", "exponential", "inverse_sigmoid"]


@dataclass(frozen=True)
class GoldShare:
    """The probability that an input is gold after i optimiser steps (Bengio et al. 2015, "Scheduled Sampling for
    Sequence Prediction with Recurrent Neural Networks", section 2.4), in terms of the step h at which it is one half:

        linear            max(least, 1 - i / (2 h))
        exponential       max(least, 2^(-i / h))                            their k^i with k = 2^(-1 / h)
        inverse_sigmoid   max(least, k / (k + exp(i / k))), k log k = h     from 1 - 1 / (k + 1) on

    Raises:
        UserError: a value out of its range.
    """

    decay: Decay = "inverse_sigmoid"
    """linear, exponential or inverse_sigmoid."""
    half: float = 2000
    """h, in optimiser steps."""
    least: float = 0.0
    """Below this it does not fall."""

    def __post_init__(self) -> None:
        if self.decay not in get_args(Decay):
            raise UserError(f"decay is {self.decay!r}; it must be one of {', '.join(get_args(Decay))}")
        if not 0 < self.half < math.inf:
            raise UserError(f"half is {self.half}, but must be a positive number of steps")
        if not 0 <= self.least <= 1:
            raise UserError(f"least is {self.least}, but must be a probability, 0 to 1")

    def __call__(self, step: int) -> float:
        if self.decay == "linear":
            share = 1 - step / (2 * self.half)
        elif self.decay == "exponential":
            share = 2 ** (-step / self.half)
        else:
            k = _of_product(self.half)
            share = 1 / (1 + math.exp(min(step / k - math.log(k), 700.0)))
        return max(self.least, share)


def _of_product(h: float) -> float:
    """k with k log k = h, by Newton's method from above."""
    k = h + math.e
    for _ in range(50):
        k -= (k * math.log(k) - h) / (math.log(k) + 1)
    return k
