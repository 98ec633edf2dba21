"""Credit by what follows: a choice of the search is as good as the hypotheses that come of it."""

import math

import torch
from torch import Tensor

from beamtrain.data.batch import Batch
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.objectives.losses.survival import check_settings, log_membership
from beamtrain.objectives.rewards.base import Reward
from beamtrain.objectives.rewards.gleu import Gleu
from beamtrain.search.unroll.soft_beams import SoftBeams


class DescendantCredit(BeamLoss):
    """-(1/K) sum_t sum_i n_t(i) (R_t(i) - R) log m_t(i) over the candidates i that the search chose at position t.

    n_t(i) of the K final hypotheses begin with i, R_t(i) is their mean reward, R that of all K, and m_t(i) the
    candidate's membership of the K best; see `survival.log_membership`.

    Ours: minimum risk with the search's choices in it. A final hypothesis h is in the beam because its beginning h_t
    was chosen at every position; let it count by how safely, q_h = prod_t m_t(h_t). The gradient of the expected
    reward of what survives,

        J = sum_h q_h R_h / sum_h q_h,      dJ = sum_h q_h (R_h - J) sum_t d log m_t(h_t) / sum_h q_h,

    taken with all q_h alike, is that of minus this loss: sorted by candidates instead of hypotheses, a candidate has
    the return of its descendants. One that all final hypotheses descend from has no credit, whatever the reward, and
    one without descendants has none known. The rewards carry no gradient, so the loss is 0 where they are all the
    same. Its value may fall without bound for a bad hypothesis, but that stops counting once it is out of the beam.

    Args:
        temperature: of the membership, in nats of accumulated log-probability.
        rivals: how many candidates on either side of the K-th place set the threshold; null for all.
        reward: of a final hypothesis, counted; GLEU of n-grams up to 4 by default.

    Raises:
        UserError: a temperature that is not positive, or rivals below 1.
    """

    reads_hard_prefixes = compares_beams = True

    def __init__(self, temperature: float = 0.5, rivals: int | None = None, reward: Reward | None = None) -> None:
        super().__init__()
        check_settings(temperature, rivals)
        self.temperature, self.rivals, self.reward = temperature, rivals, reward or Gleu()

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        there = beams.scores != -math.inf  # (B, K)
        with torch.no_grad():
            rewards = self.reward.hard(beams, batch).masked_fill(~there, 0.0)
            mean = rewards.sum(1, keepdim=True) / there.sum(1, keepdim=True)
            credit = (rewards - mean).masked_fill(~there, 0.0) / there.sum(1, keepdim=True)  # (B, K)
        survival = log_membership(beams, beams.weights.argmax(-1), self.temperature, self.rivals).sum(
            1
        )  # (B, T, K) -> (B, K)
        return -(credit * survival).sum(1)
