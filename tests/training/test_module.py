"""What an optimiser step is made of: the batches of a window, the limit of the gradient, the parameters that learn."""

from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from batches import batch_of
from learning import LearnedWeight
from networks import small
from torch.utils.data import DataLoader

from beamtrain.base.errors import UserError
from beamtrain.model.transformer import Transformer
from beamtrain.training.module import TranslationModule


def limited(rule, gamma, scale):
    """The norms of a gradient of ones times `scale` before and after, and the gradients after."""
    module = TranslationModule(
        Transformer(7, width=4, inner_width=4, heads=1, encoder_layers=1, decoder_layers=1),
        max_gradient_norm=gamma,
        gradient_rule=rule,
    )
    module.log = lambda *_, **__: None
    module._trainer = SimpleNamespace(accumulate_grad_batches=1)
    parameters = list(module.network.parameters())
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, scale)
    norm = scale * sum(parameter.numel() for parameter in parameters) ** 0.5
    module.configure_gradient_clipping(torch.optim.SGD(parameters))
    flat = torch.cat([parameter.grad.flatten() for parameter in parameters])
    return norm, flat.norm().item(), flat


@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0])
def test_clipping_keeps_small_gradients_and_bounds_large_ones(scale):
    before, after, flat = limited("clip", gamma=1.0, scale=scale)
    assert after == pytest.approx(min(before, 1.0), rel=1e-4)
    assert torch.allclose(flat, flat[0].expand_as(flat))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0])
def test_rescaling_is_smooth(scale):
    before, after, _ = limited("rescale", gamma=2.0, scale=scale)
    assert after == pytest.approx(before * 2.0 / (before + 2.0), rel=1e-4)


def test_no_limit_leaves_gradients_alone():
    before, after, _ = limited("clip", gamma=0.0, scale=50.0)
    assert after == pytest.approx(before, rel=1e-5)


def test_a_negative_limit_is_refused():
    with pytest.raises(UserError, match="max_gradient_norm is -2, but must be positive, or 0 for no limit"):
        TranslationModule(Transformer(7, width=4, heads=1, encoder_layers=1, decoder_layers=1), max_gradient_norm=-2)


pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's hints
PAIRS = [([5, 6, 7], [8, 9, 10, 4, 5, 6]), ([4], [10]), ([9, 9], [7, 5]), ([6], [4, 4, 4, 8]), ([8, 4], [5])]


def fitted(batches, accumulate=1, objective=None, **settings):
    """A module after an epoch of these batches, and the gradient norms of its steps."""
    module = TranslationModule(
        small("transformer", 12, layers=1).double(),
        objective,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        schedule=lambda step: 1.0,
        **settings,
    )
    norms = []
    module.log = lambda name, value: norms.append(float(value)) if name.endswith("norm") else None
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, accumulate_grad_batches=accumulate, limit_val_batches=0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
    )  # fmt: skip
    trainer.fit(module, DataLoader(batches, batch_size=None))
    return module, norms


@pytest.mark.parametrize("gamma", [0.0, 0.3])
@pytest.mark.parametrize("sizes, windows", [((1, 2, 2), (3, 2)), ((2, 1, 1), (3, 1)), ((1, 1, 1), (2, 1))])
def test_the_batches_of_a_window_are_one_batch_of_all_their_tokens_also_of_the_last_window(sizes, windows, gamma):
    """Batches of so many sentences, two to a step, against batches of the windows' sentences."""

    def cut(sizes):
        pairs = iter(PAIRS)
        return [batch_of([next(pairs) for _ in range(size)]) for size in sizes]

    one, norms = fitted(cut(windows), max_gradient_norm=gamma)
    parts, same = fitted(cut(sizes), accumulate=2, max_gradient_norm=gamma)
    assert norms == pytest.approx(same, rel=1e-6) and len(norms) == len(windows)
    for mine, theirs in zip(parts.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-8)


def test_an_objective_s_own_parameters_are_optimised_and_clipped():
    """By its formula: nll exp(-s) + s, of the mean over the tokens, whose derivative by s is 1 - nll exp(-s)."""
    batch = batch_of(PAIRS)
    free, norms = fitted([batch], objective=LearnedWeight(), max_gradient_norm=0.0)
    network = small("transformer", 12, layers=1).double()
    loss = LearnedWeight()(network, batch)
    nll = loss.figures["nll"] / loss.weight
    assert free.objective.log_scale.item() == pytest.approx(0.1 * (nll.item() - 1))
    (loss.total / loss.weight).backward()
    square = sum(parameter.grad.square().sum() for parameter in network.parameters()) + (1 - nll) ** 2
    assert norms == [pytest.approx(square.sqrt().item())]
    clipped, _ = fitted([batch], objective=LearnedWeight(), max_gradient_norm=0.01)
    assert clipped.objective.log_scale.item() == pytest.approx(0.1 * (nll.item() - 1) * 0.01 / norms[0], rel=1e-3)
