"""Losses for top-k classification: the right class is to be among the k best, whatever its place there.

    hinge          max(0, r_y - k), r the soft ranks        (Cuturi et al. 2019; Blondel et al. 2020, section 6.1)
    cross-entropy  -log sum_{r<=k} P_ry, the membership     (Petersen et al. 2022, for one k; SOFT is one of their P)

Membership is a probability for operators that use no candidate twice (SOFT, LapSum); that of the others is cut at 1.
"""

import torch
from torch import Tensor

from beamtrain.ranking.reading import membership, soft_ranks
from beamtrain.topk import Operator


def topk_hinge(
    scores: Tensor, labels: Tensor, k: int, operator: Operator, generator: torch.Generator | None = None
) -> Tensor:
    """max(0, soft rank of the right class - k): scores (..., C), labels (...) -> (...)."""
    _check(scores, k)
    return (_at(soft_ranks(scores, operator, generator), labels) - k).clamp_min(0.0)


def topk_cross_entropy(
    scores: Tensor, labels: Tensor, k: int, operator: Operator, generator: torch.Generator | None = None
) -> Tensor:
    """-log of the right class's membership in the k best: scores (..., C), labels (...) -> (...)."""
    _check(scores, k)
    chosen = _at(membership(scores, k, operator, generator), labels)
    return -chosen.clamp(torch.finfo(chosen.dtype).tiny, 1.0).log()


def _check(scores: Tensor, k: int) -> None:
    if not 1 <= k <= scores.shape[-1]:
        raise ValueError(f"k must lie between 1 and the number of classes {scores.shape[-1]}, got {k}")


def _at(values: Tensor, labels: Tensor) -> Tensor:
    """The value of the right class: (..., C), (...) -> (...)."""
    return values.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
