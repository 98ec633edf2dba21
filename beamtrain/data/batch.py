"""One padded batch of sentence pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from beamtrain.data.table import padded
from beamtrain.data.tokenizer import PAD


@dataclass
class Batch:
    """Sentence pairs as token ids, padded with PAD on the right.

    Attributes:
        source: (B, S) tokens, then EOS.
        target_in: (B, T) BOS, then tokens: what the decoder reads.
        target_out: (B, T) tokens, then EOS: what it should say next.
        index: (B,) row of each pair in its split, as the corpus counts rows (from 0).
    """

    source: Tensor
    target_in: Tensor
    target_out: Tensor
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    @property
    def num_target_tokens(self) -> int:
        """Tokens to predict, EOS included."""
        return int((self.target_out != PAD).sum())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The same batch on another device."""
        return Batch(*(tensor.to(device, non_blocking=non_blocking) for tensor in self._tensors()))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory."""
        return Batch(*(tensor.pin_memory() for tensor in self._tensors()))

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.source, self.target_in, self.target_out, self.index


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Token rows as one (B, longest) tensor, PAD on the right."""
    return torch.from_numpy(padded(rows))
