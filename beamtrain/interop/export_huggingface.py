"""A run as a folder that `transformers` loads by itself: weights, settings of `generate`, tokenizer.

A Transformer that was trained here is Pegasus if it is pre-norm and Marian if it is post-norm, with ReLU; both have our
layout of positions, whose table is written out to the last bit. The tokenizer is `MarianTokenizer`, which runs the same
SentencePiece models as we do and so gives the same subwords for any text, except that it takes `>>code<<` at a line's
start for a language.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.base.extras import require
from beamtrain.base.limits import MAX_SOURCE_TOKENS
from beamtrain.data.tokenizer import BOS, EOS, PAD, UNK, Tokenizer
from beamtrain.model.layers import sinusoids
from beamtrain.model.transformer import Transformer
from beamtrain.runs.loading import Run
from beamtrain.search.options import SearchOptions

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LONGEST = 4096  # positions of the table that is written, at most


def write_huggingface(run: Run, search: SearchOptions, folder: Path) -> None:
    """Write the run into the empty `folder`; `search` is what `generate` does there unless told otherwise.

    Raises:
        UserError: the network is none of theirs, or transformers is not installed.
    """
    model = huggingface_model(run.network, positions(search))
    model.generation_config = _generation_config(search)
    model.save_pretrained(folder)
    _write_tokenizer(run, folder)


def positions(search: SearchOptions) -> int:
    """How many positions the longest source and its translation may have."""
    source = MAX_SOURCE_TOKENS + 1
    target = int(source * search.max_length_ratio) + search.max_length_offset
    target = target if search.max_length is None else min(target, search.max_length)
    return min(LONGEST, max(source, target) + 1)


def huggingface_model(network: nn.Module, positions: int) -> "PreTrainedModel":
    """The same function in Hugging Face's code, for up to `positions` tokens.

    Raises:
        UserError: the network is none of theirs, or transformers is not installed.
    """
    if not isinstance(network, Transformer):
        raise UserError(f"{type(network).__name__} has no counterpart in transformers; only a Transformer can go there")
    transformers = require("transformers", "hf", "exporting to Hugging Face")
    first = network.encoder[0] if len(network.encoder) else network.decoder[0]
    pre_norm, shared = first.residuals[0].pre, network.source_embedding is network.target_embedding
    if pre_norm and not shared:
        raise UserError(
            "no pre-norm architecture of transformers has a vocabulary for each side; train with data.joint true, or "
            "export with --to ctranslate2"
        )
    settings: dict[str, Any] = {
        "vocab_size": network.source_embedding.table.num_embeddings,
        "d_model": network.target_embedding.table.embedding_dim,
        "encoder_layers": len(network.encoder),
        "decoder_layers": len(network.decoder),
        "encoder_attention_heads": first.attention.heads,
        "decoder_attention_heads": first.attention.heads,
        "encoder_ffn_dim": first.feed_forward.inner.out_features,
        "decoder_ffn_dim": first.feed_forward.inner.out_features,
        "activation_function": "relu",
        "scale_embedding": True,
        "max_position_embeddings": positions,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "decoder_start_token_id": BOS,
        "forced_eos_token_id": None,
    }
    if pre_norm:
        model = transformers.PegasusForConditionalGeneration(transformers.PegasusConfig(**settings))
    else:
        settings |= {"decoder_vocab_size": network.vocab_size, "share_encoder_decoder_embeddings": shared}
        model = transformers.MarianMTModel(transformers.MarianConfig(**settings))
    weights = _weights(network, positions)
    _load(model, weights)
    return model.eval()


def _load(model: "PreTrainedModel", weights: dict[str, Tensor]) -> None:
    """Put the weights into the model, every one of its tensors but those that it ties to another."""
    state = model.state_dict()
    strange, missing = weights.keys() - state.keys(), state.keys() - weights.keys()
    assert not strange and missing <= {"final_logits_bias"}, (strange, missing)
    with torch.no_grad():
        for name, tensor in weights.items():
            state[name].copy_(tensor)


def _weights(network: Transformer, positions: int) -> dict[str, Tensor]:
    """Our weights under Hugging Face's names."""
    source, target = network.source_embedding.table.weight, network.target_embedding.table.weight
    table = sinusoids(positions, target.size(1))
    weights = {"model.encoder.embed_tokens.weight": source, "model.decoder.embed_tokens.weight": target}
    weights |= {f"model.{side}.embed_positions.weight": table for side in ("encoder", "decoder")}
    weights["lm_head.weight"] = target
    if source is target:
        weights["model.shared.weight"] = target

    def put(name: str, module: nn.Module) -> None:
        weights.update({f"{name}.{part}": tensor for part, tensor in module.named_parameters()})

    def put_split(names: list[str], module: nn.Linear) -> None:
        parts = zip(names, module.weight.chunk(len(names)), module.bias.chunk(len(names)), strict=True)
        for name, weight, bias in parts:
            weights.update({f"{name}.weight": weight, f"{name}.bias": bias})

    for side, layers, norm in (
        ("encoder", network.encoder, network.encoder_norm),
        ("decoder", network.decoder, network.decoder_norm),
    ):
        put(f"model.{side}.layer_norm", norm)
        for number, layer in enumerate(layers):
            at = f"model.{side}.layers.{number}"
            put_split([f"{at}.self_attn.{part}_proj" for part in "qkv"], layer.attention.project)
            put(f"{at}.self_attn.out_proj", layer.attention.output)
            put(f"{at}.self_attn_layer_norm", layer.residuals[0].norm)
            if side == "decoder":
                put(f"{at}.encoder_attn.q_proj", layer.cross.query)
                put_split([f"{at}.encoder_attn.{part}_proj" for part in "kv"], layer.cross.project)
                put(f"{at}.encoder_attn.out_proj", layer.cross.output)
                put(f"{at}.encoder_attn_layer_norm", layer.residuals[1].norm)
            put(f"{at}.fc1", layer.feed_forward.inner)
            put(f"{at}.fc2", layer.feed_forward.outer)
            put(f"{at}.final_layer_norm", layer.residuals[-1].norm)
    return weights


