"""What every operator of the family must do, whatever its formula."""

import pytest
import torch
from topk_family import (
    DRAWING,
    FAMILY,
    ITERATIVE,
    SELECTORS,
    WITHOUT_GRADIENT,
    random_scores,
    select,
    spaced_scores,
)
from torch import Tensor

ALL = sorted(SELECTORS)
DETERMINISTIC = sorted(set(ALL) - DRAWING)
ONE_HOT = {name for name in ALL if "straight" in name or name == "hard"}
SMOOTH = sorted(set(ALL) - ONE_HOT)


def is_set(name: str) -> bool:
    return "order" not in SELECTORS[name](1.0, None).gives


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("temperature", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("candidates", [None, 12, 64])
def test_rows_are_distributions(name: str, temperature: float, candidates: int | None) -> None:
    scores = random_scores(3, 12)
    weights, indices = select(name, scores, 4, temperature, candidates)
    assert weights.shape == (3, 1 if is_set(name) else 4, 12)
    assert (indices is None) == (candidates is None)
    assert weights.min() >= 0 and weights.max() <= 1 + 1e-9
    torch.testing.assert_close(weights.sum(-1), torch.full_like(weights[..., 0], 4.0 if is_set(name) else 1.0))


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_permuting_the_candidates_permutes_the_weights(name: str) -> None:
    scores, order = random_scores(2, 9), torch.randperm(9, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(select(name, scores[:, order], 3).weights, select(name, scores, 3).weights[..., order])


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_batch_is_its_rows(name: str) -> None:
    scores = random_scores(2, 3, 9)
    batched = select(name, scores, 3).weights
    for row in [(0, 0), (1, 2)]:
        torch.testing.assert_close(batched[row], select(name, scores[row], 3).weights)


@pytest.mark.parametrize("name", ALL)
def test_cold_is_hard_topk(name: str) -> None:
    scores, k = spaced_scores(4, 8), 3
    weights, _ = select(name, scores, k, 0.1 if name in ITERATIVE else 0.02)
    if "gumbel" in name:  # hard top-k of the noisy scores
        one_hot = weights.round()
        assert (one_hot.sum(-1) == 1).all() and (one_hot.sum(-2) <= 1).all()
    else:
        one_hot = torch.zeros_like(weights).scatter_(
            -1, scores.topk(k).indices.unsqueeze(-2 if is_set(name) else -1), 1.0
        )
    tolerance = 0.1 if name in ITERATIVE else 1e-4 if "gumbel" not in name else 0.2
    torch.testing.assert_close(weights, one_hot, atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", sorted(set(SMOOTH) - {"perturbed", "gumbel perturbed"}))
@pytest.mark.parametrize("candidates", [None, 6])
def test_gradient(name: str, candidates: int | None) -> None:
    scores = random_scores(2, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: select(name, x, 3, 0.7, candidates).weights, (scores,), atol=1e-6)


@pytest.mark.parametrize("name", ["straight-through", "straight-through set", "gumbel straight-through"])
def test_straight_through_has_the_soft_gradient(name: str) -> None:
    soft = {"straight-through": "soft", "straight-through set": "lapsum set"}.get(name)
    scores = random_scores(2, 6).requires_grad_()
    weights = select(name, scores, 3).weights
    assert set(weights.unique().tolist()) == {0.0, 1.0}
    gain = random_scores(*weights.shape, seed=5)
    (gradient,) = torch.autograd.grad((weights * gain).sum(), scores)
    assert gradient.abs().max() > 1e-3
    if soft:
        (expected,) = torch.autograd.grad((select(soft, scores, 3).weights * gain).sum(), scores)
        torch.testing.assert_close(gradient, expected)


def test_hard_has_no_gradient() -> None:
    assert not select("hard", random_scores(2, 6).requires_grad_(), 3).weights.requires_grad


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_narrow_types(name: str, dtype: torch.dtype) -> None:
    scores = random_scores(2, 12, dtype=dtype).requires_grad_()
    weights = select(name, scores, 3, candidates=8).weights
    assert weights.dtype == dtype and weights.isfinite().all()
    (gradient,) = torch.autograd.grad((weights * random_scores(*weights.shape, dtype=dtype)).sum(), scores)
    assert gradient.dtype == dtype and gradient.isfinite().all()
    wide = select(name, scores.detach().float(), 3, candidates=8).weights
    if name not in DRAWING:
        torch.testing.assert_close(weights.float(), wide, atol=2 * torch.finfo(dtype).eps, rtol=0)


@pytest.mark.parametrize("name", sorted(FAMILY))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(name: str, dtype: torch.dtype) -> None:
    """Neither the output, nor its gradient, nor a second one, nor their types, though all be computed inside."""

    def outputs(inside: bool) -> list[Tensor]:
        scores = random_scores(2, 9, dtype=dtype).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=inside):
            output = FAMILY[name](scores)
            if name in WITHOUT_GRADIENT:
                return [output]
            gain = random_scores(*output.shape, seed=3, dtype=output.dtype)
            loss = torch.where(output.isfinite(), gain * output.square(), 0.0).sum()
            (gradient,) = torch.autograd.grad(loss, scores, create_graph=True)
            return [output, gradient, *torch.autograd.grad(gradient.square().sum(), scores)]

    for found, expected in zip(outputs(inside=True), outputs(inside=False), strict=True):
        assert found.dtype == expected.dtype and torch.equal(found, expected)


@pytest.mark.parametrize("name", sorted(FAMILY))
@pytest.mark.parametrize("shape", [(0, 8), (0, 3), (3, 0, 8), (0, 2, 8)])
def test_an_empty_batch_has_empty_results(name: str, shape: tuple[int, ...]) -> None:
    """N = 3 is that of k; they have the shape of others' results but for the batch, and a gradient."""
    scores = torch.zeros(shape, requires_grad=True)
    output = FAMILY[name](scores)
    of_one = FAMILY[name](torch.zeros(shape[-1]))
    assert output.shape == (*shape[:-1], *of_one.shape)
    if output.requires_grad:
        output.sum().backward()
        assert scores.grad.shape == shape


@pytest.mark.parametrize("name", sorted(set(DETERMINISTIC) - ONE_HOT))
def test_ties_share(name: str) -> None:
    scores = torch.tensor([[0.3, 1.0, 0.2, 1.0, -0.5, 0.3]], dtype=torch.float64)
    weights = select(name, scores, 3, 0.2).weights
    torch.testing.assert_close(weights[..., 1], weights[..., 3], atol=1e-9, rtol=0)
    torch.testing.assert_close(weights[..., 0], weights[..., 5], atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"hard"}))
