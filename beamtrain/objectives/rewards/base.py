"""The contract of a reward: how good hypotheses are."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from beamtrain.data.batch import Batch
from beamtrain.search.unroll.soft_beams import SoftBeams


class Reward(nn.Module, ABC):
    """A score of hypotheses, the higher the better, about 1 for the reference itself.

    This much is enough for every objective that needs a number only: minimum risk, over the beam or over samples,
    REINFORCE, parameter search. One that goes through the tokens themselves, as the expected reward does, needs an
    `NgramReward`.
    """

    @abstractmethod
    def of(self, hypotheses: Tensor, batch: Batch) -> Tensor:
        """(B, K) of hypotheses (B, K, T), each tokens, then EOS, then PAD; without a gradient."""

    def hard(self, beams: SoftBeams, batch: Batch) -> Tensor:
        """(B, K) of the beams' likeliest tokens, without a gradient."""
        return self.of(beams.best_tokens, batch).to(beams.scores.dtype)
