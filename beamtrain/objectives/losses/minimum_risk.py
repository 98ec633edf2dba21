"""Minimum risk over the final beams: good hypotheses gain probability.

The choices of the search get a gradient only where it goes through the scores: by a soft selection, or by a gradient
path of the unroll that is open.
"""

from torch import Tensor

from beamtrain.data.batch import Batch
from beamtrain.objectives.losses.base import order_weights
from beamtrain.objectives.losses.expected_reward import ExpectedReward
from beamtrain.objectives.rewards.ngram_counts import likeliest
from beamtrain.search.unroll.soft_beams import SoftBeams


class MinimumRisk(ExpectedReward):
    """sum_r w_r (1 - reward_r) with w the renormalised probabilities of the K final beams and the reward counted.

    Shen et al. 2016 ("Minimum Risk Training for Neural Machine Translation"), equations 9 to 11. They take K samples,
    w proportional to p(y)^alpha, and 1 - sentence BLEU; here the K hypotheses are the beam's, w is `order_weights`,
    so that length normalisation is that of the search, and GLEU (the default) has no need of smoothing. A soft
    hypothesis is read as its likeliest tokens, whose number is its length.

    Args: as of ExpectedReward.
    """

    takes_gold_prefixes = False  # one beam's weight is 1

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        said = likeliest(beams)
        return 1 - (order_weights(said, self.sharpness) * self.reward.soft(said, batch)).sum(-1)
