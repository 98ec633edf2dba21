"""The Transformer (Vaswani et al. 2017), in a layout that other engines hold as it is.

Pre-norm with ReLU, sqrt(D)-scaled tied embeddings and [sin | cos] positions from 0 is exactly Hugging Face's Pegasus
and CTranslate2's `TransformerSpec(pre_norm=True)`; post-norm is the layout of the original paper. The other choices are
those of Marian, M2M100, BART and mBART, whose weights it takes as they are: see `interop`.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.embedding import Embedding, token_table
from beamtrain.model.layers import (
    Activation,
    CrossAttention,
    FeedForward,
    Initialisation,
    NormPosition,
    Residual,
    SelfAttention,
    check_width,
    initialise,
)
from beamtrain.model.positions import PositionKind, check_positions, make_positions
from beamtrain.model.slots import OpenSlots
from beamtrain.model.state import DecoderState, LayerCache, TransformerState


class LayerShape(NamedTuple):
    """What all layers have in common; see `Transformer`."""

    width: int
    inner_width: int
    heads: int
    activation: Activation
    norm: NormPosition
    dropout: float
    attention_dropout: float


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        D, inner, heads, activation, norm, dropout, attention_dropout = shape
        self.attention = SelfAttention(D, heads, attention_dropout)
        self.feed_forward = FeedForward(D, inner, activation)
        self.residuals = nn.ModuleList(Residual(D, dropout, norm) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, S, D), mask (B, 1, 1, S) -> (B, S, D)"""
        around_attention, around_feed_forward = self.residuals
        x = around_attention(x, lambda y: self.attention(y, mask))
        return around_feed_forward(x, self.feed_forward)


