"""What the parts refuse."""

from collections.abc import Callable

import pytest
import torch

from beamtrain import ranking
from beamtrain.ranking.expectation import Estimator
from beamtrain.topk import FastSoftSort, Gumbel, NeuralSort, Operator, Perturbed, SoftTopK

X = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
SET = SoftTopK(0.1, sorted=False)
RANKS = FastSoftSort()
SORT = NeuralSort(0.1, None)
LABELS = torch.tensor([0, 1])

PLACES = torch.arange(5.0).expand(2, 5)
KNN = ranking.DifferentiableKNN(SET, 2, 2)


class OnlyRanks(Operator):
    gives = frozenset({"gradient", "ranks"})

    def rank(self, scores: torch.Tensor) -> torch.Tensor:
        return FastSoftSort(self.temperature).rank(scores)


MASKED = torch.tensor([[1.0, 2.0, 3.0, -torch.inf, -torch.inf]])
HIDDEN = torch.tensor([[True, True, True, False, False], [False] * 5])
FIVE = torch.arange(5)


def knn_by(operator: Operator) -> ranking.DifferentiableKNN:
    return ranking.DifferentiableKNN(operator, 4, 5)


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
    "knn k": (lambda: ranking.DifferentiableKNN(SET, 0, 2), "k must be a whole number of at least 1, got 0"),
    "knn k in halves": (lambda: ranking.DifferentiableKNN(SET, 2.5, 2), "k must be a whole number .*, got 2.5"),  # type: ignore[arg-type]
    "knn classes in text": (lambda: ranking.DifferentiableKNN(SET, 1, "2"), "classes must be .*, got '2'"),  # type: ignore[arg-type]
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
    "knn of images": (
        lambda: KNN(torch.rand(2, 1, 5, 2), torch.rand(2, 1, 5, 2), LABELS.repeat(5)[:5]),
        r"queries must be of shape \(points, features\), got \(2, 1, 5, 2\); try .flatten\(1\)",
    ),
    "knn loss of one query": (lambda: KNN.loss(X[0], LABELS[0], X, LABELS), r"queries must be .* got \(5,\)"),
    "knn of one neighbour": (lambda: KNN.predict(X, X[0], LABELS), r"neighbours must be of shape .* got \(5,\)"),
    "knn of arrays": (lambda: KNN.predict(X.numpy(), X, LABELS), "queries must be a torch.Tensor, got ndarray"),
    "knn labels in a list": (lambda: KNN(X, X, [0, 1]), "labels must be a torch.Tensor, got list; .*torch.as_tensor"),  # type: ignore[arg-type]
    "knn of no block": (lambda: KNN.predict(X, X, LABELS, block=0), "block must be a whole number of at least 1"),
    "knn too few left": (
        lambda: knn_by(RANKS)(X[:, :2], torch.rand(5, 2), FIVE, excluded=HIDDEN),
        r"neighbours that are not excluded must be in \[4, 5\], got 2 to 5",
    ),
    "distances of arrays": (lambda: ranking.squared_distances(X, X.numpy()), "features must be a torch.Tensor"),
    "members of masked ranks": (lambda: ranking.membership(MASKED, 4, RANKS), "k = 4 needs at least 4 finite scores"),
    "a masked quantile": (lambda: ranking.soft_quantile(MASKED, 0.2, RANKS), "k = 5 needs at least 5 finite scores"),
    "votes for other classes": (lambda: ranking.majority(FIVE, 4), r"labels must be in \[0, 3\], got 0 to 4"),
    "no votes": (lambda: ranking.majority(FIVE[:0], 4), "at least one vote, got .0,."),
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
    "tau of NaN ranks": (lambda: ranking.kendall(X, X / 0 * 0), "ranks must be finite, got nan"),
    "loss of NaN ranks": (lambda: ranking.kendall_loss(X, X / 0 * 0, SORT), "ranks must be finite, got nan"),
    "ranks in an array": (lambda: ranking.spearman(X, PLACES.numpy() + 1), "ranks must be a torch.Tensor, got ndarray"),
    "gains in a list": (lambda: ranking.ndcg(X, PLACES.tolist()), "gains must be a torch.Tensor, got list"),  # type: ignore[arg-type]
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
    "a target in Python": (lambda: ranking.quantile_loss(X, 0.5, 0.5, SORT), "target must be a torch.Tensor"),  # type: ignore[arg-type]
    "values in a list": (lambda: ranking.soft_median(X, SORT, [0.5]), "values must be a torch.Tensor, got list"),  # type: ignore[arg-type]
    "trimmed by ranks": (lambda: ranking.soft_trimmed_mean(X, 3, OnlyRanks(1e3)), "OnlyRanks gives no weights"),
    "a trimmed share": (lambda: ranking.soft_trimmed_mean(X, 0.3, SET), "trimmed must be a whole number .* got 0.3"),  # type: ignore[arg-type]
    "one value for all samples": (lambda: expectation(torch.sum, "reinforce"), r"of shape \(8, 2\); got .* shape \(\)"),
    "rows of values": (
        lambda: expectation(lambda p: p[..., 0], "reparameterised"),
        r"got torch.float32 of shape \(8, 2, 5",
    ),
    "no generator to draw with": (
        lambda: ranking.permutation_expectation(torch.sum, X, None),  # type: ignore[arg-type]
        r"generator must be a torch.Generator\(scores.device\), got NoneType",
    ),
    "half a sample": (
        lambda: ranking.permutation_expectation(torch.sum, X, torch.Generator(), samples=2.5),  # type: ignore[arg-type]
        "samples must be a whole number of at least 1, got 2.5",
    ),
    "estimator": (
        lambda: ranking.permutation_expectation(torch.sum, X, torch.Generator(), "score"),  # type: ignore[arg-type]
        'must be "reinforce" or "reparameterised"',
    ),
    "perturbed": (lambda: ranking.membership(X, 2, Perturbed(0.1)), "draws noise: pass generator="),
}


NO_OPERATOR: dict[str, Callable[[Operator], object]] = {
    "permutation": lambda o: ranking.permutation(X, o),
    "ranks": lambda o: ranking.soft_ranks(X, o),
    "values": lambda o: ranking.sorted_values(X, o),
    "membership": lambda o: ranking.membership(X, 2, o),
    "spearman": lambda o: ranking.spearman_loss(X, PLACES + 1, o),
    "kendall": lambda o: ranking.kendall_loss(X, PLACES, o),
    "ndcg": lambda o: ranking.ndcg_loss(X, PLACES, o),
    "quantile": lambda o: ranking.soft_quantile(X, 0.5, o),
    "trimmed": lambda o: ranking.soft_trimmed_mean(X, 1, o),
    "hinge": lambda o: ranking.topk_hinge(X, LABELS, 1, o),
    "cross-entropy": lambda o: ranking.topk_cross_entropy(X, LABELS, 1, o),
    "knn": lambda o: ranking.DifferentiableKNN(o, 1, 2),
}


@pytest.mark.parametrize("call", NO_OPERATOR.values(), ids=NO_OPERATOR)
@pytest.mark.parametrize("operator", [FastSoftSort, "SoftTopK"], ids=["class", "text"])
def test_what_is_no_operator_is_refused(call: Callable[[Operator], object], operator: Operator) -> None:
    with pytest.raises(ValueError, match=r"operator must be one of beamtrain.topk, such as SoftTopK\(0.1\), got .*S"):
        call(operator)


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
