"""What networks are built of (Vaswani et al. 2017): attention, feed-forward, residual wiring."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn.functional import gelu, relu, silu

from beamtrain.base.errors import UserError
from beamtrain.model.attention import attend, masked_
from beamtrain.model.dropout import Dropout
from beamtrain.model.packing import Linear
from beamtrain.model.slots import OpenSlots
from beamtrain.model.state import Past

NormPosition = Literal["pre", "post"]
Activation = Literal["relu", "gelu", "gelu_tanh", "silu"]
"""The nonlinearity of the feed-forward layers: ReLU; x Phi(x) (Hendrycks and Gimpel 2016), or its approximation by
tanh; x sigmoid(x), which is Swish with beta = 1 (Ramachandran et al. 2017)."""

_FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": partial(relu, inplace=True),
    "gelu": gelu,
    "gelu_tanh": partial(gelu, approximate="tanh"),
    "silu": silu,
}
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
        self.project = Linear(width, 3 * width)  # queries, keys, values
        self.output = Linear(width, width)

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
        self.query = Linear(width, width)
        self.project = Linear(width, 2 * width)  # keys, values
        self.output = Linear(width, width)

    def source(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Encoder states (B, S, D) -> keys and values, each (B, H, S, D/H)"""
        keys, values = self.project(states).chunk(2, dim=-1)
        return split_heads(keys, self.heads), split_heads(values, self.heads)

    def forward(self, x: Tensor, source: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """x (B, T, D), or (B, K, D) while searching; mask (B, 1, 1, S) -> the same shape as x"""
        return self.output(self._attend(self.query(x), source, mask))

    def step(self, x: Tensor, source: tuple[Tensor, Tensor], mask: Tensor | None, slots: OpenSlots) -> Tensor:
        """The same for the open slots only: (R, D) -> (R, D)"""
        queries = slots.unpack(self.query(x))  # (R, D) -> (B, K, D)
        return self.output(slots.pack(self._attend(queries, source, mask)))

    def _attend(self, queries: Tensor, source: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        dropout = self.dropout if self.training else 0.0
        return merge_heads(attend(split_heads(queries, self.heads), *source, mask, dropout))

    def weights(self, x: Tensor, source: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """The attention that `forward` uses, averaged over the heads: (B, T, S)"""
        queries, keys = split_heads(self.query(x), self.heads), source[0]
        logits = queries @ keys.transpose(2, 3) / math.sqrt(keys.size(-1))  # (B, H, T, S)
        return masked_(logits, mask).softmax(-1).mean(1)


class FeedForward(nn.Module):
    """Two linear maps with a nonlinearity between them."""

    def __init__(self, width: int, inner: int, activation: Activation = "relu") -> None:
        super().__init__()
        self.inner, self.outer = Linear(width, inner), Linear(inner, width)
        self.activate = _FUNCTIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.activate(self.inner(x)))


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
