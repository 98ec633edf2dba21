"""How many n-grams of a reference hypotheses contain, or are expected to where they are searched softly."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.search.unroll.soft_beams import SoftBeams
from beamtrain.topk.transforms import product


@dataclass(frozen=True)
class NgramCounts:
    """Counts of the K final beams of B sentences against their references. Tokens are subwords; EOS is none."""

    shared: Tensor
    """(B, K, N) n-grams, n = 1 ... N, that hypothesis and reference share, each as often as the rarer one has it."""
    length: Tensor
    """(B, K) tokens of the hypothesis."""
    reference_length: Tensor
    """(B, 1) tokens of the reference."""


def expected_counts(beams: SoftBeams, reference: Tensor, order: int) -> NgramCounts:
    """The counts for n up to `order` with the reference (B, U), which ends in EOS and PAD.

    Differentiable: an n-gram g of the reference is expected in hypothesis r

        sum_t  prod_i  p_(t+i)(g_i)          p_t(v): what beam r has of token v at position t

    times, clipped by its count in the reference.
    """
    same = (beams.tokens.unsqueeze(-1) == reference[:, None, None, :]) & is_word(reference)[:, None, None, :]
    present = product(beams.weights, same.to(beams.weights.dtype)).transpose(1, 2)  # (B, K, T, U)
    length = (beams.weights * is_word(beams.tokens).unsqueeze(2)).sum((1, 3))  # (B, K)
    return shared_counts(present, length, reference, order)


def certain_counts(hypotheses: Tensor, reference: Tensor, order: int) -> NgramCounts:
    """The counts of hypotheses (B, K, T), each tokens, then EOS, then PAD, with the reference (B, U)."""
    same = (hypotheses.unsqueeze(-1) == reference[:, None, None, :]) & is_word(reference)[:, None, None, :]
    return shared_counts(same.float(), is_word(hypotheses).sum(-1).float(), reference, order)


def shared_counts(present: Tensor, length: Tensor, reference: Tensor, order: int) -> NgramCounts:
    """The counts of hypotheses of which each position has so much of each reference token: present (B, K, T, U), 0 for
    those that are no words, and of expected lengths (B, K)."""
    words = is_word(reference)  # (B, U)
    alike = (reference.unsqueeze(2) == reference.unsqueeze(1)) & words.unsqueeze(2) & words.unsqueeze(1)  # (B, U, U)
    expected, repeated = present, alike.to(present.dtype)
    shared = []
    for n in range(1, order + 1):
        if n > 1:
            expected = expected * _shifted(present, n - 1)  # (B, K, T, U) n-grams that start at (t, u)
            repeated = repeated * _shifted(alike.to(present.dtype), n - 1)  # (B, U, U)
        in_ours = expected.sum(2)  # (B, K, T, U) -> (B, K, U)
        in_theirs = repeated.sum(2).unsqueeze(1)  # (B, U, U) -> (B, 1, U), 0 where no n-gram starts
        shared.append((in_ours.minimum(in_theirs) / in_theirs.clamp(min=1)).sum(-1))  # each n-gram counts once
    return NgramCounts(torch.stack(shared, dim=-1), length, words.sum(1, keepdim=True))


def likeliest(beams: SoftBeams) -> SoftBeams:
    """The same beams as hypotheses of their likeliest tokens, for certain and without a gradient."""
    tokens = beams.best_tokens.transpose(1, 2)  # (B, K, T) -> (B, T, K): beam r's token is candidate r
    K = tokens.size(2)
    certain = torch.eye(K, dtype=beams.weights.dtype, device=tokens.device).expand(*tokens.shape, K)
    return replace(beams, tokens=tokens, weights=certain)


def is_word(tokens: Tensor) -> Tensor:
    """Which tokens are subwords of the text."""
    return (tokens != PAD) & (tokens != EOS)


def _shifted(x: Tensor, by: int) -> Tensor:
    """x[..., t + by, u + by], with 0 beyond the edge."""
    return pad(x, (0, by, 0, by))[..., by:, by:]
