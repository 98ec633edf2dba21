"""What the first of the final beams was about to say at each position, of the reference's tokens."""

from typing import NamedTuple

from torch import Tensor

from beamtrain.data.tokenizer import PAD
from beamtrain.objectives.losses.log_share import log_share
from beamtrain.search.unroll.soft_beams import SoftBeams


class FirstBeam(NamedTuple):
    """Its T positions. What it had of slots that had ended says nothing."""

    log_probs: Tensor
    """(B, T, U) log sum_j O_t[1, j] p_j(y_u) of each reference token; 0 where it says nothing"""
    says: Tensor
    """(B, T) whether it says anything"""
    going: Tensor
    """(B, T) how much of it had not ended, 0 to 1"""

    @classmethod
    def of(cls, beams: SoftBeams) -> "FirstBeam":
        """O_t[1, j] is how much of it was slot j when position t was predicted, p_j that slot's distribution then."""
        assert beams.reference_log_probs is not None
        share = beams.origins[:, :, 0] * beams.open  # (B, T, K)
        says = (share > 0).any(-1)  # (B, T)
        of_share = log_share(share).masked_fill(~says.unsqueeze(2), 0.0)
        log_probs = (beams.reference_log_probs + of_share.unsqueeze(3)).logsumexp(2)
        ended = (beams.weights[:, :, 0] * (beams.tokens == PAD)).sum(-1)  # (B, T, M) -> (B, T)
        return cls(log_probs.masked_fill(~says.unsqueeze(2), 0.0), says, 1 - ended)
