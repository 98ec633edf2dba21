"""Second derivatives of the whole family, by every route to them, and how it fares under torch.func and vmap."""

import math
from collections.abc import Callable

import pytest
import torch
from topk_family import ESTIMATES, FAMILY, HARDENED, WITHOUT_GRADIENT, generator, random_scores
from torch import Tensor
from torch.autograd import functional

from beamtrain.topk import perturbed_topk, plackett_luce_log_prob, reinforce, soft_topk

DIFFERENTIABLE = sorted(set(FAMILY) - WITHOUT_GRADIENT)
EXACT = sorted(set(DIFFERENTIABLE) - ESTIMATES - HARDENED)
DRAWING = {name for name in FAMILY if any(word in name for word in ("gumbel", "perturbed", "reinforce", "reparam"))}
Loss = Callable[[Tensor], Tensor]


def loss_of(name: str) -> Loss:
    """A curved loss of the output, scores (..., N) -> scalar."""

    def loss(scores: Tensor) -> Tensor:
        output = FAMILY[name](scores).flatten()
        gain = torch.cos(1.7 * torch.arange(output.numel(), dtype=output.dtype))  # drawing some would need vmap's leave
        return (gain * output + 0.3 * gain.flip(0) * output.square()).sum()

    return loss


def gradient_at(loss: Loss, scores: Tensor) -> Tensor:
    leaf = scores.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf), leaf)[0]


def by_differences(loss: Loss, scores: Tensor) -> Tensor:
    """The Hessian (n, n) by central differences of the gradient."""
    steps = 1e-5 * torch.eye(scores.numel(), dtype=scores.dtype).reshape(-1, *scores.shape)
    rows = [(gradient_at(loss, scores + step) - gradient_at(loss, scores - step)) / 2e-5 for step in steps]
    return torch.stack(rows).reshape(scores.numel(), -1)


def twice_by_grad(loss: Loss, scores: Tensor) -> Tensor:
    leaf = scores.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
    rows = [torch.autograd.grad(each, leaf, retain_graph=True, allow_unused=True)[0] for each in gradient.flatten()]
    assert None not in rows
    return torch.stack(rows)


ROUTES: dict[str, Callable[[Loss, Tensor], Tensor]] = {
    "hessian": functional.hessian,
    "hessian, batched": lambda loss, x: functional.hessian(loss, x, vectorize=True),
    "hvp": lambda loss, x: torch.stack([functional.hvp(loss, x, v.view_as(x))[1] for v in torch.eye(x.numel())]),
    "jacobian of jacobian": lambda loss, x: functional.jacobian(
        lambda y: functional.jacobian(loss, y, create_graph=True), x
    ),
    "grad twice, unused allowed": twice_by_grad,
}
FUNC_ROUTES: dict[str, Callable[[Loss, Tensor], Tensor]] = {
    "forward over reverse": lambda loss, x: torch.func.hessian(loss)(x),
    "reverse over forward": lambda loss, x: torch.func.jacrev(torch.func.jacfwd(loss))(x),
    "reverse over reverse": lambda loss, x: torch.func.jacrev(torch.func.jacrev(loss))(x),
    "forward over forward": lambda loss, x: torch.func.jacfwd(torch.func.jacfwd(loss))(x),
}


@pytest.mark.parametrize("name", EXACT)
def test_second_derivatives_are_right_by_every_route(name: str) -> None:
    scores, loss = random_scores(7, seed=2), loss_of(name)
    expected = by_differences(loss, scores)
    for route, second in (ROUTES | ({} if name in DRAWING else FUNC_ROUTES)).items():
        found = second(loss, scores).reshape(expected.shape)
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=2e-6, msg=lambda text, r=route: f"{r}: {text}")


@pytest.mark.parametrize("name", sorted(name for name in FAMILY if "straight" in name and "gumbel" not in name))
def test_straight_through_has_the_soft_second_derivatives(name: str) -> None:
    soft = name.replace("straight-through set", "lapsum set").replace("straight-through", "soft")
    scores = random_scores(7, seed=2)

    def linear(name: str) -> Loss:
        return lambda x: (FAMILY[name](x) * random_scores(*FAMILY[name](scores).shape, seed=3)).sum()

    torch.testing.assert_close(functional.hessian(linear(name), scores), functional.hessian(linear(soft), scores))


@pytest.mark.parametrize("candidates", [None, 4])
def test_third_derivatives_of_soft_topk(candidates: int | None) -> None:
    def gradient(scores: Tensor) -> Tensor:
        weights = soft_topk(scores, 2, 0.4, candidates=candidates).weights
        return torch.autograd.grad((weights * random_scores(*weights.shape, seed=1)).sum(), scores, create_graph=True)[
            0
        ]

    assert torch.autograd.gradgradcheck(gradient, (random_scores(1, 6).requires_grad_(),))


