"""What the parts refuse."""

from collections.abc import Callable

import pytest
import torch

from beamtrain import ranking
from beamtrain.topk import FastSoftSort, Gumbel, NeuralSort, Perturbed, SoftTopK

X = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
SET = SoftTopK(0.1, sorted=False)
RANKS = FastSoftSort()
SORT = NeuralSort(0.1, None)
LABELS = torch.tensor([0, 1])

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no order": (lambda: ranking.soft_ranks(X, SET), "SoftTopK gives no one row of weights for each rank"),
    "no weights": (lambda: ranking.permutation(X, RANKS), "FastSoftSort gives no weights over the candidates"),
    "no generator": (lambda: ranking.soft_ranks(X, Gumbel(SORT)), "draws noise: pass generator="),
    "few candidates": (lambda: ranking.soft_ranks(X, SoftTopK(0.1, 4)), "candidates must be None .* at least k = 5"),
    "members of ranks": (lambda: ranking.membership(X, 6, RANKS), "k must lie between 1 and the number of scores 5"),
    "one label": (lambda: ranking.spearman_loss(X[:, :1], X[:, :1], SORT), "needs at least 2 scores in a row, got 1"),
    "one pair": (lambda: ranking.kendall_loss(X[:, :1], X[:, :1], SORT), "needs at least 2 scores in a row, got 1"),
    "level": (lambda: ranking.soft_quantile(X, 1.2, SORT), r"level must lie in \[0, 1\], got 1.2"),
    "values of a sort": (lambda: ranking.soft_median(X, RANKS, X), "no weights .* which a soft quantile needs"),
    "trimmed": (lambda: ranking.soft_trimmed_mean(X, 5, SORT), "trimmed must lie between 0 and .* 4, got 5"),
    "top k": (
        lambda: ranking.topk_hinge(X, LABELS, 0, SORT),
        "k must lie between 1 and the number of classes 5, got 0",
    ),
    "knn loss": (lambda: ranking.DifferentiableKNN(SET, 3, 2, "mean"), 'must be "log", "linear" or "ranks"'),  # type: ignore[arg-type]
    "knn k": (lambda: ranking.DifferentiableKNN(SET, 0, 2), "must be at least 1, got k = 0"),
    "knn ranks": (
        lambda: ranking.DifferentiableKNN(SET, 1, 2, "ranks").loss(X, LABELS, X, LABELS),
        "gives no one row of weights for each rank",
    ),
    "estimator": (
        lambda: ranking.permutation_expectation(torch.sum, X, torch.Generator(), "score"),  # type: ignore[arg-type]
        'must be "reinforce" or "reparameterised"',
    ),
    "perturbed": (lambda: ranking.membership(X, 2, Perturbed(0.1)), "draws noise: pass generator="),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
