"""Peaked softmax, the continuous relaxation of beam search (Goyal, Neubig, Dyer and Berg-Kirkpatrick 2018, section 3).

Row r is softmax_i(-((x_i - x_(r)) / temperature)^2), x_(r) the r-th best; the paper's peakiness alpha is
temperature^-2, so that our temperature is in the unit of the scores. Rows are independent: column sums can exceed 1.
"""

import torch
from torch import Tensor

from beamtrain.topk.base import Operator, ranked, split_masked


def peaked_topk(scores: Tensor, k: int, temperature: float = 0.1) -> Tensor:
    """Weights (..., k, N), rank 1 first, of scores (..., N)."""
    return Peaked(temperature, None).select(scores, k).weights


class Peaked(Operator):
    """Peaked softmax as an operator of the family."""

    def weights(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        finite, masked = split_masked(scores)
        distance = (finite.unsqueeze(-2) - ranked(scores, k).unsqueeze(-1)) / self.temperature  # (..., k, M)
        return (-distance.square()).masked_fill(masked.unsqueeze(-2), -torch.inf).softmax(-1)