@pytest.mark.parametrize("temperature", [0.3, 0.05, 0.02, 0.008])
def test_second_derivatives_stay_exact_when_almost_hard(temperature: float) -> None:
    """Two candidates and k = 1, as for the gradient: w = 1 / (1 + exp(gap / 2 temperature)), in single precision."""
    curved = functional.hessian(lambda x: soft_topk(x, 1, temperature).weights[0, 1], torch.tensor([1.0, 0.0]))
    share = 1 / (1 + math.exp(1 / (2 * temperature)))
    expected = share * (1 - share) * (1 - 2 * share) / (2 * temperature) ** 2
    assert (curved / expected).flatten().tolist() == pytest.approx([1, -1, -1, 1], rel=1e-6)


@pytest.mark.parametrize("name", sorted(set(EXACT) - {"neural_sort", "reparameterised"}))  # which mask none
def test_masked_and_tied_scores_have_finite_second_derivatives(name: str) -> None:
    scores = torch.tensor([0.3, -torch.inf, 0.3, 1.0, 0.2, 1.0, -0.5], dtype=torch.float64)

    def loss(scores: Tensor) -> Tensor:
        output = FAMILY[name](scores)
        return output.masked_fill(output == -torch.inf, 0.0).square().sum()

    curved = functional.hessian(loss, scores)
    assert curved.isfinite().all() and (curved[1] == 0).all() and (curved[:, 1] == 0).all()


def test_estimates_have_unbiased_second_derivatives() -> None:
    """Perturbed: of P(x1 + t Z1 > x2 + t Z2) = Phi(gap / (t sqrt 2)). REINFORCE: of the expectation by enumeration."""
    gap, spread = 0.3, 0.8 * math.sqrt(2)
    scores = torch.tensor([gap, 0.0], dtype=torch.float64)
    found = functional.hessian(
        lambda x: perturbed_topk(x, 1, 0.8, generator=generator(), samples=400_000)[0, 0], scores
    )
    slope = math.exp(-((gap / spread) ** 2) / 2) / math.sqrt(2 * math.pi)
    expected = -slope * gap / spread**3 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    assert expected.abs().max() > 0.05
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)

    scores = torch.tensor([0.4, 0.0], dtype=torch.float64)
    orders = torch.tensor([[0, 1], [1, 0]])
    exact = functional.hessian(lambda x: plackett_luce_log_prob(x.expand(2, 2), orders)[0].exp(), scores)
    found = functional.hessian(lambda x: reinforce(lambda p: p[..., 0, 0], x, 100_000, generator()), scores)
    assert exact.abs().max() > 0.04
    torch.testing.assert_close(found, exact, atol=0.01, rtol=0)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_first_derivatives_by_torch_func(name: str) -> None:
    scores, loss = random_scores(7, seed=2), loss_of(name)
    expected = gradient_at(loss, scores)
    torch.testing.assert_close(torch.func.grad(loss)(scores), expected)
    direction = random_scores(7, seed=4)
    torch.testing.assert_close(torch.func.jvp(loss, (scores,), (direction,))[1], expected @ direction)
    rows = random_scores(3, 7, seed=5)
    each = torch.vmap(torch.func.grad(loss), randomness="same")(rows)
    torch.testing.assert_close(each, torch.stack([gradient_at(loss, row) for row in rows]))


@pytest.mark.parametrize("name", sorted(FAMILY))
def test_vmap_is_a_loop(name: str) -> None:
    scores, function = random_scores(2, 3, 7), FAMILY[name]
    expected = torch.stack([function(each) for each in scores.unbind(1)])
    torch.testing.assert_close(torch.vmap(function, in_dims=1, randomness="same")(scores), expected)
    twice = torch.vmap(torch.vmap(function, randomness="same"), randomness="same")(scores)
    if name not in DRAWING:
        torch.testing.assert_close(
            twice, torch.stack([torch.stack([function(row) for row in each]) for each in scores])
        )


@pytest.mark.parametrize("name", sorted(set(FAMILY) - {"plackett_luce_log_prob"}))
def test_values_are_checked_within_vmap(name: str) -> None:
    scores = random_scores(4, 7)
    scores[2, 1] = torch.nan
    with pytest.raises(ValueError, match="scores contain NaN; only finite scores"):
        torch.vmap(FAMILY[name], randomness="same")(scores)


@pytest.mark.parametrize("name", sorted(DRAWING))
def test_vmap_without_a_word_on_randomness_is_refused(name: str) -> None:
    with pytest.raises(RuntimeError, match="Please either use the 'same' or 'different' randomness flags on vmap"):
        torch.vmap(FAMILY[name])(random_scores(2, 7))
