"""The hypotheses that a beam search holds."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from beamtrain.data.tokenizer import PAD
from beamtrain.search.step import Candidates


@dataclass
class Beams:
    """The K slots of B sentences after t positions."""

    scores: Tensor  # (B, K) accumulated log-probability, falling from slot to slot; -inf: an empty slot
    finished: Tensor  # (B, K) bool
    tokens: Tensor  # (B, K, t)
    log_probs: Tensor  # (B, K, t)
    attention: Tensor | None  # (B, K, t, S), when it is recorded

    @classmethod
    def start(cls, source_mask: Tensor, beams: int, attention: bool) -> "Beams":
        """Before the first position of the sources (B, S): empty hypotheses, of log-probability 0."""
        B, S = source_mask.shape
        empty = torch.zeros(B, beams, device=source_mask.device)
        return cls(
            scores=empty,
            finished=torch.zeros_like(empty, dtype=torch.bool),
            tokens=empty.new_empty(B, beams, 0, dtype=torch.long),
            log_probs=empty.new_empty(B, beams, 0),
            attention=empty.new_empty(B, beams, 0, S) if attention else None,
        )

    @property
    def going(self) -> Tensor:
        """(B, K) scores of the open slots, -inf for the finished ones"""
        return self.scores.masked_fill(self.finished, -math.inf)

    @property
    def absorbed(self) -> Tensor:
        """(B, K) scores of the finished slots, -inf for the open ones"""
        return self.scores.masked_fill(~self.finished, -math.inf)

    @property
    def position(self) -> int:
        """t, the length of the open slots"""
        return self.tokens.size(2)

    @property
    def lengths(self) -> Tensor:
        """(B, K) tokens, EOS included"""
        return (self.tokens != PAD).sum(-1)

    def advance(self, chosen: Candidates, attention: Tensor | None) -> None:
        """Go on with K chosen candidates; attention (B, K, S) is that of the slots which they continue."""

        def follow(history: Tensor, new: Tensor) -> Tensor:
            """(B, K, t, ...) of the slots, (B, K, ...) of the candidates -> (B, K, t + 1, ...) of the candidates"""
            return torch.cat((take(history, chosen.parents), new.unsqueeze(2)), dim=2)

        self.scores, self.finished = chosen.scores, chosen.finished
        self.tokens = follow(self.tokens, chosen.tokens)
        self.log_probs = follow(self.log_probs, chosen.log_probs)
        if self.attention is not None and attention is not None:
            self.attention = follow(self.attention, take(attention, chosen.parents))

    def only(self, rows: Tensor) -> "Beams":
        """The sentences `rows` (R,)"""
        attention = None if self.attention is None else self.attention[rows]
        return Beams(self.scores[rows], self.finished[rows], self.tokens[rows], self.log_probs[rows], attention)


def take(values: Tensor, slots: Tensor) -> Tensor:
    """values (B, K, ...) of the given slots (B, M) -> (B, M, ...)"""
    sentences = torch.arange(slots.size(0), device=slots.device).unsqueeze(1)  # (B, 1)
    return values[sentences, slots]
