"""Encoder-decoder networks: what they compute (`base`), their `layers`, and their memory while decoding (`state`)."""

from beamtrain.model.base import Seq2Seq
from beamtrain.model.gru import GRUEncoderDecoder
from beamtrain.model.transformer import Transformer

__all__ = ["GRUEncoderDecoder", "Seq2Seq", "Transformer"]
