"""SoftSort (Prillo and Eisenschlos 2020, eq. 4): row r is softmax_i(-|x_i - x_(r)| / temperature), x_(r) the r-th
best.

Cost k N after finding the k best. Rows are independent, so a candidate may be chosen twice: column sums can exceed 1
(sorted SOFT at temperature t tends to SoftSort at 2t as both harden, where it does not).
"""

import torch
from torch import Tensor

from beamtrain.topk.base import Operator, ranked, split_masked


def softsort_topk(scores: Tensor, k: int, temperature: float = 0.1) -> Tensor:
    """Weights (..., k, N), rank 1 first, of scores (..., N); k = N gives the whole relaxed permutation matrix."""
    return SoftSort(temperature, None).select(scores, k).weights


class SoftSort(Operator):
    """SoftSort as an operator of the family."""

    def weights(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        finite, masked = split_masked(scores)
        distance = (
            finite.unsqueeze(-2) - ranked(scores, k).unsqueeze(-1)
        ).abs()  # (..., 1, M), (..., k, 1) -> (..., k, M)
        return (distance / -self.temperature).masked_fill(masked.unsqueeze(-2), -torch.inf).softmax(-1)
