"""The names of weights in Hugging Face's library and in our Transformer, and the weights from one to the other.

Nothing is computed: matrices of queries, keys and values are laid together or taken apart, rows of vocabularies change
their order, and all else is the same tensor under another name. So there and back is the same to the last bit.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.renumbering import Renumbering
from beamtrain.interop.architectures import Architecture, Config, shares_vocabulary

Weights = Mapping[str, Tensor]
Names = Iterator[tuple[str, tuple[str, ...]]]
"""Our name of a tensor, and their names of what it is made of, one below the other."""


@dataclass(frozen=True)
class Vocabularies:
    """How the tokens of either side are numbered; one renumbering for both where they share their vocabulary."""

    source: Renumbering
    target: Renumbering


def to_ours(
    architecture: Architecture, config: Config, theirs: Weights, vocabularies: Vocabularies
) -> dict[str, Tensor]:
    """The state dict of our Transformer, from theirs.

    Raises:
        UserError: a tensor is missing, or the matrix of the logits is not that of the embedding.
    """

    def take(name: str) -> Tensor:
        if name not in theirs:
            raise UserError(f"the model lacks the weights {name}")
        return theirs[name].detach()

    ours = {name: torch.cat([take(each) for each in parts]) for name, parts in _layers(architecture, config)}
    source, target = _tables(config)
    if "lm_head.weight" in theirs and not torch.equal(theirs["lm_head.weight"], take(target)):
        raise UserError("the matrix of the logits is not the embedding's; here it is")
    ours["source_embedding.table.weight"] = vocabularies.source.rows_to_ours(take(source))
    ours["target_embedding.table.weight"] = vocabularies.target.rows_to_ours(take(target))
    if architecture.logits_bias:
        bias = theirs.get("final_logits_bias")
        bias = torch.zeros(1, vocabularies.target.size) if bias is None else bias.detach()
        ours["logits_bias"] = vocabularies.target.rows_to_ours(bias.squeeze(0))
    for name, their in _POSITIONS.items():
        if not architecture.saves_positions and their not in theirs:
            ours[name] = positions(architecture, config)
        else:
            ours[name] = take(their)
    return ours


def from_ours(
    architecture: Architecture, config: Config, ours: Weights, vocabularies: Vocabularies
) -> dict[str, Tensor]:
    """Their state dict, from our Transformer's, as they save it: without what is tied to something else in it."""
    theirs: dict[str, Tensor] = {}
    for name, parts in _layers(architecture, config):
        theirs.update(zip(parts, ours[name].detach().chunk(len(parts)), strict=True))
    source, target = _tables(config)
    theirs[source] = vocabularies.source.rows_to_theirs(ours["source_embedding.table.weight"].detach())
    theirs[target] = vocabularies.target.rows_to_theirs(ours["target_embedding.table.weight"].detach())
    if architecture.logits_bias:
        theirs["final_logits_bias"] = vocabularies.target.rows_to_theirs(ours["logits_bias"].detach()).unsqueeze(0)
    for name, their in _POSITIONS.items():
        table = ours[name].detach()
        if architecture.saves_positions or not torch.equal(table, positions(architecture, config)):
            theirs[their] = table
    return {name: tensor.contiguous() for name, tensor in theirs.items()}


def positions(architecture: Architecture, config: Config) -> Tensor:
    """The table of positions that follows from the settings, where theirs is not in their files: sines, then cosines.

    Marian's and Pegasus' is that of Vaswani et al. 2017, computed in double precision. M2M100's is tensor2tensor's, in
    single precision: of D/2 wavelengths the last is 20,000 pi, and the row of PAD is 0.
    """
    rows, D = config["max_position_embeddings"] + architecture.position_offset, config["d_model"]
    if architecture.model_type != "m2m_100":
        rates = 10_000 ** (-torch.arange(0, D, 2, dtype=torch.float64) / D)
        angles = torch.arange(rows, dtype=torch.float64).unsqueeze(1) * rates  # (rows, D/2)
        return torch.cat((angles.sin(), angles.cos()), dim=1).float()
    rates = torch.exp(torch.arange(D // 2).float() * -(math.log(10_000) / (D // 2 - 1)))
    angles = torch.arange(rows).float().unsqueeze(1) * rates
    table = torch.cat((angles.sin(), angles.cos()), dim=1)
    table[config["pad_token_id"]] = 0
    return table


_POSITIONS = {
    "source_embedding.positions.table": "model.encoder.embed_positions.weight",
    "target_embedding.positions.table": "model.decoder.embed_positions.weight",
}


def _tables(config: Config) -> tuple[str, str]:
    """Their names of the token vectors of source and target."""
    if shares_vocabulary(config):
        return "model.shared.weight", "model.shared.weight"
    return "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"


def _layers(architecture: Architecture, config: Config) -> Names:
    for layer in range(config["encoder_layers"]):
        ours, theirs = f"encoder.{layer}", f"model.encoder.layers.{layer}"
        yield from _self_attention(ours, theirs)
        yield from _feed_forward(ours, theirs, residual=1)
    for layer in range(config["decoder_layers"]):
        ours, theirs = f"decoder.{layer}", f"model.decoder.layers.{layer}"
        yield from _self_attention(ours, theirs)
        yield from _both(f"{ours}.cross.query", f"{theirs}.encoder_attn.q_proj")
        yield from _both(f"{ours}.cross.project", *(f"{theirs}.encoder_attn.{each}_proj" for each in "kv"))
        yield from _both(f"{ours}.cross.output", f"{theirs}.encoder_attn.out_proj")
        yield from _both(f"{ours}.residuals.1.norm", f"{theirs}.encoder_attn_layer_norm")
        yield from _feed_forward(ours, theirs, residual=2)
    for side, theirs in (("source", "model.encoder"), ("target", "model.decoder")):
        if architecture.embedding_norm:
            yield from _both(f"{side}_embedding.norm", f"{theirs}.layernorm_embedding")
        if architecture.norm == "pre":
            yield from _both(f"{theirs.removeprefix('model.')}_norm", f"{theirs}.layer_norm")


def _self_attention(ours: str, theirs: str) -> Names:
    yield from _both(f"{ours}.attention.project", *(f"{theirs}.self_attn.{each}_proj" for each in "qkv"))
    yield from _both(f"{ours}.attention.output", f"{theirs}.self_attn.out_proj")
    yield from _both(f"{ours}.residuals.0.norm", f"{theirs}.self_attn_layer_norm")


def _feed_forward(ours: str, theirs: str, residual: int) -> Names:
    yield from _both(f"{ours}.feed_forward.inner", f"{theirs}.fc1")
    yield from _both(f"{ours}.feed_forward.outer", f"{theirs}.fc2")
    yield from _both(f"{ours}.residuals.{residual}.norm", f"{theirs}.final_layer_norm")


def _both(ours: str, *theirs: str) -> Names:
    for kind in ("weight", "bias"):
        yield f"{ours}.{kind}", tuple(f"{each}.{kind}" for each in theirs)
