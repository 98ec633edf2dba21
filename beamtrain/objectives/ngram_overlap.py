"""Expected n-gram overlap: a soft sentence GLEU of the final beams, differentiable through the search's choices."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.errors import UserError
from beamtrain.objectives.beam import BeamLoss
from beamtrain.search.soft import SoftBeams


class NgramOverlap(BeamLoss):
    """1 - sum_r w_r GLEU_r over the K final beams of a sentence.

    GLEU (Wu et al. 2016, section 4.3) is the number of n-grams, n = 1 ... `order`, that hypothesis and reference share,
    over the number of n-grams of the longer one. Softly: an n-gram of the reference is expected in the hypothesis

        sum_t  prod_i  p_(t+i)(g_i)          p_t(v): what beam r has of token v at position t

    times, clipped by its count in the reference. w is a softmax over the beams of score / ((5 + length) / 6), the
    search's own order, at `sharpness`. So the gradient has two ways: through the tokens, that is the search's
    choices, and through the weights, which are probabilities of whole hypotheses (as in minimum risk).

    Tokens are subwords; EOS counts in lengths of the order, not in n-grams.

    Args:
        order: the longest n-grams.
        sharpness: temperature of w, in units of the normalised score (nats).

    Raises:
        UserError: a value out of its range.
    """

    def __init__(self, order: int = 4, sharpness: float = 0.3) -> None:
        super().__init__()
        if order < 1:
            raise UserError(f"order is {order}, but n-grams have at least 1 token; 4 is usual")
        if not sharpness > 0:
            raise UserError(f"sharpness is {sharpness}, but must be positive; 0.3 is usual")
        self.order, self.sharpness = order, sharpness

    def forward(self, beams: SoftBeams, batch: Batch) -> Tensor:
        overlap = soft_gleu(beams, batch.target_out, self.order)  # (B, K)
        normalised = beams.scores / ((5 + beams.lengths) / 6)
        weights = (normalised / self.sharpness).softmax(-1)
        return 1 - (weights * overlap).sum(-1)


def soft_gleu(beams: SoftBeams, reference: Tensor, order: int) -> Tensor:
    """(B, K) expected GLEU of every final beam with the reference (B, U), which ends in EOS and PAD."""
    words = (reference != PAD) & (reference != EOS)  # (B, U)
    same = (beams.tokens.unsqueeze(-1) == reference[:, None, None, :]) & words[:, None, None, :]  # (B, T, M, U)
    present = torch.einsum(
        "btkm,btmu->bktu", beams.weights, same.to(beams.weights.dtype)
    )  # p_t of each reference token
    alike = (reference.unsqueeze(2) == reference.unsqueeze(1)) & words.unsqueeze(2) & words.unsqueeze(1)  # (B, U, U)
    length = (beams.weights * _is_word(beams.tokens).unsqueeze(2)).sum((1, 3))  # (B, K) expected, EOS left out
    shared, in_hypothesis, in_reference = (torch.zeros_like(length) for _ in range(3))
    expected, repeated = present, alike.to(present.dtype)
    for n in range(1, order + 1):
        if n > 1:
            expected = expected * _shifted(present, n - 1)  # (B, K, T, U) n-grams that start at (t, u)
            repeated = repeated * _shifted(alike.to(present.dtype), n - 1)  # (B, U, U)
        in_ours = expected.sum(2)  # (B, K, T, U) -> (B, K, U)
        in_theirs = repeated.sum(2).unsqueeze(1)  # (B, U, U) -> (B, 1, U), 0 where no n-gram starts
        shared = shared + (in_ours.minimum(in_theirs) / in_theirs.clamp(min=1)).sum(-1)  # each n-gram counts once
        in_hypothesis = in_hypothesis + (length - n + 1).clamp(min=0)
        in_reference = in_reference + (words.sum(1, keepdim=True) - n + 1).clamp(min=0)
    return shared / torch.maximum(in_hypothesis, in_reference).clamp(min=1e-6)


def _is_word(tokens: Tensor) -> Tensor:
    return (tokens != PAD) & (tokens != EOS)


def _shifted(x: Tensor, by: int) -> Tensor:
    """x[..., t + by, u + by], with 0 beyond the edge."""
    return pad(x, (0, by, 0, by))[..., by:, by:]
