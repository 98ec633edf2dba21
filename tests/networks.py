"""Every network of the package, small and random, for the tests that hold for all of them.

"foreign" is a Transformer with all choices that are not the defaults, as far as they go together.
"""

import pytest
import torch
from torch import nn

from beamtrain.data.tokenizer import EOS
from beamtrain.model.base import Seq2Seq
from beamtrain.model.gru import GRUEncoderDecoder
from beamtrain.model.transformer import Transformer

each_network = pytest.mark.parametrize("kind", ["transformer", "gru"])
each_layout = pytest.mark.parametrize("kind", ["transformer", "gru", "foreign"])

FOREIGN = {
    "norm": "post",
    "activation": "gelu",
    "positions": "learned",
    "position_rows": 70,
    "first_position": 2,
    "embedding_scale": False,
    "embedding_norm": True,
    "logits_bias": True,
    "start_token": EOS,
    "source_end": 4,
}


def small(kind: str, V: int, seed: int = 0, width: int = 16, layers: int = 2, **options) -> Seq2Seq:
    """A network in evaluation mode, with so many decoder layers."""
    torch.manual_seed(seed)
    shape = dict(width=width, heads=2, encoder_layers=1, decoder_layers=layers)
    if kind == "transformer":
        return Transformer(V, inner_width=2 * width, **shape, **options).eval()
    if kind == "foreign":
        network = Transformer(V, inner_width=2 * width, **shape, **FOREIGN, **options).eval()
        nn.init.normal_(network.logits_bias)
        return network
    return GRUEncoderDecoder(V, **shape, **options).eval()
