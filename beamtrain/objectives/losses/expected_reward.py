"""The expected reward of the final beams, differentiable through the search's choices."""

from torch import Tensor

from beamtrain.data.batch import Batch
from beamtrain.objectives.losses.base import BeamLoss, check_sharpness, order_weights
from beamtrain.objectives.rewards.base import Reward
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.objectives.rewards.ngram_reward import differentiable
from beamtrain.search.unroll.soft_beams import SoftBeams


class ExpectedReward(BeamLoss):
    """1 - sum_r w_r reward_r over the K final beams of a sentence; w as in `order_weights`.

    So the gradient has two ways: through the tokens, that is the search's choices, and through the weights, which
    are probabilities of whole hypotheses (as in minimum risk).

    Args:
        reward: of a hypothesis, one of n-grams; GLEU of n-grams up to 4 by default.
        sharpness: temperature of w, in units of the normalised score (nats).

    Raises:
        UserError: a sharpness that is not positive, or a reward without a gradient.
    """

    compares_beams = reads_choices = takes_gold_prefixes = True

    def __init__(self, reward: Reward | None = None, sharpness: float = 0.3) -> None:
        super().__init__()
        check_sharpness(sharpness)
        self.reward, self.sharpness = differentiable(reward or Gleu(), type(self).__name__), sharpness

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        return 1 - (order_weights(beams, self.sharpness) * self.reward.soft(beams, batch)).sum(-1)
