"""Every network of the package, small and random, for the tests that hold for all of them."""

import pytest
import torch

from beamtrain.model.base import Seq2Seq
from beamtrain.model.gru import GRUEncoderDecoder
from beamtrain.model.transformer import Transformer

each_network = pytest.mark.parametrize("kind", ["transformer", "gru"])


def small(kind: str, V: int, seed: int = 0, width: int = 16, layers: int = 2, **options) -> Seq2Seq:
    """A network in evaluation mode, with so many decoder layers."""
    torch.manual_seed(seed)
    shape = dict(width=width, heads=2, encoder_layers=1, decoder_layers=layers)
    if kind == "transformer":
        return Transformer(V, inner_width=2 * width, **shape, **options).eval()
    return GRUEncoderDecoder(V, **shape, **options).eval()
