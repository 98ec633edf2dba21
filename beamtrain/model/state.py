"""What a decoder remembers between two steps of a search.

Keys and values of every position stay where they were written, for all K beams. What moves, when the search picks its
next beams, is only the *ancestry*: for each beam of the present, which beam it was at each position of the past.
Reordering a cache of T * K * D numbers per layer becomes reordering T * K booleans.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class DecoderState(ABC):
    """The decoder's memory of B sentences with K beams each."""

    length: int  # positions written so far
    record_attention: bool = False
    attention: Tensor | None = None  # (B, K, S) cross-attention of the last step, kept when `record_attention`

    @abstractmethod
    def reorder(self, parents: Tensor) -> None:
        """Beam r of each sentence goes on from beam `parents[b, r]`; from now on there are as many as in `parents`."""

    @abstractmethod
    def keep(self, rows: Tensor) -> None:
        """Drop all sentences but `rows` (R,); they are renumbered in that order."""


class BeamCache:
    """Keys and values of one decoder layer, for every position so far and all beams, position by position.

    While the number of beams stays, position s of beam j is row s * K + j. The buffers grow by doubling, so that a
    search pays for the length it reaches and not for the length it allows.
    """

    def __init__(self) -> None:
        self._keys: Tensor | None = None  # (B, H, capacity, D/H)
        self._values: Tensor | None = None
        self._used = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store one position (B, H, K, D/H); return all positions so far, each (B, H, length * K, D/H)."""
        B, H, K, E = keys.shape
        if self._keys is None or self._values is None:
            self._keys, self._values = (keys.new_empty(B, H, 8 * K, E) for _ in range(2))
        elif self._used + K > self._keys.size(2):
            more = keys.new_empty(B, H, max(self._keys.size(2), 8 * K), E)
            self._keys, self._values = torch.cat((self._keys, more), dim=2), torch.cat((self._values, more), dim=2)
        end = self._used + K
        self._keys[:, :, self._used : end] = keys
        self._values[:, :, self._used : end] = values
        self._used = end
        return self._keys[:, :, :end], self._values[:, :, :end]

    def keep(self, rows: Tensor) -> None:
        if self._keys is not None and self._values is not None:
            self._keys, self._values = self._keys[rows], self._values[rows]


class HardAncestry:
    """Which cached rows belong to each beam's own past: `visible[b, r, s * K + j]` says that beam r was beam j at s."""

    def __init__(self, sentences: int, beams: int, device: torch.device) -> None:
        self.visible = torch.empty(sentences, beams, 0, dtype=torch.bool, device=device)  # (B, K, length * K)

    def extend(self) -> Tensor:
        """Add the present position, where every beam sees itself; return the attention mask (B, 1, K, length * K)."""
        B, K, _ = self.visible.shape
        own = torch.eye(K, dtype=torch.bool, device=self.visible.device).expand(B, K, K)
        self.visible = torch.cat((self.visible, own), dim=2)
        return self.visible.unsqueeze(1)

    def reorder(self, parents: Tensor) -> None:
        index = parents.unsqueeze(2).expand(-1, -1, self.visible.size(2))
        self.visible = self.visible.gather(1, index)

    def keep(self, rows: Tensor) -> None:
        self.visible = self.visible[rows]


class LayerCache:
    """What one decoder layer keeps: its own past, and the source's keys and values, each (B, H, S, D/H)."""

    def __init__(self, source: tuple[Tensor, Tensor]) -> None:
        self.past, self.source = BeamCache(), source

    def keep(self, rows: Tensor) -> None:
        self.past.keep(rows)
        self.source = self.source[0][rows], self.source[1][rows]


class TransformerState(DecoderState):
    """The caches of every layer and the ancestry that all layers share."""

    def __init__(self, sources: list[tuple[Tensor, Tensor]], source_mask: Tensor, beams: int) -> None:
        self.layers = [LayerCache(source) for source in sources]
        self.source_mask = source_mask[:, None, None, :]  # (B, S) -> (B, 1, 1, S), True at real tokens
        self.ancestry = HardAncestry(source_mask.size(0), beams, source_mask.device)
        self.length = 0

    def reorder(self, parents: Tensor) -> None:
        self.ancestry.reorder(parents)

    def keep(self, rows: Tensor) -> None:
        self.source_mask = self.source_mask[rows]
        self.ancestry.keep(rows)
        for layer in self.layers:
            layer.keep(rows)
        if self.attention is not None:
            self.attention = self.attention[rows]
