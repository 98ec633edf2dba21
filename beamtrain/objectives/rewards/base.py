"""The contract of a reward: how good the search's hypotheses are, given their n-grams."""

from abc import abstractmethod

from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.objectives.rewards.ngram_counts import NgramCounts, expected_counts, likeliest
from beamtrain.search.unroll.soft_beams import SoftBeams


class Reward(nn.Module):
    """A differentiable score of hypotheses, the higher the better, about 1 for the reference itself.

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

    def soft(self, beams: SoftBeams, batch: Batch) -> Tensor:
        """(B, K) of the beams' expected counts, with a gradient to the search's choices."""
        expected: Tensor = self(expected_counts(beams, batch.target_out, self.order))
        return expected

    def hard(self, beams: SoftBeams, batch: Batch) -> Tensor:
        """(B, K) of the likeliest tokens, counted, without a gradient."""
        return self.soft(likeliest(beams), batch)
