import pytest
import torch

from beamtrain.model.dropout import Dropout


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.9])
def test_drops_a_share_p_and_keeps_the_mean(p, dtype):
    torch.manual_seed(0)
    ones = torch.ones(1001, 999, dtype=dtype)  # no multiple of four entries
    out = Dropout(p)(ones)
    kept = out != 0
    assert out.dtype == dtype and out.shape == ones.shape
    assert 1 - kept.float().mean() == pytest.approx(p, abs=5 * (p * (1 - p) / out.numel()) ** 0.5)
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 1 / (1 - p)), rtol=1e-2, atol=0)


def test_entries_fall_independently_of_their_neighbours():
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(400_000)) == 0).float() - 0.5
    for distance in range(1, 9):  # four entries share one random number
        assert (dropped[:-distance] * dropped[distance:]).mean().abs() < 5 * 0.25 / 400_000**0.5


def test_the_gradient_passes_where_the_entry_did():
    torch.manual_seed(0)
    x = torch.randn(7, 13, dtype=torch.float64, requires_grad=True)
    out = Dropout(0.3)(x)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient, out.detach() / x.detach())


def test_one_seed_one_mask():
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(Dropout(0.5)(torch.ones(64)))
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize("p", [0.0, 1e-9, 1.0, 1 - 1e-9])
def test_the_ends_of_the_range(p):
    x = torch.ones(5, 3)
    assert torch.equal(Dropout(p)(x), x * (p < 0.5))
    assert torch.equal(Dropout(p)(torch.ones(0, 3)), torch.ones(0, 3))


def test_does_nothing_outside_training():
    x = torch.ones(5)
    assert Dropout(0.5).eval()(x) is x
