"""What is read off an operator: a relaxed permutation, soft ranks, softly sorted values, soft membership.

With P (N, N) the operator's weights for k = N, row r the distribution over candidates for rank r:

    soft rank of i  sum_r P_ri r / sum_r P_ri        r-th value  sum_i P_ri x_i        membership  sum_{r<=k} P_ri

Operators that compute ranks or values themselves (`gives`) are asked for those. Columns of NeuralSort, SoftSort and
their like need not sum to 1, hence the division, which changes nothing where they do.
"""

import torch
from torch import Tensor

from beamtrain.ranking.checks import check_operator, check_whole, checked_scores
from beamtrain.topk import Operator
from beamtrain.topk.checks import check_scores
from beamtrain.topk.transforms import in_full_precision


def permutation(scores: Tensor, operator: Operator, generator: torch.Generator | None = None) -> Tensor:
    """The relaxed permutation matrix (..., N, N) that sorts scores (..., N), best first: row r belongs to rank r.

    Raises ValueError for operators without an order of ranks, and for those whose `candidates` are fewer than N.
    """
    check_operator(operator)
    operator.require("weights", "order", purpose="a relaxed permutation")
    scores = checked_scores(scores)
    count = scores.shape[-1]
    return operator.select(scores, count, generator).dense(count)


@in_full_precision
def soft_ranks(scores: Tensor, operator: Operator, generator: torch.Generator | None = None) -> Tensor:
    """Soft ranks (..., N) of scores (..., N), 1 for the best, in [1, N]; N for what no rank has a weight for."""
    check_operator(operator)
    scores = checked_scores(scores)
    if "ranks" in operator.gives:
        return operator.rank(scores)
    matrix = permutation(scores, operator, generator)
    count = scores.shape[-1]
    places = torch.arange(1, count + 1, device=matrix.device, dtype=matrix.dtype)
    total = matrix.sum(-2)
    ranks = places @ matrix / total.clamp_min(torch.finfo(total.dtype).tiny)  # (N,) x (..., N, N) -> (..., N)
    return torch.where(total > 0, ranks, float(count))


@in_full_precision
def sorted_values(scores: Tensor, operator: Operator, generator: torch.Generator | None = None) -> Tensor:
    """Softly sorted scores (..., N), best first."""
    check_operator(operator)
    scores = checked_scores(scores)
    if "values" in operator.gives:
        return operator.sort(scores)
    return (permutation(scores, operator, generator) @ scores.unsqueeze(-1)).squeeze(-1)


@in_full_precision
def membership(scores: Tensor, k: int, operator: Operator, generator: torch.Generator | None = None) -> Tensor:
    """How far each of scores (..., N) belongs to the k best: (..., N), in [0, 1], or up to k from operators that may
    choose a candidate twice.

    From operators that only rank: k + 1 - rank, clipped to [0, 1]. Raises ValueError unless 1 <= k <= N, and where a
    row has fewer than k finite scores.
    """
    check_operator(operator)
    scores = checked_scores(scores)
    count = scores.shape[-1]
    check_whole("k", k, 1, count, "the number of scores")
    if "weights" in operator.gives:
        return operator.select(scores, k, generator).dense(count).sum(-2)  # (..., k, N) -> (..., N)
    check_scores(scores, k)
    return (k + 1 - soft_ranks(scores, operator, generator)).clamp(0.0, 1.0)
