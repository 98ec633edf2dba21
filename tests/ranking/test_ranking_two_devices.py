"""No part of ranking mixes what it makes on the host with what lies on a GPU."""

import pytest
import torch
from topk_family import random_scores
from two_devices import OnHost, as_on_a_gpu

from beamtrain.ranking import (
    DifferentiableKNN,
    kendall,
    kendall_loss,
    ndcg,
    ndcg_loss,
    quantile_loss,
    soft_median,
    soft_trimmed_mean,
    spearman,
    spearman_loss,
    topk_cross_entropy,
    topk_hinge,
)
from beamtrain.topk import FastSoftSort, NeuralSort, SoftTopK

RANKS = torch.tensor([[2.0, 1, 4, 3, 5], [5, 4, 1, 2, 3]], dtype=torch.float64)
LABELS, TARGETS = torch.tensor([3, 0]), torch.tensor([0.2, -0.4])
OPERATORS = {"SOFT": SoftTopK(0.5, None), "NeuralSort": NeuralSort(2.0, None), "fast soft sort": FastSoftSort(1.0)}
OF_ALL = {
    "spearman": lambda x, o: spearman_loss(x, RANKS, o),
    "kendall": lambda x, o: kendall_loss(x, RANKS, o),
    "median": lambda x, o: soft_median(x, o),
    "quantile": lambda x, o: quantile_loss(x, TARGETS, 0.3, o),
    "trimmed": lambda x, o: soft_trimmed_mean(x, 2, o),
    "ndcg": lambda x, o: ndcg_loss(x, RANKS, o),
    "top-k hinge": lambda x, o: topk_hinge(x, LABELS, 1, o),
    "top-k cross-entropy": lambda x, o: topk_cross_entropy(x, LABELS, 2, o),
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("name", OF_ALL)
def test_a_loss_stays_where_its_scores_lie(name, operator):
    there, here = (random_scores(2, 5, seed=3).requires_grad_() for _ in range(2))
    with as_on_a_gpu():
        found = OF_ALL[name](there, OPERATORS[operator])
        assert not isinstance(found, OnHost)
        found.sum().backward()
    expected = OF_ALL[name](here, OPERATORS[operator])
    expected.sum().backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(there.grad, here.grad)


@pytest.mark.parametrize("loss", ["log", "linear", "ranks"])
def test_so_do_the_neighbours(loss):
    queries, neighbours = random_scores(2, 4).requires_grad_(), random_scores(6, 4, seed=1)
    labels, meant = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([1, 2])
    model = DifferentiableKNN(SoftTopK(0.5, None), 3, 3, loss)
    with as_on_a_gpu():
        found = model.loss(queries, meant, neighbours, labels)
        assert not isinstance(found, OnHost)
        found.sum().backward()
        assert not isinstance(model.predict(queries, neighbours, labels), OnHost)


def test_so_do_the_measures():
    scores = random_scores(2, 5, seed=3)
    with as_on_a_gpu():
        for found in (spearman(scores, RANKS), kendall(scores, RANKS), ndcg(scores, RANKS, 3)):
            assert not isinstance(found, OnHost)
