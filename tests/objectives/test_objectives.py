"""Teacher forcing against PyTorch's own loss and against its formula; padding never counts."""

import pytest
import torch
from batches import batch_of
from torch.nn.functional import cross_entropy

from beamtrain.base.errors import UserError
from beamtrain.model.transformer import Transformer
from beamtrain.objectives import cross_entropy as module
from beamtrain.objectives.cross_entropy import smoothed_cross_entropy
from beamtrain.objectives.teacher_forcing import TeacherForcing

V = 13


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.7])
def test_the_convention_is_pytorchs_and_the_formula_of_the_docstring(eps):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(9, V, generator=generator, dtype=torch.float64)
    gold = torch.randint(V, (9,), generator=generator)
    loss, likelihood = smoothed_cross_entropy(logits, gold, eps, ())
    assert loss.item() == pytest.approx(cross_entropy(logits, gold, label_smoothing=eps, reduction="sum").item())
    p = logits.softmax(-1)
    by_hand = sum((1 - eps) * -p[i, g].log() + eps * -p[i].log().sum() / V for i, g in enumerate(gold))
    assert loss.item() == pytest.approx(by_hand.item())
    assert likelihood.item() == pytest.approx(cross_entropy(logits, gold, reduction="sum").item())


@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_its_gradient_is_that_of_pytorchs_loss_a_few_rows_at_a_time(eps, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 4 * V)  # 9 rows: 4, 4 and 1
    logits = torch.randn(9, V, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    gold = torch.arange(9)
    torch.autograd.gradcheck(lambda x: smoothed_cross_entropy(x, gold, eps, ())[0], logits)
    (mine,) = torch.autograd.grad(smoothed_cross_entropy(logits, gold, eps, ())[0], logits)
    (theirs,) = torch.autograd.grad(cross_entropy(logits, gold, label_smoothing=eps, reduction="sum"), logits)
    torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_half_precision_are_summed_in_float32(dtype):
    logits = torch.randn(50, 40, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    gold = torch.arange(50) % 40
    loss = smoothed_cross_entropy(logits, gold, 0.1, ())[0]
    (loss * 1e-4).backward()
    precise = logits.detach().float().requires_grad_()
    expected = cross_entropy(precise, gold, label_smoothing=0.1, reduction="sum")
    (expected * 1e-4).backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert logits.grad.dtype == dtype
    torch.testing.assert_close(logits.grad.float(), precise.grad, rtol=1e-2, atol=1e-7)


def test_a_batch_is_the_sum_of_its_sentences_whatever_the_padding():
    torch.manual_seed(0)
    network = Transformer(V, width=16, inner_width=32, heads=2, encoder_layers=1, decoder_layers=1).eval()
    pairs = [([5, 6, 7], [8, 9]), ([4], [10, 11, 12, 5, 6]), ([9, 9, 9, 9], [7])]

    def loss(chosen):
        return TeacherForcing(0.1)(network, batch_of(chosen))

    together, apart = loss(pairs), [loss([pair]) for pair in pairs]
    assert together.weight == sum(each.weight for each in apart) == 11
    assert together.total.item() == pytest.approx(sum(each.total.item() for each in apart), rel=1e-5)
    assert together.figures["nll"].item() == pytest.approx(sum(e.figures["nll"].item() for e in apart), rel=1e-5)


@pytest.mark.parametrize("eps", [-0.1, 1.0, 3.0, float("nan")])
def test_a_smoothing_that_is_no_probability_is_refused(eps):
    with pytest.raises(UserError, match=rf"label_smoothing is {eps}, but must be at least 0 and below 1"):
        TeacherForcing(eps)
