"""Another model's token ids in our order, where PAD, EOS and UNK are the first, as the search expects."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS, EOS, PAD, UNK


@dataclass(frozen=True)
class Renumbering:
    """A bijection between the ids of a vocabulary of `size` tokens and ours, which has one more.

    Other models begin a target with PAD or EOS, or with the code of a language. Here BOS is an id of its own, which
    theirs have not; the network gives it the vector of what they begin with (`Transformer`'s `start_token`).
    Whatever is no special token keeps its order.
    """

    size: int
    """Tokens of their vocabulary."""
    pad: int
    """Their id of PAD."""
    eos: int
    unk: int | None = None
    """None where their vocabulary can spell everything; the id UNK then is that of some token."""

    def __post_init__(self) -> None:
        special = [each for each in (self.pad, self.eos, self.unk) if each is not None]
        if len({*special}) < len(special) or not all(0 <= each < self.size for each in special):
            raise UserError(
                f"pad, eos and unk have the ids {self.pad}, {self.eos} and {self.unk}; they must differ and be tokens "
                f"of a vocabulary of {self.size:,}"
            )

    @cached_property
    def theirs(self) -> list[int]:
        """Their id of each of our tokens; PAD's for BOS."""
        special = {PAD: self.pad, BOS: self.pad, EOS: self.eos}
        if self.unk is not None:
            special[UNK] = self.unk
        others = (each for each in range(self.size) if each not in special.values())
        return [special[ours] if ours in special else next(others) for ours in range(self.size + 1)]

    @cached_property
    def ours(self) -> list[int]:
        """Our id of each of their tokens."""
        found = [0] * self.size
        for ours, theirs in enumerate(self.theirs):
            if ours != BOS:
                found[theirs] = ours
        return found

    def to_ours(self, ids: Iterable[int]) -> list[int]:
        return [self.ours[each] for each in ids]

    def to_theirs(self, ids: Iterable[int]) -> list[int]:
        return [self.theirs[each] for each in ids]

    def rows_to_ours(self, rows: Tensor) -> Tensor:
        """What they have for each token (size, ...), in our order, with 0 for BOS: (size + 1, ...)"""
        moved = rows[torch.tensor(self.theirs)]
        moved[BOS] = 0
        return moved

    def rows_to_theirs(self, rows: Tensor) -> Tensor:
        """The inverse: (size + 1, ...) -> (size, ...)"""
        return rows[torch.tensor(self.ours)]

    def logits_to_ours(self, logits: Tensor) -> Tensor:
        """Their logits (..., size) in our order, -inf for BOS: (..., size + 1)"""
        moved = logits[..., torch.tensor(self.theirs)]
        moved[..., BOS] = -math.inf
        return moved
