"""What differentiable sorting is for besides search: kNN, rank losses, quantiles, trimmed losses. PyTorch only.

Every part takes any operator of `beamtrain.topk` that gives what the part needs, and says so if it does not. Scores
are (..., N), best means largest, rank 1 is the best; losses come back one for each row (...), to be averaged by the
caller. Half precision is computed in float32, which also comes back, and autocast changes nothing. Wrong shapes and
values are a ValueError. docs/ranking.md shows each of them on a task.
"""

from beamtrain.ranking.correlation import kendall, kendall_loss, spearman, spearman_loss
from beamtrain.ranking.expectation import permutation_expectation
from beamtrain.ranking.knn import DifferentiableKNN, majority, squared_distances
from beamtrain.ranking.ndcg import ndcg, ndcg_loss
from beamtrain.ranking.quantiles import quantile_loss, soft_median, soft_quantile
from beamtrain.ranking.reading import membership, permutation, soft_ranks, sorted_values
from beamtrain.ranking.topk_loss import topk_cross_entropy, topk_hinge
from beamtrain.ranking.trimmed import soft_trimmed_mean

__all__ = [
    "DifferentiableKNN",
    "kendall",
    "kendall_loss",
    "majority",
    "membership",
    "ndcg",
    "ndcg_loss",
    "permutation",
    "permutation_expectation",
    "quantile_loss",
    "soft_median",
    "soft_quantile",
    "soft_ranks",
    "soft_trimmed_mean",
    "sorted_values",
    "spearman",
    "spearman_loss",
    "squared_distances",
    "topk_cross_entropy",
    "topk_hinge",
]
