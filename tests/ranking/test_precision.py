"""The parts under autocast, in half precision, far from the origin, and among many votes."""

from collections.abc import Callable

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from beamtrain.ranking import (
    DifferentiableKNN,
    kendall_loss,
    majority,
    membership,
    ndcg,
    ndcg_loss,
    permutation_expectation,
    soft_median,
    soft_quantile,
    soft_ranks,
    soft_trimmed_mean,
    sorted_values,
    spearman,
    spearman_loss,
    squared_distances,
    topk_cross_entropy,
    topk_hinge,
)
from beamtrain.ranking.expectation import Estimator
from beamtrain.topk import FastSoftSort, NeuralSort, Operator, RelaxedSubset, SoftTopK, unchecked

N = 400
SCORES = torch.randn(3, N, generator=torch.Generator().manual_seed(0)).half().float()
RANKS = torch.stack([torch.randperm(N, generator=torch.Generator().manual_seed(row)) for row in range(3)]) + 1
LABELS = torch.tensor([0, 5, 399])
SORT, SET, RANK = NeuralSort(1e-3, None), SoftTopK(0.1, None, sorted=False), FastSoftSort(1e-3)


def expectation(scores: Tensor, estimator: Estimator) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return permutation_expectation(
        lambda rows: (rows @ SCORES[0, :20].unsqueeze(-1))[..., :3, 0].sum(-1), scores[:, :20], generator, estimator
    )


PARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "ranks": lambda x: soft_ranks(x, SORT),
    "fast soft rank": lambda x: soft_ranks(x, RANK),
    "values": lambda x: sorted_values(x, SORT),
    "membership": lambda x: membership(x, 9, SET),
    "spearman": lambda x: spearman_loss(x, RANKS, RANK),
    "rho": lambda x: spearman(x, RANKS.to(x.dtype).float()),
    "kendall": lambda x: kendall_loss(x[:, :20], RANKS[:, :20], SORT),
    "median": lambda x: soft_median(x, SORT),
    "ndcg loss": lambda x: ndcg_loss(x, RANKS, SORT),
    "ndcg": lambda x: ndcg(x, RANKS),
    "hinge": lambda x: topk_hinge(x, LABELS, 3, RANK),
    "cross-entropy": lambda x: topk_cross_entropy(x, LABELS, 3, SET),
    "trimmed": lambda x: soft_trimmed_mean(x, 100, SET),
    "label mass": lambda x: DifferentiableKNN(SoftTopK(1.0, sorted=False), 1, 400)(x, x.flip(0), LABELS),
    "reinforce": lambda x: expectation(x, "reinforce"),
    "reparameterised": lambda x: expectation(x, "reparameterised"),
    "distances": lambda x: squared_distances(x, x.flip(0)),
}
every_part = pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)


@every_part
def test_autocast_changes_nothing(part: Callable[[Tensor], Tensor]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = part(SCORES)
    torch.testing.assert_close(found, part(SCORES), rtol=0, atol=0)


@every_part
def test_half_precision_gives_single_precision(part: Callable[[Tensor], Tensor]) -> None:
    scores = SCORES.half().requires_grad_()
    found = part(scores)
    torch.testing.assert_close(found, part(SCORES), rtol=0, atol=1e-6)
    if found.requires_grad:
        (gradient,) = torch.autograd.grad(found.sum(), scores)
        assert gradient.dtype == torch.float16
        assert gradient.isfinite().all()


def test_a_hopeless_neighbour_in_half_precision() -> None:
    features = torch.tensor([[0.0, 0.0], [5.0, 5.0]], dtype=torch.float16).requires_grad_()
    knn = DifferentiableKNN(SoftTopK(0.01, sorted=False), k=1, classes=2)
    loss = knn.loss(features[:1], torch.tensor([1]), features, torch.tensor([0, 1]))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert features.grad is not None and features.grad.isfinite().all()


def test_neighbours_far_from_the_origin() -> None:
    generator = torch.Generator().manual_seed(0)
    points, queries = (torch.randn(count, 4, generator=generator) + 1e4 for count in (300, 100))
    labels = torch.randint(3, (300,), generator=generator)
    knn = DifferentiableKNN(SoftTopK(sorted=False), k=1, classes=3)
    exact = KNeighborsClassifier(1).fit(points.double(), labels)
    assert knn.predict(queries, points, labels).tolist() == exact.predict(queries.double()).tolist()


def test_the_nearest_of_equally_common_labels_after_many_others() -> None:
    assert majority(torch.tensor([2] * 50 + [1, 0] * 60), 3) == 1


@pytest.mark.parametrize("operator", [SORT, SoftTopK(0.01, None), RANK], ids=str)
def test_masked_scores_are_below_every_quantile_of_the_others(operator: Operator) -> None:
    scores = torch.tensor([[3.0, -torch.inf, 1.0, 2.0, 0.0]], requires_grad=True)
    found = soft_quantile(scores, 0.875, operator)  # half way between the two best of five
    torch.testing.assert_close(found, torch.tensor([2.5]), atol=0.02, rtol=0)
    (gradient,) = torch.autograd.grad(found.sum(), scores)
    assert gradient.isfinite().all()


def test_what_no_rank_has_a_weight_for_is_last() -> None:
    """The successive softmax chooses the best twice where scores are too far apart."""
    ranks = soft_ranks(torch.tensor([0.0, -1000.0, 3.0]), RelaxedSubset(0.1, None))
    assert ranks[1] == 3


def test_unchecked_looks_at_no_value() -> None:
    with unchecked():
        assert spearman_loss(SCORES, RANKS - 1, RANK).isfinite().all()
