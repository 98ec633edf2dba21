"""The words of the reference in any order."""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import PAD
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.objectives.losses.first_beam import FirstBeam
from beamtrain.search.unroll.soft_beams import SoftBeams

_RARE = -15.0  # the logarithm of an expected number below which it is the odds, to float32's precision
_CERTAIN = -1e-7  # the logarithm of a probability that counts as the greatest


class BagOfTokens(BeamLoss):
    """log(1 + sum_{v not in Y} e^(s_v)) + log(1 + sum_{v in Y} e^(-s_v)) with Y the set of the reference's tokens, EOS
    included, and s_v the log-odds that the first beam says v at all.

    Multi-label softmax cross-entropy (Su 2020; Su et al. 2022, "ZLPR: A Novel Loss for Multi-label Classification"):
    every token of Y should have a score above 0 and every other one below. A bag of words as the target of translation:
    Ma et al. 2018 ("Bag-of-Words as Target for Neural Machine Translation"), who add up logits over the positions. Here
    positions are pooled as independent chances, P_t as in PositionCrossEntropy:

        e^(s_v) = (1 - q_v) / q_v,     q_v = prod_t (1 - P_t(v))

    so that a word said once for certain asks for no repetition. For the wrong tokens, whose probabilities nothing
    singles out, the sum of the odds is taken by its least value, the expected number of wrong tokens said. It asks for
    neither order nor number: add it to a loss that does.
    """

    reads_reference = takes_gold_prefixes = True

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        log_probs, says, going = FirstBeam.of(beams)  # (B, T, U), (B, T), (B, T)
        says, log_probs = says.unsqueeze(2), log_probs.clamp(max=_CERTAIN)
        wanted = (batch.target_out != PAD) & ~_repeated(batch.target_out)  # (B, U)
        expected = log_probs.masked_fill(~says, -math.inf).logsumexp(1)  # (B, U) log sum_t P_t
        never = _log_complement(log_probs).masked_fill(~says, 0.0).sum(1)  # (B, U) log q
        rare = expected < _RARE
        log_odds = torch.where(rare, expected, (-never.masked_fill(rare, -1.0)).expm1().log())
        missing = (-log_odds).masked_fill(~wanted, -math.inf)
        right = (log_probs.exp() * (says & wanted.unsqueeze(1))).sum((1, 2))
        wrong = (going.sum(1) - right).clamp(min=0)
        return wrong.log1p() + pad(missing, (1, 0)).logsumexp(1)


def _log_complement(log_p: Tensor) -> Tensor:
    """log(1 - p), exact to rounding for small and for great p < 1"""
    small = log_p < -math.log(2)
    of_small = (-log_p.masked_fill(~small, -1.0).exp()).log1p()
    return torch.where(small, of_small, (-log_p.masked_fill(small, -0.5).expm1()).log())


def _repeated(tokens: Tensor) -> Tensor:
    """(B, U) whether a token stands before in its row"""
    earlier = torch.ones(tokens.size(1), tokens.size(1), dtype=torch.bool, device=tokens.device).tril(-1)
    return ((tokens.unsqueeze(2) == tokens.unsqueeze(1)) & earlier).any(2)