@pytest.mark.parametrize("candidates", [None, 5, 64])
def test_masked_candidates_are_absent(name: str, candidates: int | None) -> None:
    scores = random_scores(2, 8)
    scores[0, [1, 4, 5]] = -torch.inf
    scores[1, 0] = -torch.inf
    scores.requires_grad_()
    selection = select(name, scores, 3, candidates=candidates)
    weights = selection.dense(8)
    masked = scores.detach() == -torch.inf
    assert (weights.detach().movedim(-1, 0)[:, :].movedim(0, -1)[masked.unsqueeze(-2).expand_as(weights)] == 0).all()
    (gradient,) = torch.autograd.grad((weights * random_scores(*weights.shape, seed=3)).sum(), scores)
    assert gradient.isfinite().all() and (gradient[masked].abs() < 1e-12).all()
    if name in DETERMINISTIC and candidates != 5:
        alone = select(name, scores.detach()[0][~masked[0]], 3).weights
        torch.testing.assert_close(weights.detach()[0][:, ~masked[0]], alone, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("candidates", [None, 4])
def test_choosing_all_that_there_are(name: str, candidates: int | None) -> None:
    scores = random_scores(2, 4).requires_grad_()
    full = select(name, scores, 4, candidates=candidates).dense(4)
    if full.requires_grad:
        (gradient,) = torch.autograd.grad((full * random_scores(*full.shape, seed=1)).sum(), scores)
        assert gradient.isfinite().all()
    padded = random_scores(2, 4)
    padded = torch.cat([padded, torch.full_like(padded, -torch.inf)], -1)
    within = select(name, padded, 4, candidates=candidates).dense(8)
    for weights in (full, within):
        assert weights.isfinite().all()
        torch.testing.assert_close(weights.sum(-1), torch.full_like(weights[..., 0], 4.0 if is_set(name) else 1.0))
    assert (within[..., 4:] == 0).all()


@pytest.mark.parametrize("name", ALL)
def test_a_single_candidate(name: str) -> None:
    torch.testing.assert_close(select(name, random_scores(3, 1), 1).weights, torch.ones(3, 1, 1, dtype=torch.float64))


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("temperature", [1e-6, 1e6])
def test_extreme_temperatures(name: str, temperature: float) -> None:
    scores = random_scores(2, 9, dtype=torch.float32).requires_grad_()
    weights = select(name, scores, 3, temperature).weights
    assert weights.isfinite().all() and weights.min() >= 0
    (gradient,) = torch.autograd.grad((weights * random_scores(*weights.shape, dtype=torch.float32)).sum(), scores)
    assert gradient.isfinite().all()
    if temperature > 1 and name not in DRAWING:  # nearly uniform
        assert weights.std(-1).max() < (0.35 if name == "subset" else 1e-3)


@pytest.mark.parametrize("name", sorted(set(DETERMINISTIC) - {"subset"}))  # whose log(1 - a) has no unit
def test_scores_and_temperature_scale_together_and_shifts_cancel(name: str) -> None:
    scores = random_scores(2, 7)
    expected = select(name, scores, 3, 0.3).weights
    torch.testing.assert_close(select(name, 5 * scores - 40, 3, 1.5).weights, expected, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("name", ["soft", "sinkhorn", "lapsum", "hard", "straight-through", "sinkhorn sort"])
def test_no_candidate_is_chosen_twice(name: str) -> None:
    assert select(name, random_scores(20, 9), 4, 0.3).weights.sum(-2).max() <= 1 + 1e-3
    assert select("softsort", random_scores(20, 9), 4, 0.3).weights.sum(-2).max() > 1.02  # which others do


@pytest.mark.parametrize("name", sorted(set(DETERMINISTIC) - {"soft", "soft set"}))
def test_pruning_is_masking(name: str) -> None:
    scores = random_scores(2, 30)
    best = scores.topk(10).indices
    kept = torch.full_like(scores, -torch.inf).scatter(-1, best, scores.gather(-1, best))
    torch.testing.assert_close(select(name, scores, 3, candidates=10).dense(30), select(name, kept, 3).weights)
