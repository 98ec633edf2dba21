"""The Plackett-Luce distribution by enumeration, and its gradient estimators against the exact gradient."""

from itertools import permutations

import pytest
import torch
from topk_family import random_scores

from beamtrain.topk import plackett_luce_log_prob, plackett_luce_sample, reinforce, reparameterised
from beamtrain.topk.plackett_luce import permutation_matrix

ALL = torch.tensor(list(permutations(range(4))))  # (24, 4)
COST = random_scores(4, 4, seed=9)


def objective(matrices: torch.Tensor) -> torch.Tensor:
    """Linear and quadratic in the permutation matrix: (..., 4, 4) -> (...)."""
    linear = (matrices * COST).sum((-1, -2))
    return linear + 0.3 * linear.square()


def exact_expectation(scores: torch.Tensor) -> torch.Tensor:
    probabilities = plackett_luce_log_prob(scores.expand(24, 4), ALL).exp()
    return (probabilities * objective(permutation_matrix(ALL, torch.float64))).sum()


def test_probabilities_by_the_definition() -> None:
    scores = random_scores(4)
    found = plackett_luce_log_prob(scores.expand(24, 4), ALL).exp()
    assert found.sum().item() == pytest.approx(1.0)
    for permutation, probability in zip(ALL.tolist(), found, strict=True):
        expected, left = 1.0, list(range(4))
        for candidate in permutation:
            expected *= scores[left].softmax(0)[left.index(candidate)].item()
            left.remove(candidate)
        assert probability.item() == pytest.approx(expected)
    start = plackett_luce_log_prob(scores, torch.tensor([2, 0])).exp()
    assert start.item() == pytest.approx(found[(ALL[:, 0] == 2) & (ALL[:, 1] == 0)].sum().item())


def test_log_probability_has_a_gradient() -> None:
    scores = random_scores(2, 4).requires_grad_()
    order = torch.tensor([[1, 3, 0, 2], [0, 1, 2, 3]])
    assert torch.autograd.gradcheck(lambda x: plackett_luce_log_prob(x, order), (scores,))


def test_samples_follow_the_probabilities() -> None:
    scores = random_scores(4)
    drawn = plackett_luce_sample(scores, 20000, torch.Generator().manual_seed(0))
    frequency = (drawn.unsqueeze(1) == ALL).all(-1).double().mean(0)
    torch.testing.assert_close(frequency, plackett_luce_log_prob(scores.expand(24, 4), ALL).exp(), atol=0.01, rtol=0)


def test_reinforce_is_unbiased() -> None:
    scores = random_scores(4).requires_grad_()
    exact = exact_expectation(scores)
    (expected,) = torch.autograd.grad(exact, scores)
    estimate = reinforce(objective, scores, 60000, torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(estimate, scores)
    assert estimate.item() == pytest.approx(exact.item(), abs=0.05)
    torch.testing.assert_close(gradient, expected, atol=0.05, rtol=0)


def test_reinforce_with_few_samples_is_unbiased_over_batches() -> None:
    """The leave-one-out baseline does not bias two samples."""
    scores = random_scores(4).expand(20000, 4).clone().requires_grad_()
    (gradient,) = torch.autograd.grad(reinforce(objective, scores, 2, torch.Generator().manual_seed(1)).sum(), scores)
    leaf = random_scores(4).requires_grad_()
    (expected,) = torch.autograd.grad(exact_expectation(leaf), leaf)
    torch.testing.assert_close(gradient.mean(0), expected, atol=0.06, rtol=0)


def test_reparameterised_gradient_is_close_when_cool() -> None:
    scores = random_scores(4).requires_grad_()
    (expected,) = torch.autograd.grad(exact_expectation(scores), scores)
    estimate = reparameterised(objective, scores, 0.2, 40000, torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(estimate, scores)
    assert estimate.item() == pytest.approx(exact_expectation(scores).item(), abs=0.1)
    torch.testing.assert_close(gradient, expected, atol=0.15, rtol=0)


def test_errors() -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match=r"samples must be at least 2 .* got 1"):
        reinforce(objective, random_scores(4), 1, generator)
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        reparameterised(objective, random_scores(4), 0.1, 0, generator)
