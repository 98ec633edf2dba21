"""Encoder-decoder networks.

base.py         what training and search ask of one
attention.py    the arithmetic of attention; dropout.py, dropout that costs little on a CPU
layers.py       what networks are built of; embedding.py and positions.py, what their first layers read
slots.py        which beams a step of the decoder computes; packing.py, weights packed for a search
state.py        what a decoder remembers between two steps of a search; recurrent_state.py, a recurrent one
transformer.py  the Transformer
gru.py          the recurrent network
"""

from beamtrain.model.base import Seq2Seq
from beamtrain.model.gru import GRUEncoderDecoder
from beamtrain.model.transformer import Transformer

__all__ = ["GRUEncoderDecoder", "Seq2Seq", "Transformer"]
