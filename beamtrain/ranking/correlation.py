"""Rank correlations, and losses that are 1 minus them as the temperature falls.

    Spearman  rho = 1 - 6 sum_i (r_i - y_i)^2 / (N (N^2 - 1))            (no ties)
    Kendall   tau = mean over pairs of sign(r_i - r_j) sign(y_i - y_j)   (tau-a: a tied pair counts 0)

`spearman_loss` puts soft ranks in the place of r (Blondel et al. 2020, section 6.3, up to the factor). `kendall_loss`
lets the operator rank each pair on its own: with soft ranks of the two scores in [1, 2], their difference is the
sign. That takes N^2 / 2 problems of size 2.
"""

import torch
from torch import Tensor

from beamtrain.ranking.checks import check_finite_scores, check_ranks, checked_order, checked_scores
from beamtrain.ranking.reading import soft_ranks
from beamtrain.topk import Operator


def spearman_loss(
    scores: Tensor, ranks: Tensor, operator: Operator, generator: torch.Generator | None = None
) -> Tensor:
    """1 - rho of soft ranks of scores (..., N) and the true `ranks` (..., N), 1 for the best: (...), not negative."""
    check_ranks(ranks, _several(scores).shape)
    return _spearman_distance(soft_ranks(scores, operator, generator), ranks)


def kendall_loss(scores: Tensor, ranks: Tensor, operator: Operator, generator: torch.Generator | None = None) -> Tensor:
    """1 - tau of scores (..., N) and the true `ranks` (..., N), 1 for the best: (...), in [0, 2]."""
    scores = _several(scores)
    ranks = checked_order(ranks, scores)
    first, second = _pairs(scores)
    placed = soft_ranks(torch.stack([scores[..., first], scores[..., second]], -1), operator, generator)  # (.., P, 2)
    ahead = placed[..., 1] - placed[..., 0]  # in [-1, 1], 1 where the first is ranked before the second
    return 1.0 - (ahead * torch.sign(ranks[..., second] - ranks[..., first])).mean(-1)


def spearman(scores: Tensor, ranks: Tensor) -> Tensor:
    """Spearman's rho (...) of the order of scores (..., N) and the true `ranks` (..., N); equal scores rank in their
    order of appearance. Raises ValueError for scores that are NaN or infinite, and ranks outside [1, N]."""
    scores = _several(scores)
    check_finite_scores(scores)
    check_ranks(ranks, scores.shape)
    hard = scores.argsort(dim=-1, descending=True, stable=True).argsort(-1) + 1
    return 1.0 - _spearman_distance(hard.to(scores.dtype), ranks)


def kendall(scores: Tensor, ranks: Tensor) -> Tensor:
    """Kendall's tau-a (...) of the order of scores (..., N) and the true `ranks` (..., N). Raises ValueError for scores
    and ranks that are NaN or infinite."""
    scores = _several(scores)
    check_finite_scores(scores)
    ranks = checked_order(ranks, scores)
    first, second = _pairs(scores)
    ahead = torch.sign(scores[..., first] - scores[..., second])
    return (ahead * torch.sign(ranks[..., second] - ranks[..., first])).mean(-1)


def _several(scores: Tensor) -> Tensor:
    scores = checked_scores(scores)
    if scores.shape[-1] < 2:
        raise ValueError(f"a rank correlation needs at least 2 scores in a row, got {scores.shape[-1]}")
    return scores


def _spearman_distance(left: Tensor, right: Tensor) -> Tensor:
    count = left.shape[-1]
    return 6.0 * (left - right).square().sum(-1) / (count * (count**2 - 1))


def _pairs(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Indices (P,) of the first and the second of all N (N - 1) / 2 pairs."""
    count = scores.shape[-1]
    first, second = torch.triu_indices(count, count, offset=1, device=scores.device)
    return first, second
