"""One step of a beam search: which candidates come next.

A beam has K slots for a sentence. A slot that is still open can be continued by any of the V tokens; a finished one
is *absorbing*: its one candidate is PAD, at no cost. The next beam is the best K of all candidates by accumulated
log-probability; length plays no part until the search is over.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from beamtrain.data.tokenizer import EOS, PAD

_BLOCK = 64  # tokens; of 32, 64 and 128 the quickest for V from 1,500 to 32,000
_QUICK = 64  # times as many values as are wanted: from there on `torch.topk` takes a third of the time on a CPU


@dataclass
class Candidates:
    """M continuations of a sentence's slots, best first. `scores` is -inf where a sentence has fewer than M."""

    scores: Tensor  # (B, M) accumulated log-probability
    log_probs: Tensor  # (B, M) of this one token, 0 for the PAD of a finished slot
    parents: Tensor  # (B, M) the slot that is continued
    tokens: Tensor  # (B, M)
    noise: Tensor | None = None  # (B, M) what is added to `scores` where a search chooses at random

    @property
    def finished(self) -> Tensor:
        """(B, M) whether the sentence is complete with this candidate"""
        return (self.tokens == EOS) | (self.tokens == PAD)

    def ordered(self, places: Tensor) -> "Candidates":
        """Those at some places (B, M), in that order."""
        return Candidates(
            self.scores.gather(1, places),
            self.log_probs.gather(1, places),
            self.parents.gather(1, places),
            self.tokens.gather(1, places),
            None if self.noise is None else self.noise.gather(1, places),
        )


def best_candidates(log_probs: Tensor, going: Tensor, absorbed: Tensor, count: int) -> Candidates:
    """The `count` (M) best candidates of each sentence.

    Slot j offers PAD, unchanged, at absorbed[j], and token v at going[j] + log_probs[j, v]. In a hard search one of
    the two is the slot's score and the other is -inf; a search with a soft finished mass f splits the score into
    s + log(1 - f) and s + log f.

    Ties go to finished slots, then to the lower slot, then to the lower token: the same choice on every device, in
    every batch, and for every M.

    Args:
        log_probs: (B, K, V), with -inf for tokens that are not allowed.
        going: (B, K) score of each slot as one that goes on.
        absorbed: (B, K) score of each slot as a finished one.
        count: M, at most K * V.
    """
    V, K = log_probs.size(-1), going.size(1)
    slots, places = _contenders(log_probs, going, count)  # (B, n), (B, n, _BLOCK)
    found = log_probs.flatten(1).gather(1, places.flatten(1).clamp(max=K * V - 1))  # (B, C), C = n * _BLOCK
    if V % _BLOCK:  # the last block of a row is incomplete
        found.masked_fill_((places >= (slots * V + V).unsqueeze(-1)).flatten(1), -math.inf)
    totals = found.unflatten(1, places.shape[1:]) + going.gather(1, slots).unsqueeze(-1)  # (B, n, _BLOCK)
    best, chosen = stable_topk(torch.cat((absorbed, totals.flatten(1)), dim=1), count)  # (B, K + C) -> (B, M)
    ends, chosen = chosen < K, chosen - K
    goes_on = chosen.clamp(min=0)
    place = places.flatten(1).gather(1, goes_on)  # (B, M)
    return Candidates(
        scores=best,
        log_probs=found.gather(1, goes_on).masked_fill(ends, 0.0),
        parents=torch.where(ends, chosen + K, place // V),
        tokens=(place % V).masked_fill(ends, PAD),
    )


def _contenders(log_probs: Tensor, going: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Some continuations with the best `count` among them, in blocks of _BLOCK: the slot of each block (B, n), and the
    places of its continuations (B, n, _BLOCK), of token v of slot j j * V + v. Some may be beyond their row.

    Each row of V tokens is cut into blocks, and taken are the `count` blocks with the greatest maxima: each of these
    has a token that precedes all tokens of the blocks left out. So all V are read only once, for the maxima, which on a
    CPU takes a quarter of the time of `torch.topk` over them.
    """
    greatest = going.unsqueeze(-1) + _block_maxima(log_probs)  # (B, K, N)
    N = greatest.size(-1)
    blocks = stable_topk(greatest.flatten(1), min(count, greatest[0].numel()))[1]  # (B, K * N) -> (B, n)
    blocks = blocks.sort(dim=-1).values  # in the order of slots and tokens
    slots = blocks // N
    first = slots * log_probs.size(-1) + (blocks - slots * N) * _BLOCK
    return slots, first.unsqueeze(-1) + torch.arange(_BLOCK, device=first.device)


def _block_maxima(values: Tensor) -> Tensor:
    """The maximum of each _BLOCK entries of the last dimension (..., V) -> (..., N), N = V / _BLOCK rounded up"""
    whole = values.size(-1) // _BLOCK
    body, tail = values[..., : whole * _BLOCK], values[..., whole * _BLOCK :]
    maxima = body.unflatten(-1, (whole, _BLOCK)).amax(-1)
    return torch.cat((maxima, tail.amax(-1, keepdim=True)), dim=-1) if tail.size(-1) else maxima


def stable_topk(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` greatest of the last dimension and their positions, greatest first; among equals the first wins.

    `torch.topk` leaves the order among equals open, and equal logits are common in bfloat16. Here it gets integers
    without equals: a value's bits above, its position below. Of a single one, `torch.max` gives the first.
    """
    if count == 1:
        return values.max(dim=-1, keepdim=True)
    if values.dtype == torch.float64:  # too wide for such integers
        places = values.sort(dim=-1, descending=True, stable=True).indices[..., :count]
        return values.gather(-1, places), places
    missing = _QUICK * count - values.size(-1)
    padded = pad(values, (0, missing), value=-math.inf) if 0 < missing < values.size(-1) // 8 else values
    bits = (padded.float() + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    ordered = (bits >> 31).bitwise_and_(0x7FFFFFFF).bitwise_xor_(bits)  # as integers, in the order of the floats
    later_is_less = torch.arange(padded.size(-1) - 1, -1, -1, device=values.device)
    places = ordered.long().bitwise_left_shift_(32).bitwise_or_(later_is_less).topk(count, dim=-1).indices
    return values.gather(-1, places), places
