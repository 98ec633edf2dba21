"""The gradients of every part against finite differences, and of expectations against all permutations."""

from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from topk_family import random_scores
from torch import Tensor

from beamtrain.ranking import (
    DifferentiableKNN,
    kendall_loss,
    membership,
    ndcg_loss,
    permutation_expectation,
    quantile_loss,
    soft_quantile,
    soft_trimmed_mean,
    sorted_values,
    spearman_loss,
    topk_cross_entropy,
    topk_hinge,
)
from beamtrain.ranking.knn import Loss
from beamtrain.topk import FastSoftSort, LapSum, NeuralSort, Operator, SinkhornSort, SoftSort, SoftTopK, reinforce
from beamtrain.topk.plackett_luce import permutation_matrix, plackett_luce_log_prob

OPERATORS = {
    "sorted SOFT": SoftTopK(0.5, None),
    "NeuralSort": NeuralSort(2.0, None),
    "SoftSort": SoftSort(0.5, None),
    "LapSum": LapSum(0.5, None),
    "Sinkhorn": SinkhornSort(3.0, None, iterations=100),
    "fast soft rank": FastSoftSort(1.0),
    "entropic": FastSoftSort(1.0, "entropic"),
}
RANKS = torch.tensor([[2.0, 1, 4, 3, 5], [5, 4, 1, 2, 3]], dtype=torch.float64)
LABELS = torch.tensor([3, 0])
WORTH = torch.tensor([0.7, -1.1, 0.4, 2.0, -0.3], dtype=torch.float64)
LOSSES: dict[str, Callable[[Tensor, Operator], Tensor]] = {
    "values": lambda x, o: sorted_values(x, o) @ WORTH,
    "membership": lambda x, o: membership(x, 2, o) @ WORTH,
    "spearman": lambda x, o: spearman_loss(x, RANKS, o),
    "kendall": lambda x, o: kendall_loss(x, RANKS, o),
    "quantile": lambda x, o: soft_quantile(x, 0.3, o),
    "quantile loss": lambda x, o: quantile_loss(x, torch.tensor([0.2, -0.4]), 0.3, o),
    "trimmed": lambda x, o: soft_trimmed_mean(x, 2, o),
    "mean": lambda x, o: soft_trimmed_mean(x, 0, o),
    "ndcg": lambda x, o: ndcg_loss(x, RANKS, o),
    "top-k hinge": lambda x, o: topk_hinge(x, LABELS, 1, o),
    "top-k cross-entropy": lambda x, o: topk_cross_entropy(x, torch.tensor([1, 1]), 2, o),
}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_against_finite_differences(loss: Callable[[Tensor, Operator], Tensor], operator: Operator) -> None:
    scores = random_scores(2, 5, seed=3).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(scores, operator).sum(), scores)
    assert gradient.abs().sum() > 1e-4
    assert torch.autograd.gradcheck(lambda x: loss(x, operator), scores)


@pytest.mark.parametrize(
    ("name", "form"),
    [(name, form) for name in OPERATORS for form in ("log", "linear") if "weights" in OPERATORS[name].gives]
    + [(name, "ranks") for name in OPERATORS if "ranks" in OPERATORS[name].gives],
)
def test_knn(name: str, form: Loss) -> None:
    points = random_scores(9, 2, seed=5).requires_grad_()
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2])
    knn = DifferentiableKNN(OPERATORS[name], k=3, classes=3, loss=form)

    def loss(points: Tensor) -> Tensor:
        return knn.loss(points, labels, points, labels, excluded=torch.eye(9, dtype=torch.bool)).mean()

    (gradient,) = torch.autograd.grad(loss(points), points)
    assert gradient.abs().sum() > 1e-4
    assert torch.autograd.gradcheck(loss, points)


@pytest.mark.parametrize("estimator", ["reinforce", "reparameterised"])
def test_expectations_over_permutations(estimator: str) -> None:
    """f is linear in the matrix, so both estimators can be compared with the sum over all six permutations."""
    scores = torch.tensor([0.3, -0.4, 0.9], dtype=torch.float64, requires_grad=True)
    worth = torch.tensor([[1.0, 0, 2], [0, 3, 1], [2, 1, 0]], dtype=torch.float64)

    def objective(matrices: Tensor) -> Tensor:
        return (matrices * worth).sum((-1, -2))

    every = torch.tensor(list(permutations(range(3))))
    probability = plackett_luce_log_prob(scores.expand(6, 3), every).exp()
    exact = (probability * objective(permutation_matrix(every, torch.float64))).sum()
    found = permutation_expectation(
        objective, scores, torch.Generator().manual_seed(0), estimator, samples=40_000, temperature=0.05
    )
    torch.testing.assert_close(found, exact, atol=0.03, rtol=0)
    by_exact, by_found = (torch.autograd.grad(value, scores)[0] for value in (exact, found))
    torch.testing.assert_close(by_found, by_exact, atol=0.05, rtol=0)


def test_reinforce_is_that_of_the_operators() -> None:
    scores = random_scores(4)
    drawn = [torch.Generator().manual_seed(1) for _ in range(2)]
    expected = reinforce(lambda p: p[..., 0, 0], scores, 8, drawn[0])
    assert permutation_expectation(lambda p: p[..., 0, 0], scores, drawn[1]) == expected
