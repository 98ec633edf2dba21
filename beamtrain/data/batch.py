"""One padded batch of sentence pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from beamtrain.data.table import padded
from beamtrain.data.tokenizer import BOS, EOS, PAD


@dataclass
class Batch:
    """Sentence pairs as token ids, padded with PAD on the right; made by `of_pairs`.

    What a training step has to know of them beforehand, it finds counted: a GPU would have to be waited for.

    Attributes:
        source: (B, S) tokens, then EOS.
        target_in: (B, T) BOS, then tokens: what the decoder reads.
        target_out: (B, T) tokens, then EOS: what it should say next.
        places: (N,) where the N target tokens, EOS included, stand among the B * T positions.
        source_lengths, target_lengths: (B,) tokens of each side, EOS included; always in the host's memory.
        index: (B,) row of each pair in its split, as the corpus counts rows (from 0); in the host's memory too.
    """

    source: Tensor
    target_in: Tensor
    target_out: Tensor
    places: Tensor
    source_lengths: Tensor
    target_lengths: Tensor
    index: Tensor

    @classmethod
    def of_pairs(cls, source: Tensor, target: Tensor, index: Tensor) -> "Batch":
        """From tokens (B, S) and (B, T) that end in EOS and are padded with PAD, and the pairs' rows (B,)."""
        target_in = torch.roll(target, 1, dims=1)  # (B, T) one position later
        target_in[target_in == EOS] = PAD
        target_in[:, 0] = BOS
        real = target != PAD  # (B, T)
        return cls(
            source=source,
            target_in=target_in,
            target_out=target,
            places=real.flatten().nonzero().squeeze(1),
            source_lengths=(source != PAD).sum(1),
            target_lengths=real.sum(1),
            index=index,
        )

    def __len__(self) -> int:
        return len(self.index)

    @property
    def num_target_tokens(self) -> int:
        """Tokens to predict, EOS included."""
        return self.places.numel()

    def at_targets(self, positions: Tensor) -> Tensor:
        """(B, T, ...) of all positions -> (N, ...) of those that hold a target token."""
        return positions.flatten(0, 1).index_select(0, self.places)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The same batch on another device."""
        return self._changed(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, from where it can be copied to a GPU without a wait."""
        return self._changed(lambda tensor: tensor.pin_memory())

    def _changed(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return replace(
            self,
            source=change(self.source),
            target_in=change(self.target_in),
            target_out=change(self.target_out),
            places=change(self.places),
        )


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Token rows as one (B, longest) tensor, PAD on the right."""
    return torch.from_numpy(padded(rows))
