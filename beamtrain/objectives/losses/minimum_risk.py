"""Minimum risk over the final beams: good hypotheses gain probability.

The choices of the search get a gradient only where it goes through the scores: by a soft selection, or by a gradient
path of the unroll that is open.
"""

from torch import Tensor

from beamtrain.data.batch import Batch
from beamtrain.objectives.losses.base import BeamLoss, check_sharpness, order_weights
from beamtrain.objectives.rewards.base import Reward
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.objectives.rewards.ngram_counts import likeliest
from beamtrain.search.unroll.soft_beams import SoftBeams


class MinimumRisk(BeamLoss):
    """sum_r w_r (1 - reward_r) with w the renormalised probabilities of the K final beams and the reward counted.

    Shen et al. 2016 ("Minimum Risk Training for Neural Machine Translation"), equations 9 to 11. They take K samples,
    w proportional to p(y)^alpha, and 1 - sentence BLEU; here the K hypotheses are the beam's, w is `order_weights`,
    so that length normalisation is that of the search, and GLEU (the default) has no need of smoothing. A soft
    hypothesis is read as its likeliest tokens, whose number is its length.

    Args:
        reward: of a hypothesis, a number being enough; GLEU of n-grams up to 4 by default.
        sharpness: temperature of w, in units of the normalised score (nats).

    Raises:
        UserError: a sharpness that is not positive.
    """

    compares_beams = True

    def __init__(self, reward: Reward | None = None, sharpness: float = 0.3) -> None:
        super().__init__()
        check_sharpness(sharpness)
        self.reward, self.sharpness = reward or Gleu(), sharpness

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        rewards = self.reward.hard(beams, batch)  # (B, K)
        return 1 - (order_weights(likeliest(beams), self.sharpness) * rewards).sum(-1)
