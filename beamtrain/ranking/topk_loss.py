"""Losses for top-k classification: the right class is to be among the k best, whatever its place there.

    hinge          max(0, r_y - k), r the soft ranks        (Cuturi et al. 2019; Blondel et al. 2020, section 6.1)
    cross-entropy  -log sum_{r<=k} P_ry, the membership     (Petersen et al. 2022, for one k; SOFT is one of their P)

Membership is a probability for operators that use no candidate twice (SOFT, LapSum); that of the others is cut at 1.
"""

import torch
from torch import Tensor

from beamtrain.ranking.checks import check_whole, checked_labels, checked_scores
from beamtrain.ranking.reading import membership, soft_ranks
from beamtrain.topk import Operator


def topk_hinge(
    scores: Tensor, labels: Tensor, k: int, operator: Operator, generator: torch.Generator | None = None
) -> Tensor:
    """max(0, soft rank of the right class - k): scores (..., C), labels (...) in 0 .. C - 1 -> (...)."""
    place = _place(scores, labels, k)
    return (soft_ranks(scores, operator, generator).gather(-1, place).squeeze(-1) - k).clamp_min(0.0)


def topk_cross_entropy(
    scores: Tensor, labels: Tensor, k: int, operator: Operator, generator: torch.Generator | None = None
) -> Tensor:
    """-log of the right class's membership in the k best: scores (..., C), labels (...) in 0 .. C - 1 -> (...).

    A membership below the smallest normal number counts as that, and has no gradient.
    """
    place = _place(scores, labels, k)
    chosen = membership(scores, k, operator, generator).gather(-1, place).squeeze(-1)
    return -chosen.clamp(torch.finfo(chosen.dtype).tiny, 1.0).log()


def _place(scores: Tensor, labels: Tensor, k: int) -> Tensor:
    """Where the right classes' values are (..., 1), if all is as it should be."""
    shape = checked_scores(scores).shape
    check_whole("k", k, 1, shape[-1], "the number of classes")
    return checked_labels("labels", labels, shape[:-1], shape[-1]).unsqueeze(-1)
