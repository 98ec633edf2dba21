"""Rewards that are a function of n-gram counts, and so differentiable where the counts are expected ones."""

from abc import abstractmethod

from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.objectives.rewards.base import Reward
from beamtrain.objectives.rewards.ngram_counts import NgramCounts, certain_counts, expected_counts
from beamtrain.search.unroll.soft_beams import SoftBeams


class NgramReward(Reward):
    """A differentiable reward of the n-grams of subwords that a hypothesis shares with its reference.

    Args:
        order: the longest n-grams that count.

    Raises:
        UserError: an order below 1.
    """

    def __init__(self, order: int = 4) -> None:
        super().__init__()
        if order < 1:
            raise UserError(f"order is {order}, but n-grams have at least 1 token; 4 is usual")
        self.order = order

    @abstractmethod
    def forward(self, counts: NgramCounts) -> Tensor:
        """(B, K) the reward of every hypothesis."""

    def of(self, hypotheses: Tensor, batch: Batch) -> Tensor:
        counted: Tensor = self(certain_counts(hypotheses, batch.target_out, self.order))
        return counted

    def soft(self, beams: SoftBeams, batch: Batch) -> Tensor:
        """(B, K) of the beams' expected counts, with a gradient to the search's choices."""
        expected: Tensor = self(expected_counts(beams, batch.target_out, self.order))
        return expected


def differentiable(reward: Reward, purpose: str) -> NgramReward:
    """The reward, if it has a gradient.

    Raises:
        UserError: it is a number only.
    """
    if isinstance(reward, NgramReward):
        return reward
    raise UserError(
        f"{type(reward).__name__} is a number without a gradient, and {purpose} goes through the tokens: use a reward "
        "of n-grams (Gleu, LinearBleu), or what needs a number only (MinimumRisk, SampledRisk, SelfCritical, "
        "ParameterSearch)"
    )
