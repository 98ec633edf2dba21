"""A second witness for every operator: the paper's formula in NumPy, a closed form, or an independent solver."""

import math

import numpy as np
import pytest
import torch
from topk_family import random_scores

from beamtrain.topk import (
    Gumbel,
    RelaxedSubset,
    gumbel_softmax,
    hard_topk,
    lapsum_topk,
    neural_sort,
    peaked_topk,
    perturbed_topk,
    sinkhorn_quantile,
    sinkhorn_rank,
    sinkhorn_sort,
    sinkhorn_topk,
    soft_topk,
    softsort_topk,
    subset_topk,
)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def sinkhorn_in_numpy(scores: np.ndarray, k: int, eps: float, iterations: int) -> np.ndarray:
    """Xie et al. 2020 as written, cost (x - y)^2 and masses (n-k)/n, 1/n, ..: n times the plan, ranks first (k, n)."""
    n = len(scores)
    cost = (scores[:, None] - np.arange(k + 1)[None]) ** 2
    kernel, rows, columns = np.exp(-cost / eps), np.full(n, 1 / n), np.array([(n - k) / n] + [1 / n] * k)
    right = np.ones(k + 1)
    for _ in range(iterations):
        left = rows / (kernel @ right)
        right = columns / (kernel.T @ left)
    return (n * left[:, None] * kernel * right[None])[:, :0:-1].T


def test_soft_and_sinkhorn_solve_the_papers_transport() -> None:
    scores, k, eps = random_scores(12), 3, 0.8
    expected = sinkhorn_in_numpy(scores.numpy(), k, eps, 5000)
    np.testing.assert_allclose(soft_topk(scores, k, eps / 2, candidates=None).weights, expected, atol=1e-9)
    for domain in ("log", "plain"):
        found = sinkhorn_topk(scores, k, eps / 2, iterations=5000, domain=domain)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_sinkhorn_gradients_agree_with_each_other_and_with_newton() -> None:
    scores, gain = random_scores(2, 10).requires_grad_(), random_scores(2, 3, 10, seed=1)
    gradients = []
    for weights in (
        soft_topk(scores, 3, 0.5, candidates=None).weights,
        sinkhorn_topk(scores, 3, 0.5, iterations=3000),
        sinkhorn_topk(scores, 3, 0.5, iterations=3000, gradient="autograd"),
        sinkhorn_topk(scores, 3, 0.5, iterations=3000, domain="plain"),
    ):
        gradients += torch.autograd.grad((weights * gain).sum(), scores)
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0], atol=1e-9, rtol=1e-7)


def test_sorted_soft_over_all_ranks_is_sinkhorn_sorting() -> None:
    scores = random_scores(2, 7)
    plan = soft_topk(scores, 7, 0.5, candidates=None).weights  # (B, ranks, candidates)
    places = torch.arange(1.0, 8.0, dtype=torch.float64)
    torch.testing.assert_close(sinkhorn_rank(scores, 0.5, iterations=3000), (plan * places[:, None]).sum(1))
    torch.testing.assert_close(sinkhorn_sort(scores, 0.5, iterations=3000), (plan @ scores.unsqueeze(-1)).squeeze(-1))


def test_sinkhorn_ranks_and_values_when_cold() -> None:
    scores = torch.tensor([3.0, -1.0, 5.0, 0.0, -torch.inf, -torch.inf])
    assert sinkhorn_rank(scores, 0.1, iterations=500).tolist() == pytest.approx([2, 4, 1, 3, 5.5, 5.5], abs=0.02)
    assert sinkhorn_sort(scores, 0.1, iterations=500)[:4].tolist() == pytest.approx([5, 3, 0, -1], abs=0.02)
    assert sinkhorn_sort(scores, 0.1)[4:].tolist() == [-math.inf, -math.inf]


