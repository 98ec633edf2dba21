"""A run that was trained here as a folder that `transformers` loads by itself: weights, settings, tokenizer.

A pre-norm Transformer is Pegasus, a post-norm one Marian; both have our layout of positions, whose table is written out
to the last bit. The tokenizer is `MarianTokenizer`, which runs the same SentencePiece models as we do and so gives the
same subwords for any text, except that it takes `>>code<<` at a line's start for a language.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.base.extras import require
from beamtrain.base.inference_sizes import MAX_SOURCE_TOKENS
from beamtrain.data.renumbering import Renumbering
from beamtrain.data.tokenizer import BOS, EOS, PAD, UNK, SubwordModel, Tokenizer
from beamtrain.interop.architectures import ACTIVATIONS, ARCHITECTURES, Architecture, Config
from beamtrain.interop.weights import Vocabularies, from_ours
from beamtrain.model.transformer import Transformer
from beamtrain.runs.loading import Run
from beamtrain.runs.weights import write_tensors
from beamtrain.search.options import SearchOptions

LONGEST = 4096  # positions of the table that is written, at most
TYPICAL_LENGTH = 15  # tokens
PURPOSE = "exporting to Hugging Face"


def write_huggingface(run: Run, search: SearchOptions, folder: Path) -> None:
    """Write the run into the empty `folder`; `search` is what `generate` does there unless told otherwise.

    Raises:
        UserError: the network is none of theirs, or transformers is not installed.
    """
    require("transformers", "hf", PURPOSE)
    network = _exportable(run.network)
    rows = positions(network, search)
    write_network(network, rows, folder)
    _generation_config(search, rows).save_pretrained(folder)
    _write_tokenizer(run, folder)


def write_network(network: Transformer, rows: int, folder: Path) -> None:
    """Write config.json and the weights, with so many positions.

    Raises:
        UserError: the network is none of theirs.
    """
    architecture, settings = _settings(network, rows)
    config = require("transformers", "hf", PURPOSE).AutoConfig.for_model(architecture.model_type, **settings)
    config.architectures = [architecture.model_class]
    config.save_pretrained(folder)
    weights = _weights(network, architecture, config.to_dict(), rows)
    write_tensors(folder / "model.safetensors", weights, {"format": "pt"})


def positions(network: Transformer, search: SearchOptions) -> int:
    """How many positions the longest source and its translation may have."""
    source = MAX_SOURCE_TOKENS + 1
    target = int(source * search.max_length_ratio) + search.max_length_offset
    target = target if search.max_length is None else min(target, search.max_length)
    return min(network.max_positions or LONGEST, max(source, target) + 1)


def _exportable(network: nn.Module) -> Transformer:
    if not isinstance(network, Transformer):
        raise UserError(f"{type(network).__name__} has no counterpart in transformers; only a Transformer can go there")
    if isinstance(network.target_embedding.norm, nn.LayerNorm):
        raise UserError("embedding_norm: no architecture of transformers with our start of a sentence has such a norm")
    plain = torch.arange(max(BOS, EOS) + 1)
    for embedding in (network.source_embedding, network.target_embedding):
        if not torch.equal(embedding.vectors(plain), embedding.table(plain)) or network.first_token is not None:
            raise UserError("start_token, source_end and first_token: only what was imported can go back with them")
    return network


def _settings(network: Transformer, rows: int) -> tuple[Architecture, dict[str, Any]]:
    """The architecture that the network is, and its config."""
    shape = network.shape
    shared = network.source_embedding.table is network.target_embedding.table
    settings: dict[str, Any] = {
        "vocab_size": network.source_embedding.table.num_embeddings,
        "d_model": shape.width,
        "encoder_layers": len(network.encoder),
        "decoder_layers": len(network.decoder),
        "encoder_attention_heads": shape.heads,
        "decoder_attention_heads": shape.heads,
        "encoder_ffn_dim": shape.inner_width,
        "decoder_ffn_dim": shape.inner_width,
        "activation_function": next(their for their, our in ACTIVATIONS.items() if our == shape.activation),
        "scale_embedding": network.target_embedding.scale != 1,
        "max_position_embeddings": rows,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "decoder_start_token_id": BOS,
        "forced_eos_token_id": None,
    }
    if shape.norm == "pre":
        if not shared:
            raise UserError(
                "no pre-norm architecture of transformers has a vocabulary for each side; train with data.joint true, "
                "or export with --to ctranslate2"
            )
        return ARCHITECTURES["pegasus"], settings
    apart = {"decoder_vocab_size": network.vocab_size, "share_encoder_decoder_embeddings": shared}
    return ARCHITECTURES["marian"], settings | apart


@dataclass(frozen=True)
class _SameNumbers(Renumbering):
    """Their ids are ours, BOS included."""

    def rows_to_theirs(self, rows: Tensor) -> Tensor:
        return rows


def _weights(network: Transformer, architecture: Architecture, config: Config, rows: int) -> dict[str, Tensor]:
    """The weights under their names, with so many rows of positions, and each in memory of its own."""
    ours = dict(network.state_dict())
    ours.setdefault("logits_bias", torch.zeros(network.vocab_size))
    for side in ("source", "target"):
        table = getattr(network, f"{side}_embedding").positions.up_to(rows, like=network.output_weight)
        ours[f"{side}_embedding.positions.table"] = table[:rows]
    source, target = (
        _SameNumbers(embedding.table.num_embeddings, PAD, EOS, UNK)
        for embedding in (network.source_embedding, network.target_embedding)
    )
    weights = from_ours(architecture, config, ours, Vocabularies(source, target))
    return {name: tensor.clone() for name, tensor in weights.items()}


def _generation_config(search: SearchOptions, rows: int) -> Any:
    """What makes `generate` search as we do, as far as it can: see `exporting`."""
    transformers = require("transformers", "hf", PURPOSE)
    alone = search.beam_size == 1
    return transformers.GenerationConfig(
        num_beams=search.beam_size,
        length_penalty=None if alone else average_alpha(search),
        early_stopping=None if alone else False,
        max_length=rows,
        min_new_tokens=search.min_length - 1 if search.min_length > 1 else None,
        no_repeat_ngram_size=search.no_repeat_ngram or None,
        suppress_tokens=[PAD, BOS],
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        decoder_start_token_id=BOS,
        forced_eos_token_id=EOS,
    )


def average_alpha(search: SearchOptions) -> float:
    """The exponent of the penalty n^alpha that is, or is most like, ours.

    gnmt's, ((5 + n) / 6)^alpha, grows with n by alpha / (5 + n), and n^a by a / n: alike for n = `TYPICAL_LENGTH`.
    """
    gnmt = TYPICAL_LENGTH / (5 + TYPICAL_LENGTH) * search.alpha
    return {"none": 0.0, "average": search.alpha, "gnmt": gnmt}[search.length_penalty]


def _write_tokenizer(run: Run, folder: Path) -> None:
    """The files of a MarianTokenizer with our ids, that never takes a special token's name in a text for the token."""
    tokenizer: Tokenizer = run.tokenizer
    for side, model in (("source", tokenizer.source), ("target", tokenizer.target)):
        assert isinstance(model, SubwordModel)
        model.save(folder / f"{side}.spm")
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
