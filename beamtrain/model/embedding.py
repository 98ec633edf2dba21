"""From tokens to what the first layer reads."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from beamtrain.data.tokenizer import PAD
from beamtrain.model.dropout import Dropout
from beamtrain.model.positions import PositionTable, Sinusoids


def token_table(vocab_size: int, width: int) -> nn.Embedding:
    """A random vector for each token; that of PAD is 0, and no input changes it."""
    table = nn.Embedding(vocab_size, width, padding_idx=PAD)
    nn.init.normal_(table.weight, std=width**-0.5)
    with torch.no_grad():
        table.weight[PAD] = 0
    return table


class TokenEmbedding(nn.Module):
    """Token vectors scaled by sqrt(D), unless told not to, then dropout.

    Args:
        table: their vectors before that.
        reads: tokens that read another one's row, and which.
    """

    def __init__(
        self, table: nn.Embedding, dropout: float, scaled: bool = True, reads: Mapping[int, int] | None = None
    ) -> None:
        super().__init__()
        self.table, self.dropout = table, Dropout(dropout)
        self.scale = math.sqrt(table.embedding_dim) if scaled else 1.0
        self._reads = {token: row for token, row in (reads or {}).items() if token != row}

    def vectors(self, tokens: Tensor) -> Tensor:
        """Rows of the table, unscaled: ids (...) -> (..., D)"""
        rows = tokens
        for token, row in self._reads.items():
            rows = torch.where(tokens == token, row, rows)
        return self.table(rows)

    def scaled(self, inputs: Tensor) -> Tensor:
        """Ids (...) or unscaled vectors (..., D) -> (..., D)"""
        return (inputs if inputs.is_floating_point() else self.vectors(inputs)) * self.scale

    def forward(self, inputs: Tensor) -> Tensor:
        """Ids (...) or unscaled vectors (..., D) -> (..., D)"""
        return self.dropout(self.scaled(inputs))


class Embedding(TokenEmbedding):
    """The same plus the vectors of the positions, and a norm of the sum if there is one, before the dropout."""

    def __init__(
        self,
        table: nn.Embedding,
        dropout: float,
        positions: Sinusoids | PositionTable,
        *,
        scaled: bool = True,
        normalised: bool = False,
        reads: Mapping[int, int] | None = None,
    ) -> None:
        super().__init__(table, dropout, scaled, reads)
        self.positions = positions
        self.norm = nn.LayerNorm(table.embedding_dim) if normalised else nn.Identity()

    def _placed(self, inputs: Tensor, positions: Tensor) -> Tensor:
        return self.dropout(self.norm(self.scaled(inputs) + positions))

    def _positions(self, end: int) -> Tensor:
        return self.positions.up_to(end, like=self.table.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Ids (B, T) or unscaled vectors (B, T, D), at positions 0 to T - 1 -> (B, T, D)"""
        T = inputs.size(1)
        return self._placed(inputs, self._positions(T)[:T])

    def tree(self, inputs: Tensor, depths: Tensor) -> Tensor:
        """Ids (B, N) or unscaled vectors (B, N, D), at positions (B, N), all below N -> (B, N, D)"""
        return self._placed(inputs, self._positions(min(inputs.size(1), self.positions.most or inputs.size(1)))[depths])

    def at(self, inputs: Tensor, position: int) -> Tensor:
        """Ids (B, K) or unscaled vectors (B, K, D), all at one position -> (B, K, D)"""
        return self._placed(inputs, self._positions(position + 1)[position])
