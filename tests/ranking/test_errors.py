"""What the parts refuse."""

from collections.abc import Callable

import pytest
import torch

from beamtrain import ranking
from beamtrain.ranking.expectation import Estimator
from beamtrain.topk import FastSoftSort, Gumbel, NeuralSort, Perturbed, SoftTopK

X = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
SET = SoftTopK(0.1, sorted=False)
RANKS = FastSoftSort()
SORT = NeuralSort(0.1, None)
LABELS = torch.tensor([0, 1])

PLACES = torch.arange(5.0).expand(2, 5)
KNN = ranking.DifferentiableKNN(SET, 2, 2)


def expectation(objective: Callable[[torch.Tensor], torch.Tensor], estimator: Estimator) -> torch.Tensor:
    return ranking.permutation_expectation(objective, X, torch.Generator().manual_seed(0), estimator)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no order": (lambda: ranking.soft_ranks(X, SET), "SoftTopK gives no one row of weights for each rank"),
    "no weights": (lambda: ranking.permutation(X, RANKS), "FastSoftSort gives no weights over the candidates"),
    "no generator": (lambda: ranking.soft_ranks(X, Gumbel(SORT)), "draws noise: pass generator="),
    "few candidates": (lambda: ranking.soft_ranks(X, SoftTopK(0.1, 4)), "candidates must be None .* at least k = 5"),
    "members of ranks": (
        lambda: ranking.membership(X, 6, RANKS),
        "k must be a whole number between 1 and the number of scores 5, got 6",
    ),
    "one label": (lambda: ranking.spearman_loss(X[:, :1], X[:, :1], SORT), "needs at least 2 scores in a row, got 1"),
    "one pair": (lambda: ranking.kendall_loss(X[:, :1], X[:, :1], SORT), "needs at least 2 scores in a row, got 1"),
    "level": (lambda: ranking.soft_quantile(X, 1.2, SORT), r"level must lie in \[0, 1\], got 1.2"),
    "values of a sort": (lambda: ranking.soft_median(X, RANKS, X), "no weights .* which a soft quantile needs"),
    "trimmed": (
        lambda: ranking.soft_trimmed_mean(X, 5, SORT),
        "trimmed must be a whole number between 0 and .* 4, got 5",
    ),
    "top k": (
        lambda: ranking.topk_hinge(X, LABELS, 0, SORT),
        "k must be a whole number between 1 and the number of classes 5, got 0",
    ),
    "knn loss": (lambda: ranking.DifferentiableKNN(SET, 3, 2, "mean"), 'must be "log", "linear" or "ranks"'),  # type: ignore[arg-type]
    "knn k": (lambda: ranking.DifferentiableKNN(SET, 0, 2), "must be at least 1, got k = 0"),
    "knn ranks": (
        lambda: ranking.DifferentiableKNN(SET, 1, 2, "ranks"),
        'gives no soft ranks, which kNN with loss="ranks" needs',
    ),
    "knn neighbours": (lambda: KNN.loss(X, LABELS, X[:1], LABELS[:1]), "k must .* the number of neighbours 1, got 2"),
    "knn prediction": (lambda: KNN.predict(X, X[:1], LABELS[:1]), "k must .* the number of neighbours 1, got 2"),
    "knn features": (lambda: KNN(X, X[:, :3], LABELS), "must have as many features, got 5 and 3"),
    "knn bytes": (lambda: KNN.predict(X.byte(), X.byte(), LABELS), r"floating point, got torch.uint8; .* \.float\(\)"),
    "knn NaN": (lambda: KNN.predict(X / 0, X, LABELS), "squared distances must be finite and at least 0.0, got nan"),
    "knn classes": (lambda: KNN(X, X, LABELS + 1), r"labels must be in \[0, 1\], got 1 to 2"),
    "knn too few targets": (lambda: KNN.loss(X, LABELS[:1], X, LABELS), r"targets must be of shape \(2,\), .* \(1,\)"),
    "knn excluded": (
        lambda: KNN(X, X, LABELS, excluded=torch.eye(2)[:, :1] > 0),
        r"excluded must be of shape \(2, 2\)",
    ),
    "knn excluded in numbers": (
        lambda: KNN(X, X, LABELS, excluded=torch.eye(2)),
        "excluded must be true or false, got",
    ),
    "classes too few": (lambda: ranking.topk_hinge(X, LABELS[:1], 1, SORT), r"labels must be of shape \(2,\)"),
    "classes too high": (lambda: ranking.topk_cross_entropy(X, LABELS + 4, 1, SORT), r"in \[0, 4\], got 4 to 5"),
    "classes in floats": (lambda: ranking.topk_hinge(X, LABELS.float(), 1, SORT), r"whole numbers, got torch.float32"),
    "ranks from 0": (
        lambda: ranking.spearman_loss(X, PLACES, SORT),
        r"ranks must be in \[1, 5\], got 0.0 to 4.0: 1 is",
    ),
    "rho of ranks from 0": (lambda: ranking.spearman(X, PLACES), "add 1 to those that count from 0"),
    "a rank for all": (lambda: ranking.spearman_loss(X, PLACES[:, :1] + 1, SORT), r"of shape \(2, 5\), got \(2, 1\)"),
    "more ranks": (lambda: ranking.kendall_loss(X[:, :4], PLACES + 1, SORT), r"of shape \(2, 4\), got \(2, 5\)"),
    "rho of NaN": (lambda: ranking.spearman(X / 0 * 0, PLACES + 1), "scores must be finite, got nan"),
    "tau of NaN": (lambda: ranking.kendall(X / 0 * 0, PLACES + 1), "scores must be finite, got nan"),
    "NDCG of NaN": (lambda: ranking.ndcg(X / 0 * 0, PLACES), "scores must be finite, got nan"),
    "NDCG of negative gains": (
        lambda: ranking.ndcg_loss(X, -PLACES, SORT),
        "gains must be finite and at least 0.0, got -4",
    ),
    "NDCG of unknown gains": (lambda: ranking.ndcg_loss(X, X / 0 * 0, SORT), "gains must be finite .* got nan"),
    "NDCG at 0": (lambda: ranking.ndcg(X, PLACES, 0), "k must be a whole number between 1 and .* 5, got 0"),
    "NDCG at 6": (lambda: ranking.ndcg(X, PLACES, 6), "k must be a whole number between 1 and .* 5, got 6"),
    "targets in a column": (
        lambda: ranking.quantile_loss(X, X[:, :1], 0.5, SORT),
        r"target must be of shape \(2,\), got \(2, 1\)",
    ),
    "values of others": (lambda: ranking.soft_median(X, SORT, X[:, :4]), r"values must be of shape \(2, 5\)"),
    "a trimmed share": (lambda: ranking.soft_trimmed_mean(X, 0.3, SET), "trimmed must be a whole number .* got 0.3"),  # type: ignore[arg-type]
    "one value for all samples": (lambda: expectation(torch.sum, "reinforce"), r"of shape \(8, 2\); got .* shape \(\)"),
    "rows of values": (
        lambda: expectation(lambda p: p[..., 0], "reparameterised"),
        r"got torch.float32 of shape \(8, 2, 5",
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
