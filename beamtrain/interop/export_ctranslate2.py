"""A run as a CTranslate2 model: our Transformer in its specification, every array copied, positions written out."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.base.extras import require
from beamtrain.data.tokenizer import BOS, EOS, UNK, Tokenizer
from beamtrain.interop.quantization import Quantization
from beamtrain.model.layers import sinusoids
from beamtrain.model.transformer import Transformer


def write_ctranslate2(
    network: nn.Module, tokenizer: Tokenizer, positions: int, quantization: Quantization, folder: Path
) -> None:
    """Write the network into the empty `folder`, for sources and translations of up to `positions` tokens.

    The subword models are written beside it, for those who use CTranslate2 by itself.

    Raises:
        UserError: the network is no Transformer, the quantization is unknown, or ctranslate2 is not installed.
    """
    if quantization not in get_args(Quantization):
        raise UserError(f"--quantization {quantization}: must be {', '.join(get_args(Quantization))}")
    if not isinstance(network, Transformer):
        raise UserError(f"{type(network).__name__} has no counterpart in CTranslate2; only a Transformer can go there")
    spec = _specification(network, tokenizer, positions)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))
    tokenizer.save(folder)


def _specification(network: Transformer, tokenizer: Tokenizer, positions: int) -> Any:
    specs = require("ctranslate2", "ctranslate2", "the engine ctranslate2").specs
    layers = len(network.encoder), len(network.decoder)
    first = network.encoder[0] if layers[0] else network.decoder[0]
    spec = specs.TransformerSpec.from_config(
        layers, first.attention.heads, pre_norm=first.residuals[0].pre, activation=specs.common_spec.Activation.RELU
    )
    table = sinusoids(positions, network.target_embedding.table.embedding_dim)
    spec.encoder.embeddings[0].weight = _array(network.source_embedding.table.weight)
    spec.decoder.embeddings.weight = _array(network.target_embedding.table.weight)
    spec.decoder.projection.weight = _array(network.output_weight)
    for side, norm in ((spec.encoder, network.encoder_norm), (spec.decoder, network.decoder_norm)):
        side.position_encodings.encodings = _array(table)
        if isinstance(norm, nn.LayerNorm):
            _put_norm(side.layer_norm, norm)
    for there, layer in zip(
        [*spec.encoder.layer, *spec.decoder.layer], [*network.encoder, *network.decoder], strict=True
    ):
        _put(there.self_attention, (layer.attention.project, layer.attention.output), layer.residuals[0].norm)
        if hasattr(layer, "cross"):
            cross = layer.cross
            _put(there.attention, (cross.query, cross.project, cross.output), layer.residuals[1].norm)
        for linear, ours in (
            (there.ffn.linear_0, layer.feed_forward.inner),
            (there.ffn.linear_1, layer.feed_forward.outer),
        ):
            _put_linear(linear, ours)
        _put_norm(there.ffn.layer_norm, layer.residuals[-1].norm)
    spec.register_source_vocabulary(tokenizer.source.vocabulary)
    spec.register_target_vocabulary(tokenizer.target.vocabulary)
    start, end, unknown = tokenizer.target.pieces([BOS, EOS, UNK])
    spec.config.bos_token = spec.config.decoder_start_token = start
    spec.config.eos_token, spec.config.unk_token = end, unknown
    spec.config.add_source_eos, spec.config.add_source_bos = True, False
    return spec


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
