"""What networks are built of (Vaswani et al. 2017): attention, feed-forward, residual wiring, sinusoidal positions."""

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.model.attention import attend
from beamtrain.model.dropout import Dropout
from beamtrain.model.slots import OpenSlots
from beamtrain.model.state import Past

NormPosition = Literal["pre", "post"]
Initialisation = Literal["xavier", "orthogonal"]


def check_width(width: int, heads: int) -> None:
    """Both networks split a vector by heads, and in two halves: sines and cosines, or two directions of reading.

    Raises:
        UserError: `width` is odd or no multiple of `heads`.
    """
    if width % 2 or width % heads:
        fitting = 2 * heads * max(1, round(width / (2 * heads)))
        raise UserError(f"width {width} must be even and a multiple of heads ({heads}); {fitting} would do")


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, D) -> (B, H, T, D/H)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, T, D/H) -> (B, T, D)"""
    return x.transpose(1, 2).flatten(2)


def initialise(network: nn.Module, kind: Initialisation) -> None:
    """Draw the weights of all linear maps; their biases are 0.

    "xavier": uniform, of a variance that keeps that of activations and gradients (Glorot and Bengio 2010).
    "orthogonal": a random matrix with orthonormal rows or columns, whichever are fewer (Saxe et al. 2014); the three
    maps to queries, keys and values are one such matrix together.

    Raises:
        UserError: another kind.
    """
    if kind not in get_args(Initialisation):
        raise UserError(f"initialisation is {kind!r}; it must be one of {', '.join(get_args(Initialisation))}")
    draw = nn.init.orthogonal_ if kind == "orthogonal" else nn.init.xavier_uniform_
    for module in network.modules():
        if isinstance(module, nn.Linear):
            draw(module.weight)
            nn.init.zeros_(module.bias)


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself, or of each beam to its own past."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.project = nn.Linear(width, 3 * width)  # queries, keys, values
        self.output = nn.Linear(width, width)

    def _split(self, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, 3 D) -> queries, keys and values, each (B, H, T, D/H)"""
        queries, keys, values = projected.chunk(3, dim=-1)
        return (
            split_heads(queries, self.heads),
            split_heads(keys, self.heads),
            split_heads(values, self.heads),
        )

    def forward(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """x (B, T, D); mask (B, 1, T or 1, T), True where a position may be attended to -> (B, T, D)"""
        queries, keys, values = self._split(self.project(x))
        dropout = self.dropout if self.training else 0.0
        mixed = attend(queries, keys, values, mask, dropout, causal)
        return self.output(merge_heads(mixed))

    def step(self, x: Tensor, past: Past, slots: OpenSlots) -> Tensor:
        """x (R, D), one position of each open slot, which `past` then holds too -> (R, D)"""
        projected = slots.unpack(self.project(x))  # (R, 3 D) -> (B, K, 3 D)
        queries, keys, values = self._split(projected)  # the K beams stand where a sequence's positions stood
        dropout = self.dropout if self.training else 0.0
        return self.output(slots.pack(merge_heads(past.attend(queries, keys, values, dropout))))


class CrossAttention(nn.Module):
    """Multi-head attention to the encoded source. The source is projected once, for all positions and beams."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.project = nn.Linear(width, 2 * width)  # keys, values
        self.output = nn.Linear(width, width)

    def source(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder states (B, S, D) -> keys and values, each (B, H, S, D/H)"""
        keys, values = self.project(states).chunk(2, dim=-1)
        return split_heads(keys, self.heads), split_heads(values, self.heads)

    def forward(self, x: Tensor, source: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """x (B, T, D), or (B, K, D) while searching; mask (B, 1, 1, S) -> the same shape as x"""
        return self.output(self._attend(self.query(x), source, mask))

    def step(self, x: Tensor, source: tuple[Tensor, Tensor], mask: Tensor, slots: OpenSlots) -> Tensor:
        """The same for the open slots only: (R, D) -> (R, D)"""
        queries = slots.unpack(self.query(x))  # (R, D) -> (B, K, D)
        return self.output(slots.pack(self._attend(queries, source, mask)))

    def _attend(self, queries: Tensor, source: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        dropout = self.dropout if self.training else 0.0
        return merge_heads(attend(split_heads(queries, self.heads), *source, mask, dropout))

    def weights(self, x: Tensor, source: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """The attention that `forward` uses, averaged over the heads: (B, T, S)"""
        queries, keys = split_heads(self.query(x), self.heads), source[0]
        logits = queries @ keys.transpose(2, 3) / math.sqrt(keys.size(-1))  # (B, H, T, S)
        return logits.masked_fill(~mask, -math.inf).softmax(-1).mean(1)


class FeedForward(nn.Module):
    """Two linear maps with a ReLU between them."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x).relu_())


class Residual(nn.Module):
    """Wires a sublayer f into the residual stream.

    pre-norm (Xiong et al. 2020): x + dropout(f(norm(x)));  post-norm (Vaswani et al. 2017): norm(x + dropout(f(x))).
    """

    def __init__(self, width: int, dropout: float, norm: NormPosition) -> None:
        super().__init__()
        self.pre, self.norm, self.dropout = norm == "pre", nn.LayerNorm(width), Dropout(dropout)

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """x (B, T, D) -> (B, T, D)"""
        if self.pre:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


def sinusoids(positions: int, width: int) -> Tensor:
    """Position vectors (positions, width): sin in the first half, cos in the second, wavelengths 2 pi to 20,000 pi."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))  # (D/2,)
    angles = torch.arange(positions).unsqueeze(1) * rates  # (positions, D/2)
    return torch.cat((angles.sin(), angles.cos()), dim=1)


class TokenEmbedding(nn.Module):
    """Token vectors scaled by sqrt(D), then dropout."""

    def __init__(self, vocab_size: int, width: int, dropout: float, padding: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, width, padding_idx=padding)
        nn.init.normal_(self.table.weight, std=width**-0.5)
        with torch.no_grad():
            self.table.weight[padding] = 0
        self.scale, self.dropout = math.sqrt(width), Dropout(dropout)

    def scaled(self, inputs: Tensor) -> Tensor:
        """Ids (...) or unscaled vectors (..., D) -> (..., D)"""
        return (inputs if inputs.is_floating_point() else self.table(inputs)) * self.scale

    def forward(self, inputs: Tensor) -> Tensor:
        """Ids (...) or unscaled vectors (..., D) -> (..., D)"""
        return self.dropout(self.scaled(inputs))


class Embedding(TokenEmbedding):
    """The same plus sinusoidal positions from 0, before the dropout."""

    def __init__(self, vocab_size: int, width: int, dropout: float, padding: int) -> None:
        super().__init__(vocab_size, width, dropout, padding)
        self._sinusoids = sinusoids(256, width)  # no buffer: it grows, and averaging wants buffers of one size

    def _positions(self, end: int) -> Tensor:
        weight = self.table.weight
        if end > self._sinusoids.size(0):  # any length can be asked for; the table follows
            self._sinusoids = sinusoids(2 * end, weight.size(1))
        self._sinusoids = self._sinusoids.to(weight)
        return self._sinusoids

    def forward(self, inputs: Tensor) -> Tensor:
        """Ids (B, T) or unscaled vectors (B, T, D), at positions 0 to T - 1 -> (B, T, D)"""
        T = inputs.size(1)
        return self.dropout(self.scaled(inputs) + self._positions(T)[:T])

    def tree(self, inputs: Tensor, depths: Tensor) -> Tensor:
        """Ids (B, N) or unscaled vectors (B, N, D), at positions (B, N), all below N -> (B, N, D)"""
        return self.dropout(self.scaled(inputs) + self._positions(inputs.size(1))[depths])

    def at(self, inputs: Tensor, position: int) -> Tensor:
        """Ids (B, K) or unscaled vectors (B, K, D), all at one position -> (B, K, D)"""
        return self.dropout(self.scaled(inputs) + self._positions(position + 1)[position])
