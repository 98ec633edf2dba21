"""Which searches to look at: the hard one, the run's own as it was trained, and soft ones from sharp to blurred."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from beamtrain.base.errors import UserError
from beamtrain.objectives.base import Objective
from beamtrain.objectives.beam_training import BeamTraining
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.objectives.losses.expected_reward import ExpectedReward
from beamtrain.search.unroll.options import GradientPath, UnrollOptions
from beamtrain.topk.base import Operator
from beamtrain.topk.soft import SoftTopK

TEMPERATURES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""In nats: from a choice that is nearly hard to one that mixes all of a beam."""
MARGIN = 4
"""Tokens beyond the reference's length, where the run does not say."""

Kind = Literal["hard", "trained", "soft"]


@dataclass(frozen=True)
class LookedAt:
    """One search to look at."""

    kind: Kind
    options: UnrollOptions
    operator: Operator | None
    """None for the hard search."""


@dataclass(frozen=True)
class Measure:
    """The loss whose gradient is shown."""

    loss: BeamLoss
    margin: int
    of_run: bool
    """Whether the run was trained with it."""


def measure(objective: Objective) -> Measure:
    """The loss of the run's objective; the expected GLEU of the beams, where that has no search in it."""
    if isinstance(objective, BeamTraining):
        return Measure(objective.loss, objective.margin, of_run=True)
    return Measure(ExpectedReward(), MARGIN, of_run=False)


def searches(
    objective: Objective,
    operator: Operator | None = None,
    temperatures: Sequence[float] = TEMPERATURES,
    beam_size: int | None = None,
    candidates: int | None = None,
) -> list[LookedAt]:
    """The searches to look at.

    The soft ones have all gradient paths open: their gradient is the whole one. K and M are the run's, or the
    defaults of `UnrollOptions`, unless they are given.

    Args:
        objective: of the run.
        operator: of the soft searches; by default that of the run, or sorted SOFT.
        temperatures: of the soft searches.
        beam_size, candidates: K and M.

    Raises:
        UserError: an operator that gives no order or no gradient, or a value out of its range.
    """
    own = objective if isinstance(objective, BeamTraining) else None
    operator = operator or (own.operator if own else SoftTopK(temperature=0.5, candidates=None))
    try:
        operator.require("order", "gradient", purpose="a search in the loop")
        soft = [_at(operator, temperature) for temperature in temperatures]
    except ValueError as error:
        raise UserError(str(error)) from error
    options = _sized(own.unroll if own else UnrollOptions(), beam_size, candidates)
    found = [LookedAt("hard", replace(options, selection="hard", open_paths=()), None)]
    if own:
        found.append(LookedAt("trained", options, own.operator))
    everything: tuple[GradientPath, ...] = get_args(GradientPath)
    return found + [LookedAt("soft", replace(options, selection="soft", open_paths=everything), each) for each in soft]


def _sized(options: UnrollOptions, beam_size: int | None, candidates: int | None) -> UnrollOptions:
    K = beam_size or options.beam_size
    M = candidates or (options.candidates and max(options.candidates, K))
    return replace(options, beam_size=K, candidates=M)


def _at(operator: Operator, temperature: float) -> Operator:
    operator = copy.deepcopy(operator)
    operator.temperature = temperature
    return operator
