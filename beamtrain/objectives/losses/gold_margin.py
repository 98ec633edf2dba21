"""Beam search optimisation: the gold sentence must stay in the beam, and end up first, by a margin."""

import math

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import PAD
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.search.unroll.soft_beams import SoftBeams


class GoldMargin(BeamLoss):
    """(1/U) sum_t max(0, margin + s_t - g_t), up to the position where the gold prefix leaves the beam.

    g_t is the accumulated log-probability of the gold prefix, s_t that of its rival: of the slots that hold another
    prefix the last, at the last gold position U the first. Where no slot holds another, nothing is lost. A gold prefix
    that is itself the K-th slot has not left, whatever rounding says of its two scores. Wiseman and Rush 2016
    ("Sequence-to-Sequence Learning as Beam-Search Optimization"), section 4.1, without their mistake-specific cost.
    Their rival is the K-th slot, or the first, even if that holds the gold prefix; margin + s_t - g_t is constant then.
    They restart the search from the gold prefix after a violation; here the sum ends there (early update, Collins and
    Roark 2004), because the search runs once for the whole batch.

    Args:
        margin: in nats of the accumulated log-probability.

    Raises:
        UserError: the margin is negative or not finite.
    """

    reads_gold = True

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        if not 0 <= margin < math.inf:
            raise UserError(f"margin is {margin}, but must be 0 or more, and finite; 1 is usual")
        self.margin = margin

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        assert gold_log_probs is not None
        real = batch.target_out != PAD  # (B, U)
        U, length = real.size(1), real.sum(1)
        gold = gold_log_probs.cumsum(1)  # (B, U)
        scores = beams.slot_scores[:, :U]  # (B, U, K)
        last = torch.arange(U, device=gold.device) == (length - 1).unsqueeze(1)  # (B, U)
        held = _held(beams, batch.target_out)  # (B, U, K)
        first_other, last_other = (scores.masked_fill(held, limit) for limit in (-math.inf, math.inf))  # (B, U, K)
        rival = torch.where(last, first_other.amax(-1), last_other.amin(-1))  # slots fall from the first to the last
        fallen = (gold < scores[..., -1]).detach() & ~held.any(-1) & real
        before_it = fallen.cumsum(1) - fallen.long() == 0  # up to the first fall, that one included
        violation = (self.margin + rival - gold).clamp(min=0)
        return torch.where(real & before_it & ~rival.isinf(), violation, 0.0).sum(1) / length


def _held(beams: SoftBeams, gold: Tensor) -> Tensor:
    """(B, U, K) which slots hold the gold prefix (B, U); of a soft slot, what it has most of counts."""
    tokens, parents = beams.tokens.gather(2, beams.held), beams.parents.gather(2, beams.held)  # (B, T, K)
    held = torch.zeros_like(tokens[:, 0], dtype=torch.bool)  # (B, K)
    held[:, 0] = True
    found = []
    for position in range(gold.size(1)):
        held = held.gather(1, parents[:, position]) & (tokens[:, position] == gold[:, position].unsqueeze(1))
        found.append(held)
    return torch.stack(found, dim=1)
