"""What tells a Transformer one position from another: sinusoids, which go on for ever, or a table that ends."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from beamtrain.base.errors import UserError

PositionKind = Literal["sinusoidal", "fixed", "learned"]
"""sinusoidal: `sinusoids`, for texts of any length. learned: a table that is trained. fixed: a table that is not, as
another model had it."""


def sinusoids(positions: int, width: int) -> Tensor:
    """Position vectors (positions, width): sin in the first half, cos in the second, wavelengths 2 pi to 20,000 pi."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))  # (D/2,)
    angles = torch.arange(positions).unsqueeze(1) * rates  # (positions, D/2)
    return torch.cat((angles.sin(), angles.cos()), dim=1)


class Sinusoids(nn.Module):
    """Sinusoidal positions from 0 (Vaswani et al. 2017, section 3.5, with the sines before the cosines)."""

    most: int | None = None  # positions: there is no end

    def __init__(self, width: int) -> None:
        super().__init__()
        self._table = sinusoids(256, width)  # no buffer: it grows, and averaging wants buffers of one size

    def up_to(self, end: int, like: Tensor) -> Tensor:
        """The vectors of the positions before `end`, and perhaps of more, of the type of `like`: (end, D)"""
        with torch.inference_mode(False):  # it outlives a search, and training reads it too
            if end > self._table.size(0):  # any length can be asked for; the table follows
                self._table = sinusoids(2 * end, self._table.size(1))
            self._table = self._table.to(like.device, like.dtype)
        return self._table


class PositionTable(nn.Module):
    """A vector for each of so many positions.

    Args:
        positions: rows of the table.
        first: the row of the first position; other models leave out the rows before it.
        trained: whether training changes it.
    """

    def __init__(self, positions: int, width: int, first: int, trained: bool) -> None:
        super().__init__()
        self._first, self.most = first, positions - first
        if trained:
            self.table = nn.Parameter(nn.init.normal_(torch.empty(positions, width), std=width**-0.5))
        else:
            self.register_buffer("table", sinusoids(positions, width))

    def up_to(self, end: int, like: Tensor) -> Tensor:
        """The vectors of the positions before `end`, and perhaps of more: (end, D)

        Raises:
            UserError: there are not so many.
        """
        if end > self.most:
            raise UserError(f"a text of {end:,} tokens, but the network has positions for {self.most:,} only")
        return self.table[self._first :]


def make_positions(kind: PositionKind, width: int, rows: int | None, first: int) -> Sinusoids | PositionTable:
    """Positions as `Transformer` takes them, checked."""
    return Sinusoids(width) if rows is None else PositionTable(rows, width, first, trained=kind == "learned")


def check_positions(kind: PositionKind, rows: int | None, first: int) -> None:
    """Check the settings of positions.

    Raises:
        UserError: a table without a size, a size without a table, or no position in it.
    """
    if (kind == "sinusoidal") != (rows is None):
        what = "have no table" if kind == "sinusoidal" else "need a table"
        raise UserError(f"positions are {kind} and position_rows is {rows}: such positions {what}")
    if not 0 <= first < (rows or 1):
        raise UserError(f"first_position is {first}; it must be a row of the table, 0 or more and below {rows or 1}")
