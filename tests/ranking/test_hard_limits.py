"""Every part, as the temperature falls, is the exact thing that SciPy, scikit-learn or NumPy computes."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import ndcg_score
from sklearn.neighbors import KNeighborsClassifier
from topk_family import spaced_scores

from beamtrain.ranking import (
    DifferentiableKNN,
    kendall,
    kendall_loss,
    majority,
    membership,
    ndcg,
    ndcg_loss,
    permutation,
    quantile_loss,
    soft_median,
    soft_quantile,
    soft_ranks,
    soft_trimmed_mean,
    sorted_values,
    spearman,
    spearman_loss,
    topk_cross_entropy,
    topk_hinge,
)
from beamtrain.topk import FastSoftSort, LapSum, NeuralSort, Operator, SoftSort, SoftTopK

ROWS, N = 6, 7
ORDERED = {
    "sorted SOFT": SoftTopK(0.02, None),
    "NeuralSort": NeuralSort(0.02, None),
    "SoftSort": SoftSort(0.02, None),
    "LapSum": LapSum(0.02, None),
}
RANKING = {**ORDERED, "fast soft rank": FastSoftSort(0.02), "entropic": FastSoftSort(0.02, "entropic")}
SETS = {"SOFT": SoftTopK(0.02, sorted=False), "LapSum set": LapSum(0.02, sorted=False), **RANKING}
SCORES = spaced_scores(ROWS, N)
TRUE = spaced_scores(ROWS, N, seed=1) + 1  # ranks

every_ranking = pytest.mark.parametrize("operator", RANKING.values(), ids=RANKING)
every_set = pytest.mark.parametrize("operator", SETS.values(), ids=SETS)


def close(found: torch.Tensor, expected: object, tolerance: float = 2e-3) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=tolerance, rtol=0)


@every_ranking
def test_ranks_and_values(operator: Operator) -> None:
    close(soft_ranks(SCORES, operator), stats.rankdata(-SCORES, axis=1))
    close(sorted_values(SCORES, operator), -np.sort(-SCORES.numpy(), 1), tolerance=0.02)


@pytest.mark.parametrize("operator", ORDERED.values(), ids=ORDERED)
def test_permutation_sorts(operator: Operator) -> None:
    close(permutation(SCORES, operator) @ SCORES.unsqueeze(-1), -np.sort(-SCORES.numpy(), 1)[..., None])


@every_set
@pytest.mark.parametrize("k", [1, 3, N - 1])
def test_membership(operator: Operator, k: int) -> None:
    close(membership(SCORES, k, operator), N - k <= SCORES)


@every_ranking
def test_correlation_losses(operator: Operator) -> None:
    scores, ranks = SCORES.numpy(), TRUE.numpy()
    rho = [stats.spearmanr(-s, r).statistic for s, r in zip(scores, ranks, strict=True)]
    tau = [stats.kendalltau(-s, r).statistic for s, r in zip(scores, ranks, strict=True)]
    close(spearman(SCORES, TRUE), rho, 1e-12)
    close(kendall(SCORES, TRUE), tau, 1e-12)
    close(1 - spearman_loss(SCORES, TRUE, operator), rho)
    close(1 - kendall_loss(SCORES, TRUE, operator), tau)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.float16])
def test_ranks_of_any_type(kind: torch.dtype) -> None:
    found = kendall(SCORES, TRUE.to(kind)), kendall_loss(SCORES, TRUE.to(kind), FastSoftSort(0.02))
    for each, expected in zip(found, (kendall(SCORES, TRUE), 1 - kendall(SCORES, TRUE)), strict=True):
        close(each, expected)


@every_ranking
@pytest.mark.parametrize("level", [0.0, 0.2, 0.5, 0.91, 1.0])
@pytest.mark.parametrize("count", [N, N - 1])
def test_quantiles(operator: Operator, level: float, count: int) -> None:
    scores = SCORES[:, :count]
    expected = torch.quantile(scores, level, dim=-1)
    close(soft_quantile(scores, level, operator), expected, tolerance=0.02)
    close(quantile_loss(scores, expected + 1, level, operator), np.ones(ROWS), tolerance=0.05)
    if level == 0.5:
        close(soft_median(scores, operator), expected, tolerance=0.02)


@pytest.mark.parametrize("operator", ORDERED.values(), ids=ORDERED)
def test_what_is_read_at_a_quantile_may_be_other_values(operator: Operator) -> None:
    values = torch.arange(float(N)).expand(ROWS, N).double()
    close(soft_median(SCORES, operator, values), (SCORES == N // 2).double().argmax(-1))


@every_set
@pytest.mark.parametrize("trimmed", [0, 1, 4])
def test_trimmed_mean(operator: Operator, trimmed: int) -> None:
    expected = np.sort(SCORES.numpy(), 1)[:, : N - trimmed].mean(1)
    close(soft_trimmed_mean(SCORES, trimmed, operator), expected, tolerance=0.02)


@every_ranking
@pytest.mark.parametrize("k", [None, 3])
def test_ndcg(operator: Operator, k: int | None) -> None:
    expected = [ndcg_score([g], [s], k=k) for g, s in zip(TRUE.numpy(), SCORES.numpy(), strict=True)]
    close(ndcg(SCORES, TRUE, k), expected, 1e-12)
    if k is not None and "order" not in operator.gives:
        with pytest.raises(ValueError, match="gives no one row of weights for each rank, which NDCG at k needs"):
            ndcg_loss(SCORES, TRUE, operator, k)
    else:
        close(1 - ndcg_loss(SCORES, TRUE, operator, k), expected)


@pytest.mark.parametrize("scale", [1e-40, 3e38, 1e300])
def test_ndcg_does_not_depend_on_the_scale_of_the_gains(scale: float) -> None:
    scores, gains, operator = SCORES.float(), TRUE / N, NeuralSort(0.5, None)
    close(ndcg(scores, gains * scale), ndcg(scores, gains), 1e-6)
    close(ndcg_loss(scores, gains * scale, operator), ndcg_loss(scores, gains, operator), 1e-6)


def test_ndcg_without_gains() -> None:
    assert ndcg_loss(SCORES, torch.zeros_like(SCORES), NeuralSort(1.0, None)).tolist() == [0.0] * ROWS


@every_ranking
@pytest.mark.parametrize("k", [1, 3])
def test_topk_losses(operator: Operator, k: int) -> None:
    labels = torch.arange(ROWS)
    rank = torch.tensor(stats.rankdata(-SCORES, axis=1))[labels, labels]
    close(topk_hinge(SCORES, labels, k, operator), (rank - k).clamp_min(0))
    inside = topk_cross_entropy(SCORES, labels, k, operator) < 0.05
    assert inside.tolist() == (rank <= k).tolist()


def test_top_1_by_softsort_is_the_cross_entropy() -> None:
    labels = torch.arange(ROWS)
    loss = topk_cross_entropy(SCORES, labels, 1, SoftSort(1.0, None))
    close(loss, torch.nn.functional.cross_entropy(SCORES, labels, reduction="none"), 1e-12)


@every_set
def test_label_mass_and_prediction(operator: Operator) -> None:
    generator = torch.Generator().manual_seed(0)
    points, queries = (100 * torch.randn(count, 3, generator=generator, dtype=torch.float64) for count in (30, 40))
    labels = torch.randint(3, (30,), generator=generator)
    exact = KNeighborsClassifier(4).fit(points, labels)
    knn = DifferentiableKNN(operator, k=4, classes=3)
    close(knn(queries, points, labels), exact.predict_proba(queries))
    votes = np.sort(exact.predict_proba(queries))
    clear = votes[:, -1] > votes[:, -2]  # for ties scikit-learn has another rule
    assert clear.sum() > 10
    assert (knn.predict(queries, points, labels, block=7).numpy() == exact.predict(queries))[clear].all()


def test_prediction_in_single_precision_is_exact_among_far_clusters() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(600, 4, generator=generator) + 1e4 * torch.randint(2, (600, 1), generator=generator)
    labels = torch.randint(3, (400,), generator=generator)
    exact = KNeighborsClassifier(1).fit(points[200:].double(), labels).predict(points[:200].double())
    knn = DifferentiableKNN(SoftTopK(sorted=False), k=1, classes=3)
    assert knn.predict(points[:200], points[200:], labels).tolist() == exact.tolist()


def test_labels_of_any_whole_type_vote() -> None:
    for kind in (torch.uint8, torch.int32):
        assert majority(torch.tensor([2, 0, 0], dtype=kind), 3) == 0


def test_what_is_excluded_is_no_neighbour() -> None:
    points, labels = torch.randn(8, 2, generator=torch.Generator().manual_seed(3)), torch.arange(8)
    itself = torch.eye(8, dtype=torch.bool)
    knn = DifferentiableKNN(SoftTopK(1e-3, sorted=False), k=1, classes=8)
    assert (knn(points, points, labels).argmax(-1) == labels).all()
    assert (knn(points, points, labels, excluded=itself).diagonal() == 0).all()


def test_among_equally_common_labels_the_nearest_wins() -> None:
    assert majority(torch.tensor([[2, 0, 0, 2, 1], [1, 2, 2, 0, 0], [0, 1, 1, 2, 3]]), 4).tolist() == [2, 2, 1]