class DecoderLayer(nn.Module):
    """Self-attention to the past, attention to the source, then feed-forward."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        D, inner, heads, activation, norm, dropout, attention_dropout = shape
        self.attention = SelfAttention(D, heads, attention_dropout)
        self.cross = CrossAttention(D, heads, attention_dropout)
        self.feed_forward = FeedForward(D, inner, activation)
        self.residuals = nn.ModuleList(Residual(D, dropout, norm) for _ in range(3))

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """All positions at once, each of which sees its past: x (B, T, D) -> (B, T, D)"""
        around_attention, around_cross, around_feed_forward = self.residuals
        source, mask = self.cross.source(memory.states), memory.mask[:, None, None, :]
        x = around_attention(x, lambda y: self.attention(y, causal=True))
        x = around_cross(x, lambda y: self.cross(y, source, mask))
        return around_feed_forward(x, self.feed_forward)

    def step(self, x: Tensor, cache: LayerCache, state: TransformerState, slots: OpenSlots) -> Tensor:
        """The open slots of one position, or of all in a tree: x (R, D) -> (R, D)"""
        around_attention, around_cross, around_feed_forward = self.residuals
        x = around_attention(x, lambda y: self.attention.step(y, cache.past, slots))
        x = around_cross(x, lambda y: self._look(y, cache.source, state, slots))
        return around_feed_forward(x, self.feed_forward)

    def _look(self, x: Tensor, source: tuple[Tensor, Tensor], state: TransformerState, slots: OpenSlots) -> Tensor:
        if state.record_attention:  # every layer records, and the last one stays
            state.attention = self.cross.weights(slots.unpack(x), source, state.source_mask)
        return self.cross.step(x, source, state.source_mask, slots)


def check_tokens(tokens: Mapping[str, int | None], sizes: Mapping[str, int]) -> None:
    """Raises UserError for a token that a vocabulary of that size has not, by the name of its setting."""
    for name, token in tokens.items():
        if token is not None and not 0 <= token < sizes[name]:
            raise UserError(f"{name} is {token}; it must be a token of the vocabulary, from 0 to {sizes[name] - 1:,}")


class Transformer(Seq2Seq):
    """An encoder-decoder Transformer.

    Args:
        vocab_size: V, the number of subwords of the target side.
        source_vocab_size: subwords of the source side; None when both sides share one vocabulary, and then one
            embedding table.
        width: D, the size of a token's vector. Even, and a multiple of `heads`.
        inner_width: the hidden size of the feed-forward layers.
        heads: attention heads of every layer.
        encoder_layers: layers of the encoder.
        decoder_layers: layers of the decoder.
        dropout: the probability that an entry of an embedding or of a sublayer's output is dropped.
        attention_dropout: the probability that an attention weight is dropped.
        norm: where a layer is normalised: "pre" (steadier) or "post" (the original paper).
        activation: the nonlinearity of the feed-forward layers, see `layers.Activation`.
        positions: "sinusoidal", for texts of any length, or a table of either side, "learned" or "fixed".
        position_rows: rows of such a table.
        first_position: the row of the first position; those before it are never read.
        embedding_scale: whether token vectors are multiplied by sqrt(D) before positions are added.
        embedding_norm: whether their sum is normalised, before the dropout.
        logits_bias: whether a bias is added to the logits: a buffer, which training leaves alone.
        start_token: the token whose vector a target's decoding starts from. If it is not BOS, BOS has no vector of its
            own, and is never said.
        source_end: the token that EOS stands for in a source, where that token stands for EOS.
        first_token: the only one that a target may begin with, such as the code of its language.
        initialisation: of the linear maps, "xavier" or "orthogonal"; see `layers.initialise`.

    Raises:
        UserError: `width` is odd or no multiple of `heads`; `position_rows` is not given for a table, or for none; a
            token is none of the vocabulary; or an initialisation that there is not.
    """

    def __init__(
        self,
        vocab_size: int,
        source_vocab_size: int | None = None,
        width: int = 512,
        inner_width: int = 2048,
        heads: int = 8,
        encoder_layers: int = 6,
        decoder_layers: int = 6,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        norm: NormPosition = "pre",
        activation: Activation = "relu",
        positions: PositionKind = "sinusoidal",
        position_rows: int | None = None,
        first_position: int = 0,
        embedding_scale: bool = True,
        embedding_norm: bool = False,
        logits_bias: bool = False,
        start_token: int = BOS,
        source_end: int = EOS,
        first_token: int | None = None,
        initialisation: Initialisation = "xavier",
    ) -> None:
        super().__init__()
        check_width(width, heads)
        check_positions(positions, position_rows, first_position)
        sizes = {"start_token": vocab_size, "first_token": vocab_size, "source_end": source_vocab_size or vocab_size}
        check_tokens({"start_token": start_token, "first_token": first_token, "source_end": source_end}, sizes)
        self.vocab_size, self.first_token = vocab_size, first_token
        self.max_positions = None if position_rows is None else position_rows - first_position
        target_table = token_table(vocab_size, width)
        source_table = target_table if source_vocab_size is None else token_table(source_vocab_size, width)

        def embedding(table: nn.Embedding, reads: dict[int, int]) -> Embedding:
            where = make_positions(positions, width, position_rows, first_position)
            return Embedding(table, dropout, where, scaled=embedding_scale, normalised=embedding_norm, reads=reads)

        self.target_embedding = embedding(target_table, {BOS: start_token})
        self.source_embedding = embedding(source_table, {EOS: source_end, source_end: EOS})
        self.unsaid = () if start_token == BOS else (BOS,)
        self.logits_bias: Tensor | None
        self.register_buffer("logits_bias", torch.zeros(vocab_size) if logits_bias else None)
        self.shape = shape = LayerShape(width, inner_width, heads, activation, norm, dropout, attention_dropout)
        self.encoder = nn.ModuleList(EncoderLayer(shape) for _ in range(encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(shape) for _ in range(decoder_layers))
        self.encoder_norm = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        self.decoder_norm = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        initialise(self, initialisation)

    def encode(self, source: Tensor) -> Memory:
        mask = source != PAD  # (B, S)
        x = self.source_embedding(source)  # (B, S) -> (B, S, D)
        for layer in self.encoder:
            x = layer(x, mask[:, None, None, :])
        return Memory(self.encoder_norm(x), mask)

    def decode(self, memory: Memory, target_in: Tensor) -> Tensor:
        x = self.target_embedding(target_in)  # (B, T) -> (B, T, D)
        for layer in self._decoder_layers:
            x = layer(x, memory)
        return self.decoder_norm(x)

    def decode_tree(self, memory: Memory, inputs: Tensor, depths: Tensor, visible: Tensor) -> Tensor:
        """Decoder outputs (B, N, D) for N prefixes of each sentence, all at once.

        A prefix ends in its token at its position (B, N), from 0, and `visible` (B, N, N) says which prefixes are its
        past, itself included. `inputs` are the tokens (B, N), or their vectors (B, N, D), as for `step`: what has ended
        by its token holds anything.
        """
        slots = OpenSlots(inputs)
        x = slots.pack(self.target_embedding.tree(inputs, depths))  # (B, N) -> (B, N, D) -> (R, D)
        state = TransformerState.tree(self._project(memory), memory.mask, visible)
        for layer, cache in zip(self._decoder_layers, state.layers, strict=True):
            x = layer.step(x, cache, state, slots)
        return slots.unpack(self.decoder_norm(x))  # (R, D) -> (B, N, D)

    @property
    def output_weight(self) -> Tensor:
        """(V, D), the target embedding's (Press and Wolf 2017)."""
        return self.target_embedding.table.weight

    @property
    def output_bias(self) -> Tensor | None:
        """(V,), that of the logits, and -inf for what is never said."""
        if not self.unsaid:
            return self.logits_bias
        bias = (
            self.output_weight.detach().new_zeros(self.vocab_size)
            if self.logits_bias is None
            else self.logits_bias.clone()
        )
        for token in self.unsaid:
            bias[token] = -math.inf
        return bias

    def embed(self, tokens: Tensor) -> Tensor:
        return self.target_embedding.vectors(tokens)  # (...) -> (..., D)

    def start(self, memory: Memory, beams: int) -> TransformerState:
        return TransformerState.hard(self._project(memory), memory.mask, beams)

    def start_soft(self, memory: Memory, beams: int) -> TransformerState:
        return TransformerState.soft(self._project(memory), memory.mask, beams)

    def _project(self, memory: Memory) -> list[tuple[Tensor, Tensor]]:
        return [layer.cross.source(memory.states) for layer in self._decoder_layers]

    def step(self, inputs: Tensor, state: DecoderState) -> Tensor:
        assert isinstance(state, TransformerState)
        slots = OpenSlots(inputs)
        x = self.target_embedding.at(slots.pack(inputs), state.length)  # (B, K) -> (R,) -> (R, D)
        state.length += 1
        state.ancestry.extend()
        for layer, cache in zip(self._decoder_layers, state.layers, strict=True):
            x = layer.step(x, cache, state, slots)
        return slots.unpack(self.decoder_norm(x))  # (R, D) -> (B, K, D)

    @property
    def _decoder_layers(self) -> list[DecoderLayer]:
        return cast(list[DecoderLayer], list(self.decoder))
