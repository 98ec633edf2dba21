"""SOFT top-k against a converged solution, the paper's gradient, its bias bound, and the bound on pruning."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from topk_family import random_scores, spaced_scores
from torch import Tensor

from beamtrain.topk import soft_topk


def plan_of(scores: np.ndarray, thresholds: np.ndarray, temperature: float) -> np.ndarray:
    """The optimal plan's form, softmax_j sum_{l<=j} (x - theta_l) / temperature: (N,) and (L,) -> (N, L + 1)"""
    steps = (scores[:, None] - thresholds[::-1][None]) / temperature  # cut 1 (lowest) first
    logits = np.concatenate([np.zeros((len(scores), 1)), steps.cumsum(1)], 1)
    logits -= logits.max(1, keepdims=True)
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


@pytest.mark.parametrize("sorted", [True, False])
@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
@pytest.mark.parametrize(("columns", "k"), [(2, 1), (7, 3), (100, 5), (2000, 4), (32000, 4), (256000, 8)])
def test_single_precision_agrees_with_the_converged_solution(
    columns: int, k: int, temperature: float, sorted: bool
) -> None:
    """The dual is strictly convex: the thresholds that meet the constraints are the solution."""
    scores = (3 * random_scores(1, columns, seed=columns)).float()
    gain = random_scores(1, k if sorted else 1, columns, seed=1)
    exact_scores = scores.double().requires_grad_()
    exact = soft_topk(exact_scores, k, temperature, sorted=sorted, candidates=None)
    plan = plan_of(exact_scores.detach().numpy()[0], exact.thresholds.detach().numpy()[0], temperature)
    np.testing.assert_allclose(plan[:, 1:].sum(0), 1.0 if sorted else float(k), rtol=1e-9)
    np.testing.assert_allclose(exact.weights.detach().numpy()[0], plan[:, :0:-1].T, atol=1e-10)
    scores.requires_grad_()
    single = soft_topk(scores, k, temperature, sorted=sorted, candidates=None)
    assert (single.weights - exact.weights).abs().max() < 5e-6
    (exact_gradient,) = torch.autograd.grad((exact.weights * gain).sum(), exact_scores)
    (gradient,) = torch.autograd.grad((single.weights * gain.float()).sum(), scores)
    assert (gradient - exact_gradient).norm() <= 1e-4 * exact_gradient.norm() + 1e-30
    if temperature <= 0.1:  # the best 64 and one for the others are as good
        pruned = soft_topk(scores, k, temperature, sorted=sorted)
        full = exact.weights.gather(-1, pruned.indices.unsqueeze(-2).expand(pruned.weights.shape))
        assert (pruned.weights - full).abs().max() < 5e-6
        (gradient,) = torch.autograd.grad(
            (pruned.weights * gain.float().gather(-1, pruned.indices.unsqueeze(-2).expand(pruned.weights.shape))).sum(),
            scores,
        )
        assert (gradient - exact_gradient).norm() <= 1e-4 * exact_gradient.norm() + 1e-30


def kkt_gradient(plan: np.ndarray, by_plan: np.ndarray, atoms: np.ndarray, temperature: float) -> np.ndarray:
    """Xie et al. 2020, Theorem 3, from the full linear system of the optimality conditions (rows and columns)."""
    rows = len(plan)
    weighted = plan * by_plan
    system = np.block([[np.diag(plan.sum(1)), plan], [plan.T, np.diag(plan.sum(0))]])
    duals = np.linalg.lstsq(system, np.concatenate([weighted.sum(1), weighted.sum(0)]), rcond=None)[0]
    by_cost = plan * (by_plan - duals[:rows, None] - duals[None, rows:])
    return by_cost @ atoms / temperature


