"""Cross-entropy of the best beam's distributions against the gold tokens, position by position."""

import torch
from torch import Tensor

from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import PAD
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.objectives.losses.log_share import log_share
from beamtrain.search.unroll.soft_beams import SoftBeams


class PositionCrossEntropy(BeamLoss):
    """-(1/U) sum_t log sum_j O_t[1, j] p_j(y_t | the search's own prefix), over the U gold tokens.

    The loss of Xie et al. 2020, section 4, on the first of the K final beams: O_t[1, j] is how much of it was slot j
    when position t was predicted, p_j that slot's next-token distribution. A beam that says the right words one
    position late is punished at every position after that, and one that has ended is scored as if it had not, by what
    the network says after its EOS: the loss is honest only for hypotheses that are aligned with the reference.
    """

    reads_reference = reads_ended = takes_gold_prefixes = True

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        assert beams.reference_log_probs is not None
        U = batch.target_out.size(1)
        gold = torch.diagonal(beams.reference_log_probs[:, :U], dim1=1, dim2=3)  # (B, T, K, U) -> (B, K, U)
        share = beams.origins[:, :U, 0].transpose(1, 2)  # (B, T, K, K) -> (B, K, U)
        log_probs = (gold + log_share(share)).logsumexp(1)  # (B, U)
        real = batch.target_out != PAD
        return -(log_probs * real).sum(1) / real.sum(1)
