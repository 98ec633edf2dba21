"""What a recurrent decoder remembers between two steps of a search: one hidden vector a layer and beam, and no past."""

import torch
from torch import Tensor

from beamtrain.model.state import DecoderState


class RecurrentState(DecoderState):
    """The hidden vectors of all layers, beams picked or mixed in place.

    Mixing beams by a row-stochastic matrix P (K, K) is P h, so a hard and a soft search share one state: the P of a
    hard search is one-hot.
    """

    def __init__(self, hidden: Tensor, source: tuple[Tensor, Tensor], source_mask: Tensor) -> None:
        self.hidden = hidden  # (L, B, K, D), L layers
        self.source = source  # keys and values, each (B, H, S, D/H)
        self.source_mask = source_mask[:, None, None, :]  # (B, S) -> (B, 1, 1, S), True at real tokens
        self.length = 0

    def reorder(self, parents: Tensor) -> None:
        sentences = torch.arange(parents.size(0), device=parents.device).unsqueeze(1)  # (B, 1)
        self.hidden = self.hidden[:, sentences, parents]

    def mix(self, parents: Tensor) -> None:
        self.hidden = parents.to(self.hidden.dtype) @ self.hidden  # (B, K, K) x (L, B, K, D)

    def cut(self) -> None:
        self.hidden = self.hidden.detach()

    def keep(self, rows: Tensor) -> None:
        self.hidden = self.hidden[:, rows]
        self.source = self.source[0][rows], self.source[1][rows]
        self.source_mask = self.source_mask[rows]
        if self.attention is not None:
            self.attention = self.attention[rows]