def _generation_config(search: SearchOptions) -> Any:
    """What makes `generate` search as we do, as far as it can: see `unlike`."""
    transformers = require("transformers", "hf", "exporting to Hugging Face")
    alone = search.beam_size == 1
    return transformers.GenerationConfig(
        num_beams=search.beam_size,
        length_penalty=None if alone else 0.0 if search.length_penalty == "none" else search.alpha,
        early_stopping=None if alone else False,
        max_length=positions(search),
        min_new_tokens=search.min_length - 1 if search.min_length > 1 else None,
        no_repeat_ngram_size=search.no_repeat_ngram or None,
        suppress_tokens=[PAD, BOS],
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        decoder_start_token_id=BOS,
        forced_eos_token_id=EOS,
    )


def _write_tokenizer(run: Run, folder: Path) -> None:
    """The files of a MarianTokenizer with our ids, that never takes a special token's name in a text for the token."""
    tokenizer: Tokenizer = run.tokenizer
    tokenizer.source.save(folder / "source.spm")
    tokenizer.target.save(folder / "target.spm")
    files: dict[str, Any] = {"vocab.json": _ids(tokenizer.source.vocabulary)}
    if not tokenizer.joint:
        files["target_vocab.json"] = _ids(tokenizer.target.vocabulary)
    names = tokenizer.target.pieces([PAD, BOS, EOS, UNK])
    files["tokenizer_config.json"] = {
        "tokenizer_class": "MarianTokenizer",
        **dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), names, strict=True)),
        "source_lang": run.description.source_lang,
        "target_lang": run.description.target_lang,
        "separate_vocabs": not tokenizer.joint,
        "model_max_length": MAX_SOURCE_TOKENS + 1,
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _ids(vocabulary: list[str]) -> dict[str, int]:
    return {piece: index for index, piece in enumerate(vocabulary)}