@pytest.mark.parametrize("sorted", [True, False])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
def test_gradient_is_the_papers(temperature: float, sorted: bool) -> None:
    scores, k = random_scores(1, 30, seed=4).requires_grad_(), 4
    solved = soft_topk(scores, k, temperature, sorted=sorted, candidates=None)
    gain = random_scores(*solved.weights.shape, seed=5)
    (gradient,) = torch.autograd.grad((solved.weights * gain).sum(), scores)
    plan = plan_of(scores.detach().numpy()[0], solved.thresholds.detach().numpy()[0], temperature)
    by_plan = np.concatenate([np.zeros((30, 1)), gain[0].flip(0).T.numpy()], 1)
    expected = kkt_gradient(plan, by_plan, np.arange(plan.shape[1], dtype=float), temperature)
    np.testing.assert_allclose(gradient[0].numpy(), expected, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("sorted", [True, False])
@pytest.mark.parametrize("candidates", [None, 3, 5, 64])
def test_gradcheck_of_weights_and_thresholds(candidates: int | None, sorted: bool) -> None:
    def outputs(scores: Tensor) -> tuple[Tensor, Tensor]:
        solved = soft_topk(scores, 3, 0.4, sorted=sorted, candidates=candidates)
        return solved.weights, solved.thresholds

    assert torch.autograd.gradcheck(outputs, (random_scores(2, 9).requires_grad_(),))


def test_gradient_stays_exact_when_almost_hard() -> None:
    """Two candidates and k = 1: the threshold is halfway, the lower one has 1 / (1 + exp(gap / 2 temperature))."""
    gap, temperature = 1.0, 0.02
    scores = torch.tensor([[gap, 0.0]], requires_grad=True)
    weights = soft_topk(scores, 1, temperature).weights
    (gradient,) = torch.autograd.grad(weights[0, 0, 1], scores)
    other = 1 / (1 + math.exp(gap / (2 * temperature)))
    assert weights[0, 0, 1].item() == pytest.approx(other, rel=1e-5)
    slope = other * (1 - other) / (2 * temperature)
    assert gradient[0].tolist() == pytest.approx([-slope, slope], rel=1e-5)


def test_thresholds_lie_between_the_ranks_when_cold() -> None:
    scores = spaced_scores(3, 9)
    solved = soft_topk(scores, 3, 1e-3)
    torch.testing.assert_close(solved.thresholds, torch.tensor([7.5, 6.5, 5.5]).double().expand(3, 3))
    assert soft_topk(scores, 3, 1e-3, sorted=False).thresholds.tolist() == [[5.5]] * 3


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    columns=st.integers(20, 300),
    k=st.integers(1, 6),
    extra=st.integers(0, 12),
    log_temperature=st.floats(-2, 1),
    spread=st.sampled_from([0.3, 1.0, 3.0]),
    grain=st.sampled_from([0.0, 0.5, 2.0]),
    sorted=st.booleans(),
)
def test_tail_bounds_the_pruned_mass(
    seed: int, columns: int, k: int, extra: int, log_temperature: float, spread: float, grain: float, sorted: bool
) -> None:
    scores, temperature = spread * random_scores(4, columns, seed=seed), 10**log_temperature
    scores = (scores / grain).round() * grain if grain else scores
    exact = soft_topk(scores, k, temperature, sorted=sorted, candidates=None).weights
    pruned = soft_topk(scores, k, temperature, sorted=sorted, candidates=k + extra)
    head = exact.gather(-1, pruned.indices.unsqueeze(-2).expand(pruned.weights.shape))
    slack = 1e-9
    assert (exact.sum((-1, -2)) - head.sum((-1, -2)) <= pruned.tail + slack).all()
    assert (pruned.weights.sum((-1, -2)) >= k - pruned.tail - slack).all()
    assert ((pruned.weights - head).abs().sum(-1) <= 3 * pruned.tail.unsqueeze(-1) + slack).all()


def test_tail_is_zero_when_nothing_but_masked_candidates_is_pruned() -> None:
    scores = torch.full((1, 50), -torch.inf).index_fill(1, torch.arange(4), 0.5)
    assert soft_topk(scores, 3, candidates=10).tail.item() == 0.0
    assert soft_topk(scores[:, :10], 3, candidates=64).tail.item() == 0.0


