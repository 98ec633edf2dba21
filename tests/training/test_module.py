"""The two ways to limit a gradient, against their formulas."""

import pytest
import torch

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
