"""GLEU, the sentence score of n-grams that needs no smoothing."""

import torch
from torch import Tensor

from beamtrain.objectives.rewards.ngram_counts import NgramCounts
from beamtrain.objectives.rewards.ngram_reward import NgramReward


class Gleu(NgramReward):
    """The n-grams that hypothesis and reference share, n = 1 ... `order`, over those of the longer one (Wu et al. 2016,
    "Google's Neural Machine Translation System", section 4.3).

    All orders are summed, so words weigh more than longer n-grams; and a hypothesis that is shorter than the
    reference loses nothing by a wrong word more, so it lengthens what is short.
    """

    def forward(self, counts: NgramCounts) -> Tensor:
        longer = torch.maximum(counts.length, counts.reference_length.to(counts.length.dtype))  # (B, K)
        ngrams = sum(((longer - n).clamp(min=0) for n in range(1, self.order)), start=longer)
        return counts.shared.sum(-1) / ngrams.clamp(min=1e-6)