@pytest.mark.parametrize("iterations", [1, 20])
def test_sinkhorn_ranks_lie_between_the_first_and_the_last_before_convergence(iterations: int) -> None:
    scores = torch.cat([20 * random_scores(30, 10), torch.full((30, 2), -torch.inf)], -1).requires_grad_()
    ranks = sinkhorn_rank(scores, 1.0, iterations=iterations)
    finite = ranks[:, :10]
    assert finite.min() > 1 - 1e-9
    assert finite.max() < 10 + 1e-9
    (gradient,) = torch.autograd.grad(ranks.square().sum(), scores)
    assert gradient.isfinite().all()
    assert (gradient[:, 10:] == 0).all()
    sizes = scores.detach()[:, :10].sort(-1, descending=True).indices
    assert (finite.detach().gather(-1, sizes).diff(dim=-1) > -1e-9).all()  # in the order of the scores


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_soft_quantile_when_cold(level: float) -> None:
    scores = random_scores(401)
    soft = sinkhorn_quantile(scores, level, 0.003, width=0.02, iterations=2000)
    assert soft.item() == pytest.approx(scores.quantile(level).item(), abs=0.03)
    with pytest.raises(
        ValueError, match=r"level - width/2 and level \+ width/2 must lie inside \(0, 1\), got level 0.01"
    ):
        sinkhorn_quantile(scores, 0.01)


@pytest.mark.parametrize("temperature", [0.1, 0.01])
def test_soft_quantile_far_from_zero(temperature: float) -> None:
    scores = torch.tensor([0.25, 1.25, 2.0, 3.25, 4.5])
    far = sinkhorn_quantile(scores + 1024, 0.5, temperature) - 1024
    assert far.item() == pytest.approx(sinkhorn_quantile(scores, 0.5, temperature).item(), abs=1e-3)


def test_neuralsort_is_the_papers_formula() -> None:
    scores, temperature = random_scores(9).numpy(), 0.7
    n = len(scores)
    distances = np.abs(scores[:, None] - scores[None]).sum(1)
    expected = softmax(((n + 1 - 2 * np.arange(1, n + 1))[:, None] * scores - distances) / temperature)
    np.testing.assert_allclose(neural_sort(torch.from_numpy(scores), temperature).numpy(), expected, atol=1e-12)


def test_softsort_is_the_papers_formula() -> None:
    scores = random_scores(9).numpy()
    expected = softmax(-np.abs(np.sort(scores)[::-1][:, None] - scores[None]) / 0.7)
    np.testing.assert_allclose(softsort_topk(torch.from_numpy(scores), 9, 0.7).numpy(), expected, atol=1e-12)


def test_soft_tends_to_softsort_at_twice_the_temperature() -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0, 3.0]], dtype=torch.float64)
    soft, softsort = soft_topk(scores, 2, 0.05, candidates=None).weights, softsort_topk(scores, 2, 0.1)
    torch.testing.assert_close(soft.log()[0, 0, 2], softsort.log()[0, 0, 2], rtol=1e-3, atol=0)


def test_peaked_softmax_is_the_papers_formula() -> None:
    scores, alpha = random_scores(9).numpy(), 3.0
    maxima = np.sort(scores)[::-1][:4]
    expected = softmax(-alpha * (maxima[:, None] - scores[None]) ** 2)
    np.testing.assert_allclose(peaked_topk(torch.from_numpy(scores), 4, alpha**-0.5).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.01, 0.3, 5.0])
def test_lapsum_threshold_by_bisection(temperature: float) -> None:
    scores = random_scores(15, seed=3).numpy()

    def chosen(threshold: float) -> np.ndarray:
        reach = (scores - threshold) / temperature
        return np.where(reach > 0, 1 - 0.5 * np.exp(-np.abs(reach)), 0.5 * np.exp(-np.abs(reach)))

    sets = [np.zeros(15)]
    for count in (1, 2, 3, 4):
        low, high = scores.min() - 100 * temperature, scores.max() + 100 * temperature
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if chosen(middle).sum() > count else (low, middle)
        sets.append(chosen(low))
    weights = lapsum_topk(torch.from_numpy(scores), 4, temperature)
    np.testing.assert_allclose(weights.numpy(), np.diff(sets, axis=0), atol=1e-9)
    only_set = lapsum_topk(torch.from_numpy(scores), 4, temperature, sorted=False)
    np.testing.assert_allclose(only_set.numpy()[0], sets[-1], atol=1e-9)


