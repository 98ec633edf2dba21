"""Minimum risk over the final beams: good hypotheses gain probability, the search's choices get no gradient."""

from torch import Tensor

from beamtrain.data.batch import Batch
from beamtrain.objectives.beam_loss import order_weights
from beamtrain.objectives.ngram_overlap import NgramOverlap
from beamtrain.objectives.soft_gleu import hard_gleu
from beamtrain.search.soft import SoftBeams


class MinimumRisk(NgramOverlap):
    """sum_r w_r (1 - GLEU_r) with w the renormalised probabilities of the K final beams and GLEU counted.

    Shen et al. 2016 ("Minimum Risk Training for Neural Machine Translation"), equations 9 to 11. They take K samples,
    w proportional to p(y)^alpha, and 1 - sentence BLEU; here the K hypotheses are the beam's, w is `order_weights`,
    so that length normalisation is that of the search, and GLEU has no need of smoothing.

    Args: as of NgramOverlap.
    """

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        overlap = hard_gleu(beams, batch.target_out, self.order)  # (B, K)
        return (order_weights(beams, self.sharpness) * (1 - overlap)).sum(-1)
