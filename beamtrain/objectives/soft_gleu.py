"""How much of a reference softly searched hypotheses are expected to contain."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.search.soft import SoftBeams


def soft_gleu(beams: SoftBeams, reference: Tensor, order: int) -> Tensor:
    """(B, K) expected GLEU of every final beam with the reference (B, U), which ends in EOS and PAD.

    GLEU (Wu et al. 2016, section 4.3) is the number of n-grams, n = 1 ... `order`, that hypothesis and reference share,
    over the number of n-grams of the longer one. Softly: an n-gram of the reference is expected in the hypothesis

        sum_t  prod_i  p_(t+i)(g_i)          p_t(v): what beam r has of token v at position t

    times, clipped by its count in the reference. Tokens are subwords; EOS is no part of an n-gram.
    """
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


def hard_gleu(beams: SoftBeams, reference: Tensor, order: int) -> Tensor:
    """(B, K) the same of the likeliest token of each position, counted, without a gradient."""
    tokens = beams.best_tokens.transpose(1, 2)  # (B, K, T) -> (B, T, K): beam r's token is candidate r
    K = tokens.size(2)
    certain = torch.eye(K, dtype=beams.weights.dtype, device=tokens.device).expand(*tokens.shape, K)
    return soft_gleu(replace(beams, tokens=tokens, weights=certain), reference, order)


def _is_word(tokens: Tensor) -> Tensor:
    return (tokens != PAD) & (tokens != EOS)


def _shifted(x: Tensor, by: int) -> Tensor:
    """x[..., t + by, u + by], with 0 beyond the edge."""
    return pad(x, (0, by, 0, by))[..., by:, by:]