def test_relaxed_subset_is_the_papers_recursion() -> None:
    scores, temperature = random_scores(8).numpy(), 0.4
    keys, rows = scores.copy(), []
    for _ in range(3):
        rows.append(softmax(keys / temperature))
        keys = keys + np.log(1 - rows[-1])
    np.testing.assert_allclose(subset_topk(torch.from_numpy(scores), 3, temperature).numpy(), rows, atol=1e-12)


def test_gumbel_softmax_draws_from_the_softmax() -> None:
    scores = torch.tensor([1.0, 0.0, -1.0, -torch.inf])
    drawn = gumbel_softmax(scores.expand(40000, -1), 0.5, torch.Generator().manual_seed(0), hard=True)
    torch.testing.assert_close(drawn.mean(0), scores.softmax(-1), atol=0.01, rtol=0)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    soft = gumbel_softmax(scores.expand(9, -1), 0.5, torch.Generator().manual_seed(0))
    subset = Gumbel(RelaxedSubset(0.5, None)).select(scores.expand(9, -1), 1, torch.Generator().manual_seed(0))
    torch.testing.assert_close(soft, subset.weights[:, 0])


def test_gumbel_subset_draws_without_replacement() -> None:
    scores = torch.tensor([1.0, 0.0, -1.0])
    rows = (
        Gumbel(RelaxedSubset(1e-3, None)).select(scores.expand(40000, -1), 2, torch.Generator().manual_seed(0)).weights
    )
    first, second = rows.argmax(-1).unbind(-1)
    assert (first != second).all()
    share = scores.softmax(-1)
    both = ((first == 0) & (second == 1)).float().mean().item()
    assert both == pytest.approx((share[0] * share[1] / (1 - share[0])).item(), abs=0.01)


def test_perturbed_topk_of_two_is_a_normal_distribution() -> None:
    """P(x1 + t Z1 > x2 + t Z2) = Phi((x1 - x2) / (t sqrt 2)), and its derivative."""
    gap, temperature = 0.3, 0.5
    scores = torch.tensor([gap, 0.0], dtype=torch.float64, requires_grad=True)
    weights = perturbed_topk(scores, 1, temperature, generator=torch.Generator().manual_seed(0), samples=200_000)
    reach = gap / (temperature * math.sqrt(2))
    assert weights[0, 0].item() == pytest.approx(0.5 * (1 + math.erf(reach / math.sqrt(2))), abs=0.005)
    (gradient,) = torch.autograd.grad(weights[0, 0], scores)
    slope = math.exp(-reach * reach / 2) / math.sqrt(2 * math.pi) / (temperature * math.sqrt(2))
    assert gradient.tolist() == pytest.approx([slope, -slope], abs=0.02)


def test_perturbed_gradient_is_that_of_a_smoothed_hard_topk() -> None:
    """Against finite differences of the expectation, with common noise."""
    scores, gain = random_scores(4), random_scores(2, 4, seed=2)

    def mean(shifted: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        return (perturbed_topk(shifted, 2, 0.5, generator=generator, samples=200_000) * gain).sum()

    leaf = scores.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(mean(leaf), leaf)
    steps = 0.1 * torch.eye(4, dtype=torch.float64)
    expected = torch.stack([(mean(scores + step) - mean(scores - step)) / 0.2 for step in steps])
    torch.testing.assert_close(gradient, expected, atol=0.05, rtol=0)


@pytest.mark.parametrize(("columns", "k"), [(5, 2), (64, 2), (1000, 7), (4099, 64)])
def test_hard_topk_is_torchs(columns: int, k: int) -> None:
    scores = random_scores(3, columns)
    scores[0, ::3] = -torch.inf
    scores[1] = scores[1].round(decimals=1)
    values, indices = hard_topk(scores, k)
    torch.testing.assert_close(values, scores.topk(k).values, atol=0, rtol=0)
    torch.testing.assert_close(scores.gather(-1, indices), values, atol=0, rtol=0)
    assert all(row.unique().numel() == k for row in indices)
