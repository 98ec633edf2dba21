"""How the learning rate changes over a run, as a factor of the optimiser's own."""

import math
from abc import ABC, abstractmethod

from beamtrain.base.errors import UserError


class Schedule(ABC):
    """A linear warm-up from 0 to 1, then what the subclass says."""

    def __init__(self, warmup_steps: int) -> None:
        if warmup_steps < 0:
            raise UserError(f"warmup_steps is {warmup_steps}, but must be 0 or more")
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        """The factor for optimiser step `step`, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return self.after_warmup(step + 1)

    @abstractmethod
    def after_warmup(self, step: int) -> float:
        """The factor at `step`, counted from 1."""


class InverseSquareRoot(Schedule):
    """sqrt(warmup_steps / step) after the warm-up (Vaswani et al. 2017, eq. 3, without its model-size constant).

    Args:
        warmup_steps: steps of linear warm-up, at least 1.
    """

    def __init__(self, warmup_steps: int = 4000) -> None:
        if warmup_steps == 0:
            raise UserError("the inverse square root schedule needs warmup_steps of at least 1; 4000 is usual")
        super().__init__(warmup_steps)

    def after_warmup(self, step: int) -> float:
        return math.sqrt(self.warmup_steps / step)


class Cosine(Schedule):
    """Half a cosine from 1 down to `final`, reached at `total_steps` and kept (Loshchilov and Hutter 2017, eq. 5).

    Args:
        total_steps: the step at which `final` is reached, usually trainer.max_steps.
        warmup_steps: steps of linear warm-up.
        final: the last factor.
    """

    def __init__(self, total_steps: int, warmup_steps: int = 0, final: float = 0.0) -> None:
        super().__init__(warmup_steps)
        if not 0 <= final <= 1:
            raise UserError(f"final is {final}, but the schedule's last factor must be from 0 to 1")
        if total_steps <= warmup_steps:
            raise UserError(f"total_steps is {total_steps}, but must be more than warmup_steps ({warmup_steps})")
        self.total_steps, self.final = total_steps, final

    def after_warmup(self, step: int) -> float:
        progress = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2
