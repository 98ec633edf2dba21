"""A run as a CTranslate2 model: our Transformer in its specification, every array copied, positions written out."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.base.extras import require
from beamtrain.data.tokenizer import BOS, EOS, UNK, Tokenizer
from beamtrain.interop.quantization import Quantization
from beamtrain.model.base import Seq2Seq
from beamtrain.model.layers import Activation
from beamtrain.model.transformer import Transformer

_ACTIVATIONS: dict[Activation, str] = {"relu": "RELU", "gelu": "GELU", "gelu_tanh": "GELUTanh", "silu": "SWISH"}
LONGEST = 4096
"""Tokens of a text, where the network itself sets no limit."""
_NEVER = -1e9  # the logit of what is never said


def write_ctranslate2(network: nn.Module, tokenizer: Tokenizer, quantization: Quantization, folder: Path) -> None:
    """Write the network into the empty `folder`, for sources and translations of up to `positions_of` tokens.

    The subword models are written beside it, for those who use CTranslate2 by itself.

    Raises:
        UserError: the network is no Transformer, the quantization is unknown, or ctranslate2 is not installed.
    """
    if quantization not in get_args(Quantization):
        raise UserError(f"--quantization {quantization}: must be {', '.join(get_args(Quantization))}")
    if not isinstance(network, Transformer):
        raise UserError(f"{type(network).__name__} has no counterpart in CTranslate2; only a Transformer can go there")
    spec = _specification(network, tokenizer)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))
    tokenizer.save(folder)


def positions_of(network: Seq2Seq) -> int:
    """The most tokens, EOS included, of a source or a translation of what is written."""
    return network.max_positions or LONGEST


def _specification(network: Transformer, tokenizer: Tokenizer) -> Any:
    specs = require("ctranslate2", "ctranslate2", "the engine ctranslate2").specs
    shape = network.shape
    rows = positions_of(network)
    spec = specs.TransformerSpec.from_config(
        (len(network.encoder), len(network.decoder)),
        shape.heads,
        pre_norm=shape.norm == "pre",
        activation=specs.common_spec.Activation[_ACTIVATIONS[shape.activation]],
        layernorm_embedding=isinstance(network.target_embedding.norm, nn.LayerNorm),
    )
    for side, tokens, embedding, final_norm, layers in (
        (spec.encoder, spec.encoder.embeddings[0], network.source_embedding, network.encoder_norm, network.encoder),
        (spec.decoder, spec.decoder.embeddings, network.target_embedding, network.decoder_norm, network.decoder),
    ):
        tokens.weight = _array(embedding.vectors(torch.arange(embedding.table.num_embeddings)))
        side.scale_embeddings = embedding.scale
        side.position_encodings.encodings = _array(embedding.positions.up_to(rows, like=embedding.table.weight)[:rows])
        if isinstance(embedding.norm, nn.LayerNorm):
            _put_norm(side.layernorm_embedding, embedding.norm)
        if isinstance(final_norm, nn.LayerNorm):
            _put_norm(side.layer_norm, final_norm)
        for there, layer in zip(side.layer, layers, strict=True):
            _put_layer(there, layer)
    spec.decoder.projection.weight = _array(network.output_weight)
    if network.output_bias is not None:
        spec.decoder.projection.bias = _array(network.output_bias.clamp(min=_NEVER))
    spec.register_source_vocabulary(tokenizer.source.vocabulary)
    spec.register_target_vocabulary(tokenizer.target.vocabulary)
    start, end, unknown = tokenizer.target.pieces([BOS, EOS, UNK])
    spec.config.bos_token = spec.config.decoder_start_token = start
    spec.config.eos_token, spec.config.unk_token = end, unknown
    spec.config.add_source_eos, spec.config.add_source_bos = True, False
    return spec


def _put_layer(there: Any, layer: Any) -> None:
    _put(there.self_attention, (layer.attention.project, layer.attention.output), layer.residuals[0].norm)
    if hasattr(layer, "cross"):
        cross = layer.cross
        _put(there.attention, (cross.query, cross.project, cross.output), layer.residuals[1].norm)
    _put_linear(there.ffn.linear_0, layer.feed_forward.inner)
    _put_linear(there.ffn.linear_1, layer.feed_forward.outer)
    _put_norm(there.ffn.layer_norm, layer.residuals[-1].norm)


def _put(attention: Any, linears: tuple[nn.Linear, ...], norm: nn.LayerNorm) -> None:
    for there, ours in zip(attention.linear, linears, strict=True):
        _put_linear(there, ours)
    _put_norm(attention.layer_norm, norm)


def _put_linear(there: Any, ours: nn.Linear) -> None:
    there.weight, there.bias = _array(ours.weight), _array(ours.bias)


def _put_norm(there: Any, ours: nn.LayerNorm) -> None:
    there.gamma, there.beta = _array(ours.weight), _array(ours.bias)


def _array(tensor: Tensor) -> np.ndarray:
    """A copy: quantisation works in place."""
    return tensor.detach().float().cpu().numpy().copy()
