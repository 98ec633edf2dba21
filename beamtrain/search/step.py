"""One step of a beam search: which candidates come next.

A beam has K slots for a sentence. A slot that is still open can be continued by any of the V tokens; a finished one
is *absorbing*: its one candidate is PAD, at no cost. The next beam is the best K of all candidates by accumulated
log-probability; length plays no part until the search is over.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from beamtrain.data.tokenizer import EOS, PAD

_BLOCK = 64  # measured: scanning 64 entries for their maximum costs least with V from 4,000 to 32,000


@dataclass
class Candidates:
    """M continuations of a sentence's slots, best first. `scores` is -inf where a sentence has fewer than M."""

    scores: Tensor  # (B, M) accumulated log-probability
    log_probs: Tensor  # (B, M) of this one token, 0 for the PAD of a finished slot
    parents: Tensor  # (B, M) the slot that is continued
    tokens: Tensor  # (B, M)

    @property
    def finished(self) -> Tensor:
        """(B, M) whether the sentence is complete with this candidate"""
        return (self.tokens == EOS) | (self.tokens == PAD)


def best_candidates(log_probs: Tensor, going: Tensor, absorbed: Tensor, count: int) -> Candidates:
    """The `count` (M) best candidates of each sentence.

    Slot j offers token v at going[j] + log_probs[j, v], and PAD, unchanged, at absorbed[j]. In a hard search one of
    the two is the slot's score and the other is -inf; a search with a soft finished mass f splits the score into
    s + log(1 - f) and s + log f.

    Ties go to the lower slot, within a slot to PAD first and then to the likelier and the lower token: the same
    choice on every device, in every batch, and for every M.

    Args:
        log_probs: (B, K, V), with -inf for tokens that are not allowed; PAD is never allowed.
        going: (B, K) score of each slot as one that goes on.
        absorbed: (B, K) score of each slot as a finished one.
        count: M, at most K * V.
    """
    V = log_probs.size(-1)
    token_log_probs, tokens = stable_topk(log_probs, min(count, V))  # (B, K, V) -> (B, K, m)
    scores = torch.cat((absorbed.unsqueeze(-1), going.unsqueeze(-1) + token_log_probs), dim=-1)  # (B, K, 1 + m)
    tokens = pad(tokens, (1, 0), value=PAD)  # (B, K, 1 + m), the finished slot's candidate in front
    token_log_probs = pad(token_log_probs, (1, 0), value=0.0)
    best, places = stable_topk(scores.flatten(1), count)  # (B, K * (1 + m)) -> (B, M)
    return Candidates(
        scores=best,
        log_probs=token_log_probs.flatten(1).gather(1, places),
        parents=places // scores.size(-1),
        tokens=tokens.flatten(1).gather(1, places),
    )


def stable_topk(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` greatest of the last dimension and their positions, greatest first; among equals the first wins.

    `torch.topk` leaves the order among equals open, and equal logits are common in bfloat16. A wide row is first
    narrowed to the `count` blocks with the greatest maxima, which hold the answer: each of them has an element that
    precedes everything in the blocks left out. That also makes it twice as fast as `torch.topk` on a CPU.
    """
    width = values.size(-1)
    blocks = width // _BLOCK
    if blocks <= 2 * count:
        return _topk_by_key(values, count)
    body, tail = values[..., : blocks * _BLOCK], values[..., blocks * _BLOCK :]  # tail: less than a block
    chunks = body.unflatten(-1, (blocks, _BLOCK))  # (..., blocks, _BLOCK)
    chosen = _topk_by_key(chunks.amax(-1), count)[1].sort(dim=-1).values  # (..., count), in the row's order
    inside = torch.arange(_BLOCK, device=values.device)
    positions = (chosen.unsqueeze(-1) * _BLOCK + inside).flatten(-2)  # (..., count * _BLOCK)
    rest = torch.arange(blocks * _BLOCK, width, device=values.device).expand(*tail.shape)
    positions = torch.cat((positions, rest), dim=-1)
    best, places = _topk_by_key(values.gather(-1, positions), count)
    return best, positions.gather(-1, places)


def _topk_by_key(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`stable_topk` of a narrow row, by 64-bit keys without equals: the value's bits above, the position below."""
    if values.dtype == torch.float64:  # too wide for such keys; used in tests of gradients only
        places = values.sort(dim=-1, descending=True, stable=True).indices[..., :count]
        return values.gather(-1, places), places
    bits = (values.float() + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # as integers, in the order of the floats
    later_is_less = torch.arange(values.size(-1) - 1, -1, -1, device=values.device)
    places = ((ordered.long() << 32) | later_is_less).topk(count, dim=-1).indices
    return values.gather(-1, places), places
