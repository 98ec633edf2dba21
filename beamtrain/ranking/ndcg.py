"""Normalised discounted cumulative gain, and a loss that is 1 minus it as the temperature falls.

    DCG = sum_i gain_i / log2(1 + rank_i)        NDCG = DCG / the largest DCG that the gains allow

Operators that give ranks put soft ranks there (as Qin, Liu and Li 2010 do, whose ranks are sums of sigmoids); those
that give an order sort the gains, sum_r sum_i P_ri gain_i / log2(1 + r) (as Pobrotyn and Bialobrzeski 2021 do with
NeuralSort).
"""

import torch
from torch import Tensor

from beamtrain.ranking.checks import check_finite_scores, check_operator, check_whole, checked_gains, checked_scores
from beamtrain.ranking.reading import soft_ranks
from beamtrain.topk import Operator
from beamtrain.topk.transforms import in_full_precision


@in_full_precision
def ndcg_loss(
    scores: Tensor,
    gains: Tensor,
    operator: Operator,
    k: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """1 - soft NDCG (...) of scores (..., N) against gains (..., N) >= 0; k: only the k best places count.

    Rows without any gain have loss 0; operators that may choose a candidate twice can bring others below 0. From
    operators that only rank, k must be None. Raises ValueError for gains that are negative, NaN or infinite, and unless
    1 <= k <= N.
    """
    check_operator(operator)
    scores = checked_scores(scores)
    gains, places = checked_gains(gains, scores), _places(k, scores)
    if "order" in operator.gives:
        rows = operator.select(scores, places, generator).dense(scores.shape[-1])  # (..., k, N)
        found = (rows @ gains.unsqueeze(-1)).squeeze(-1) @ _discounts(places, gains)
    else:
        if k is not None:
            operator.require("order", purpose="NDCG at k")
        found = (gains / torch.log2(1.0 + soft_ranks(scores, operator, generator))).sum(-1)
    return _normalised_loss(found, gains, places)


@in_full_precision
def ndcg(scores: Tensor, gains: Tensor, k: int | None = None) -> Tensor:
    """NDCG (...) of the order of scores (..., N) against gains (..., N), 1 for rows without any gain; equal scores rank
    in their order of appearance. Raises ValueError as ndcg_loss does, and for scores that are NaN or infinite."""
    scores = checked_scores(scores)
    check_finite_scores(scores)
    gains, places = checked_gains(gains, scores).expand(scores.shape), _places(k, scores)
    order = scores.argsort(dim=-1, descending=True, stable=True)[..., :places]
    return 1.0 - _normalised_loss(gains.gather(-1, order) @ _discounts(places, gains), gains, places)


def _places(k: int | None, scores: Tensor) -> int:
    if k is not None:
        check_whole("k", k, 1, scores.shape[-1], "the number of scores")
    return scores.shape[-1] if k is None else k


def _normalised_loss(found: Tensor, gains: Tensor, places: int) -> Tensor:
    best = gains.topk(places, dim=-1).values @ _discounts(places, gains)
    return torch.where(best > 0, 1.0 - found / best.clamp_min(torch.finfo(best.dtype).tiny), torch.zeros_like(best))


def _discounts(places: int, like: Tensor) -> Tensor:
    """1 / log2(1 + r) for r = 1..places."""
    return 1.0 / torch.log2(torch.arange(2, places + 2, device=like.device, dtype=like.dtype))
