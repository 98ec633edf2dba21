"""A given sentence that the search has among its candidates for as long as it holds its beginning."""

import math

import torch
from torch import Tensor

from beamtrain.data.tokenizer import PAD
from beamtrain.search.step import Candidates


class Followed:
    """Where a sentence of each source stands in a hard search, from position to position.

    As long as a slot holds its prefix, its next token is one of the M candidates, in place of the last of them if the
    search has not found it among its best. Once it has ended it goes on as any hypothesis that has.

    Args:
        sentence: (B, U) token ids that end in EOS and are padded with PAD.
        beam_size: K.
        kept: whether the sentence takes the last of the K slots where it would have fallen out of them. Otherwise
            the search chooses as ever, and where it has chosen K others the sentence is lost.
    """

    def __init__(self, sentence: Tensor, beam_size: int, kept: bool) -> None:
        self._sentence, self._beam_size, self._kept = sentence, beam_size, kept
        self._slot = sentence.new_zeros(sentence.size(0))  # (B,) which holds its prefix; K: none
        self.places: list[Tensor] = []  # T times (B,): which candidate it is; M: none

    def among(self, found: Candidates, log_probs: Tensor, going: Tensor, absorbed: Tensor) -> Candidates:
        """The M candidates of the next position with the sentence among them, M > K.

        Args:
            found: those of the search.
            log_probs: (B, K, V) of all continuations.
            going: (B, K) score of each slot as one that goes on.
            absorbed: (B, K) score of each slot as a finished one.
        """
        K, M, position = self._beam_size, found.scores.size(1), len(self.places)
        slot = self._slot.clamp(max=K - 1).unsqueeze(1)  # (B, 1)
        beyond = position >= self._sentence.size(1)
        token = torch.full_like(slot, PAD) if beyond else self._sentence[:, position : position + 1]  # (B, 1)
        ended = token == PAD
        log_prob = log_probs.flatten(1).gather(1, slot * log_probs.size(2) + token).masked_fill(ended, 0.0)  # (B, 1)
        score = torch.where(ended, absorbed.gather(1, slot), going.gather(1, slot) + log_prob)
        followed = (self._slot.unsqueeze(1) < K) & (score > -math.inf)  # (B, 1)
        same = (found.parents == slot) & (found.tokens == token)  # (B, M)
        listed = same.any(1, keepdim=True)
        place = torch.where(listed, same.long().argmax(1, keepdim=True), M - 1)
        added = followed & ~listed
        own = {"scores": score, "log_probs": log_prob, "parents": slot, "tokens": token}
        if found.noise is not None:
            own["noise"] = torch.zeros_like(score)
        changed = {}
        for name, value in own.items():
            before = getattr(found, name)  # (B, M)
            changed[name] = before.scatter(1, place, torch.where(added, value, before.gather(1, place)))
        with_it = Candidates(**changed)
        if self._kept:
            last = torch.where(followed & (place >= K), K - 1, place)
            with_it, place = _exchanged(with_it, place, last), last
        place = torch.where(followed, place, M).squeeze(1)  # (B,)
        self.places.append(place)
        self._slot = torch.where(place < K, place, K)
        return with_it


def _exchanged(candidates: Candidates, one: Tensor, other: Tensor) -> Candidates:
    """With two places (B, 1) of each row exchanged."""
    order = torch.arange(candidates.scores.size(1), device=one.device).expand_as(candidates.scores)
    return candidates.ordered(order.scatter(1, one, other).scatter(1, other, one))
