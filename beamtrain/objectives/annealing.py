"""A temperature that falls while training goes on."""

import math
from dataclasses import dataclass

from beamtrain.base.errors import UserError


@dataclass(frozen=True)
class Annealing:
    """temperature(s) = initial (final / initial)^(s / steps), and `final` from step `steps` on.

    Raises:
        UserError: a value that is not positive and finite.
    """

    initial: float
    """In the unit of the scores (nats)."""
    final: float
    steps: int
    """Optimiser steps from `initial` to `final`."""

    def __post_init__(self) -> None:
        for name in ("initial", "final", "steps"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise UserError(f"annealing's {name} is {value}, but must be positive and finite")

    def __call__(self, step: int) -> float:
        return self.initial * (self.final / self.initial) ** min(step / self.steps, 1.0)
