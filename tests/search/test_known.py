import pytest
import torch

from beamtrain.data.tokenizer import PAD
from beamtrain.search import known
from beamtrain.search.known import with_gradient
from beamtrain.search.step import Candidates

B, T, K, M, V, D = 3, 5, 2, 4, 11, 6


def problem(dtype=torch.float64):
    """Random prefixes and candidates; the last slot of the first sentence has ended from position 2 on."""
    random = torch.Generator().manual_seed(3)
    hidden = torch.randn(B, T * K, D, generator=random, dtype=dtype, requires_grad=True)
    weight = torch.randn(V, D, generator=random, dtype=dtype, requires_grad=True)
    steps = []
    for t in range(T):
        parents = torch.randint(K, (B, M), generator=random)
        tokens = torch.randint(1, V, (B, M), generator=random)
        if t >= 2:
            tokens[0][parents[0] == K - 1] = PAD
        steps.append(
            Candidates(torch.zeros(B, M), plain(hidden.detach(), weight.detach(), t, parents, tokens), parents, tokens)
        )
    return hidden, weight, steps


def plain(hidden, weight, t, parents, tokens):
    log_probs = (hidden[:, t * K : (t + 1) * K] @ weight.t()).log_softmax(-1)  # (B, K, V)
    found = log_probs.flatten(1).gather(1, parents * V + tokens)
    return found.masked_fill(tokens == PAD, 0.0)


@pytest.mark.parametrize("at_once", [1, 2 * B * K * V, 2**22])  # a position, two positions, all of them
def test_values_and_gradients_are_those_of_the_softmax(at_once, monkeypatch):
    monkeypatch.setattr(known, "_AT_ONCE", at_once)
    hidden, weight, steps = problem()
    outer = torch.randn(T, B, M, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    outer[1, 0] = 0.0  # prefixes that nothing depends on
    expected = torch.stack([plain(hidden, weight, t, each.parents, each.tokens) for t, each in enumerate(steps)])
    found = torch.stack(with_gradient(hidden, weight, steps))
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, (hidden, weight), outer),
        torch.autograd.grad(expected, (hidden, weight), outer),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_a_candidate_that_does_not_exist_harms_no_gradient():
    hidden, weight, steps = problem()
    steps[0].log_probs[1, 2] = -torch.inf
    found = torch.stack(with_gradient(hidden, weight, steps))
    loss = found.masked_fill(found == -torch.inf, 0.0).sum()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, (hidden, weight)))


def test_under_autocast_the_products_are_in_its_precision_and_the_softmax_is_not():
    hidden, weight, steps = problem(torch.float32)
    expected = torch.autograd.grad(torch.stack(with_gradient(hidden, weight, steps)).sum(), (hidden, weight))
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.stack(with_gradient(hidden, weight, steps)).sum()
    for one, other in zip(torch.autograd.grad(found, (hidden, weight)), expected, strict=True):
        assert one.dtype == torch.float32
        assert 0 < (one - other).abs().max() < 0.05 * other.abs().max()
