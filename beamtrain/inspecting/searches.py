"""Which searches to look at: the hard one, the run's own as it was trained, and soft ones from sharp to blurred."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from beamtrain.base.errors import UserError
from beamtrain.objectives.base import Objective
from beamtrain.objectives.beam_training import BeamTraining, check_hard_prefixes
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
    """One search to look at, and the loss whose gradient is shown."""

    kind: Kind
    options: UnrollOptions
    operator: Operator | None
    """None for the hard search."""
    loss: BeamLoss
    loss_of_run: bool
    """Whether the run was trained with it."""
    margin: int
    """Tokens that the search goes on for beyond the reference's length."""


def searches(
    objective: Objective,
    operator: Operator | None = None,
    temperatures: Sequence[float] = TEMPERATURES,
    beam_size: int | None = None,
    candidates: int | None = None,
) -> list[LookedAt]:
    """The searches to look at.

    The soft ones have all gradient paths open: their gradient is the whole one. K and M are the run's, or the
    defaults of `UnrollOptions`, unless they are given. The loss is the run's; the expected GLEU of the beams, where the
    run has none on beams, or it cannot read a soft search.

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
    loss, margin = (own.loss, own.margin) if own else (ExpectedReward(), MARGIN)
    if loss.reads_hard_prefixes:
        check_hard_prefixes(type(loss).__name__, options)
    size: Any = {"beam_size": options.beam_size, "candidates": options.candidates}
    mixing = UnrollOptions(**size, selection="soft", open_paths=get_args(GradientPath))
    read_softly, of_run = (ExpectedReward(), False) if loss.reads_hard_prefixes else (loss, own is not None)
    found = [LookedAt("hard", UnrollOptions(**size, selection="hard"), None, loss, own is not None, margin)]
    if own:
        found.append(LookedAt("trained", options, own.operator, loss, True, margin))
    return found + [LookedAt("soft", mixing, each, read_softly, of_run, margin) for each in soft]


def _sized(options: UnrollOptions, beam_size: int | None, candidates: int | None) -> UnrollOptions:
    K = beam_size or options.beam_size
    M = candidates or (options.candidates and max(options.candidates, K))
    return replace(options, beam_size=K, candidates=M)


def _at(operator: Operator, temperature: float) -> Operator:
    operator = copy.deepcopy(operator)
    operator.temperature = temperature
    return operator
