"""Every part where the temperature is not low, from the operator's own matrix or ranks, in NumPy."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
from topk_family import random_scores
from torch import Tensor

from beamtrain.ranking import (
    DifferentiableKNN,
    kendall_loss,
    membership,
    ndcg,
    ndcg_loss,
    quantile_loss,
    soft_quantile,
    soft_ranks,
    soft_trimmed_mean,
    sorted_values,
    spearman,
    spearman_loss,
    topk_cross_entropy,
    topk_hinge,
)
from beamtrain.topk import FastSoftSort, Gumbel, NeuralSort, Operator, RelaxedSubset, SinkhornSort, SoftTopK

N, K = 6, 2
SCORES = random_scores(3, N, seed=4) + torch.tensor([9.0, 0, 0]).view(3, 1) * torch.eye(N)[0]  # one far ahead
RANKS = random_scores(3, N, seed=5).argsort(-1) + 1
LABELS = torch.tensor([0, 3, 5])
OPERATORS = {
    "NeuralSort": NeuralSort(1.0, None),  # whose columns do not sum to 1
    "sorted SOFT": SoftTopK(0.7, None),
    "relaxed subset": RelaxedSubset(2.0, None),  # which chooses twice
    "Sinkhorn": SinkhornSort(1.0, None, iterations=9),  # which has rows, ranks and values
    "fast soft rank": FastSoftSort(1.0),
}
every_operator = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)


def ranks_of(scores: Tensor, operator: Operator) -> np.ndarray:
    if "ranks" in operator.gives:
        return operator.rank(scores).numpy()
    rows = operator.select(scores, scores.shape[-1]).dense(scores.shape[-1]).numpy()
    return (rows * np.arange(1, rows.shape[-2] + 1)[:, None]).sum(-2) / rows.sum(-2)


def members_of(scores: Tensor, operator: Operator) -> np.ndarray:
    if "weights" in operator.gives:
        return operator.select(scores, K).dense(scores.shape[-1]).numpy().sum(-2)
    return np.clip(K + 1 - ranks_of(scores, operator), 0, 1)


def close(found: Tensor, expected: object) -> None:
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=1e-9, rtol=1e-9)


@every_operator
def test_ranks_and_members(operator: Operator) -> None:
    ranks, members, row = ranks_of(SCORES, operator), members_of(SCORES, operator), np.arange(3)
    close(soft_ranks(SCORES, operator), ranks)
    close(membership(SCORES, K, operator), members)
    close(spearman_loss(SCORES, RANKS, operator), 6 * ((ranks - RANKS.numpy()) ** 2).sum(1) / (N**3 - N))
    close(topk_hinge(SCORES, LABELS, K, operator), np.maximum(0, ranks[row, LABELS] - K))
    inside = np.clip(members[row, LABELS], np.finfo(float).tiny, 1)
    close(topk_cross_entropy(SCORES, LABELS, K, operator), -np.log(inside))
    if "values" not in operator.gives:
        kept = np.maximum(0, 1 - members)
        close(soft_trimmed_mean(SCORES, K, operator), (kept * SCORES.numpy()).sum(1) / kept.sum(1))


@every_operator
def test_pairs(operator: Operator) -> None:
    agreement = [
        np.diff(ranks_of(SCORES[:, pair], operator))[:, 0] * np.sign(np.diff(RANKS[:, pair].numpy()))[:, 0]
        for pair in map(list, combinations(range(N), 2))
    ]
    close(kendall_loss(SCORES, RANKS, operator), 1 - np.mean(agreement, 0))


@every_operator
def test_gains(operator: Operator) -> None:
    gains, discounts = RANKS.double() % 4, 1 / np.log2(np.arange(2, N + 2))
    best = -np.sort(-gains.numpy()) @ discounts
    if "order" in operator.gives:
        rows = operator.select(SCORES, N).dense(N).numpy()
        found = (rows @ gains.numpy()[..., None])[..., 0] @ discounts
    else:
        found = (gains.numpy() / np.log2(1 + ranks_of(SCORES, operator))).sum(1)
    close(ndcg_loss(SCORES, gains, operator), 1 - found / best)


@every_operator
def test_quantile(operator: Operator) -> None:
    """The level .3 of 6 lies half way between the 4th and the 5th of the best."""
    values = sorted_values(SCORES, operator).numpy()
    if "values" not in operator.gives:
        values = (operator.select(SCORES, 5).dense(N) @ SCORES.unsqueeze(-1)).squeeze(-1).numpy()
    expected = (values[:, 3] + values[:, 4]) / 2
    close(soft_quantile(SCORES, 0.3, operator), expected)
    close(quantile_loss(SCORES, torch.tensor([1.0, 2.0, 4.0]), 0.3, operator), (expected - [1, 2, 4]) ** 2)


@every_operator
def test_label_mass(operator: Operator) -> None:
    """Of nine points: the query itself is excluded, and one class has fewer points than k."""
    points, labels = random_scores(9, 2, seed=5), torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 2])
    itself = torch.eye(9, dtype=torch.bool)
    scores = (-(torch.cdist(points, points) ** 2)).masked_fill(itself, -torch.inf)
    if "ranks" in operator.gives:
        ranks, missed = ranks_of(scores, operator), []
        for query, label in enumerate(labels):
            others = [i for i in scores[query].argsort(descending=True).tolist() if i != query and labels[i] == label]
            missed.append(sum(max(0.0, ranks[query, i] - K) for i in others[:K]) / K / 9)
        knn = DifferentiableKNN(operator, K, 3, "ranks")
        close(knn.loss(points, labels, points, labels, excluded=itself), missed)
    members = members_of(scores, operator)
    mass = np.stack([members[:, labels == c].sum(1) for c in range(3)], 1)
    mass = mass / np.maximum(members.sum(1, keepdims=True), 1e-300)
    close(DifferentiableKNN(operator, K, 3)(points, points, labels, excluded=itself), mass)
    if "weights" in operator.gives:
        right = mass[np.arange(9), labels]
        for form, expected in (("log", -np.log(np.maximum(right, 1e-12))), ("linear", 1 - right)):
            knn = DifferentiableKNN(operator, K, 3, form)  # type: ignore[arg-type]
            close(knn.loss(points, labels, points, labels, excluded=itself), expected)


def test_a_small_mass_is_told_from_none() -> None:
    points = torch.tensor([[0.0], [1.0], [7.0]], dtype=torch.float64, requires_grad=True)
    knn = DifferentiableKNN(NeuralSort(5.0, None), 1, 2)
    loss = knn.loss(points[:1], torch.tensor([1]), points[1:], torch.tensor([0, 1]))
    assert 9.5 < loss.item() < 9.7  # (49 - 1) / 5
    assert torch.autograd.grad(loss.sum(), points)[0].abs().sum() > 0.1


def test_membership_counts_up_to_1_and_down_to_the_smallest_number() -> None:
    scores = torch.tensor([[50.0, 0.0, 0.0], [0.0, -torch.inf, 1.0]], requires_grad=True)
    loss = topk_cross_entropy(scores, torch.tensor([0, 1]), 2, RelaxedSubset(2.0, None))
    close(loss.detach(), [0.0, -np.log(torch.finfo(scores.dtype).tiny)])
    assert not torch.autograd.grad(loss.sum(), scores)[0].any()


def test_equal_scores_rank_as_they_come() -> None:
    scores, count = torch.zeros(200), 200
    assert spearman(scores, torch.arange(1, count + 1)) == 1
    assert ndcg(scores, torch.arange(count, 0.0, -1)) == 1


def test_no_gain_no_gradient() -> None:
    scores = SCORES.clone().requires_grad_()
    ndcg_loss(scores, torch.zeros(N), NeuralSort(1.0, None)).sum().backward()
    assert scores.grad is not None and not scores.grad.any()


DRAWN: dict[str, Callable[[Operator, torch.Generator], Tensor]] = {
    "ranks": lambda o, g: soft_ranks(SCORES, o, g),
    "values": lambda o, g: sorted_values(SCORES, o, g),
    "membership": lambda o, g: membership(SCORES, K, o, g),
    "spearman": lambda o, g: spearman_loss(SCORES, RANKS, o, g),
    "kendall": lambda o, g: kendall_loss(SCORES, RANKS, o, g),
    "ndcg": lambda o, g: ndcg_loss(SCORES, RANKS, o, None, g),
    "quantile": lambda o, g: quantile_loss(SCORES, SCORES[:, 0], 0.3, o, None, g),
    "hinge": lambda o, g: topk_hinge(SCORES, LABELS, 1, o, g),
    "cross-entropy": lambda o, g: topk_cross_entropy(SCORES, LABELS, K, o, g),
    "trimmed": lambda o, g: soft_trimmed_mean(SCORES, K, o, g),
    "label mass": lambda o, g: DifferentiableKNN(o, K, 6).loss(SCORES[:, 1:], LABELS, SCORES[:, 1:], LABELS, g),
}


@pytest.mark.parametrize("part", DRAWN.values(), ids=DRAWN)
def test_noise_is_that_of_the_generator(part: Callable[[Operator, torch.Generator], Tensor]) -> None:
    first, again, other = (
        part(Gumbel(NeuralSort(1.0, None)), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