def entropy(share: float) -> float:
    return -share * math.log(share) - (1 - share) * math.log(1 - share) if 0 < share < 1 else 0.0


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    columns=st.integers(3, 60),
    k=st.integers(1, 5),
    log_temperature=st.floats(-3, 1),
    two_valued=st.booleans(),
)
def test_bias_is_within_its_bound(seed: int, columns: int, k: int, log_temperature: float, two_valued: bool) -> None:
    k, temperature = min(k, columns - 1), 10**log_temperature
    scores = random_scores(1, columns, seed=seed)
    if two_valued:  # the worst case: one gap, everything else tied
        scores = torch.ones(1, columns, dtype=torch.float64).index_fill(1, torch.arange(k, columns), 0.0)
    best = scores.sort(descending=True).values[0]
    chosen = torch.zeros(columns, dtype=torch.float64).scatter(0, scores[0].topk(k).indices, 1.0)
    bias = (soft_topk(scores, k, temperature, sorted=False, candidates=None).weights[0, 0] - chosen).abs().sum()
    gap = (best[k - 1] - best[k]).item()
    bound = 2 * temperature / max(gap, 1e-12) * columns * entropy(k / columns)
    assert bias <= bound + 1e-9
    assert bound <= 2 * temperature / max(gap, 1e-12) * k * (math.log(columns / k) + 1) + 1e-9
    if not two_valued:
        hard = torch.zeros(k, columns, dtype=torch.float64).scatter(1, scores[0].topk(k).indices.unsqueeze(1), 1.0)
        bias = (soft_topk(scores, k, temperature, candidates=None).weights[0] - hard).abs().sum()
        gap = (best[:k] - best[1 : k + 1]).min().item()
        assert bias <= 4 * temperature / gap * k * (math.log(columns) + 1) + 1e-9


def test_two_candidates_have_the_stated_log_odds() -> None:
    """d nats apart: log-odds d / temperature between adjacent ranks."""
    scores = torch.tensor([[2.0, 1.7, 0.0, -1.0]], dtype=torch.float64)
    weights = soft_topk(scores, 2, 0.25, candidates=None).weights[0]
    odds = (weights[0, 0] * weights[1, 1] / (weights[0, 1] * weights[1, 0])).log()
    assert odds.item() == pytest.approx(0.3 / 0.25, rel=1e-9)


def test_padding_and_other_sentences_change_nothing() -> None:
    scores = random_scores(3, 20)
    alone = soft_topk(scores[:1], 4, 0.2).weights
    padded = torch.cat([scores, torch.full((3, 100), -torch.inf, dtype=torch.float64)], -1)
    torch.testing.assert_close(soft_topk(padded, 4, 0.2, candidates=20).weights[:1], alone, atol=1e-12, rtol=0)


def test_shapes_over_leading_dimensions() -> None:
    solved = soft_topk(random_scores(2, 3, 100), 4, candidates=16)
    assert solved.weights.shape == (2, 3, 4, 16) and solved.indices.shape == (2, 3, 16)
    assert solved.thresholds.shape == (2, 3, 4) and solved.tail.shape == (2, 3)
    full = soft_topk(random_scores(100), 4, candidates=None, sorted=False)
    assert full.weights.shape == (1, 100) and full.indices is None and full.thresholds.shape == (1,)
    half = soft_topk(random_scores(5, 100).bfloat16(), 4)
    assert half.weights.dtype == torch.bfloat16 and half.thresholds.dtype == half.tail.dtype == torch.float32
    assert soft_topk(torch.zeros(0, 5), 2).weights.shape == (0, 2, 5)


@pytest.mark.slow
def test_newton_never_fails() -> None:
    """51,200 problems over eight orders of magnitude of temperature, with ties and clusters."""
    generator = torch.Generator().manual_seed(0)
    for trial in range(800):
        k = [1, 2, 3, 5, 8, 16][trial % 6]
        columns = k + [1, 2, 20, 65][trial % 4]
        temperature = 10 ** (-5 + 8 * torch.rand((), generator=generator).item())
        scores = torch.randn(64, columns, generator=generator, dtype=torch.float64)
        if trial % 3 == 1:
            scores = scores.round()
        if trial % 3 == 2:
            scores = (scores / 3).round() * 3 + 1e-4 * torch.randn(64, columns, generator=generator)
        solved = soft_topk(scores, k, temperature, candidates=None, sorted=trial % 5 > 0)
        assert (solved.weights.sum(-1) - (1 if trial % 5 else k)).abs().max() < 1e-8, (trial, k, columns, temperature)
