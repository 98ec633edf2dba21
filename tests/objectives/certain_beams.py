"""Beams of which every token is known, and their GLEU by counting."""

from collections import Counter

import torch

from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.search.unroll.soft_beams import SoftBeams


def hard_beams(sentences, T):
    """Beams that hold the given sentences for certain, one sentence of the batch, candidates in any order."""
    rows = torch.tensor([[*s, EOS, *[PAD] * (T - len(s) - 1)] for s in sentences])  # (K, T)
    tokens = rows.T.unsqueeze(0)  # (1, T, M = K)
    weights = torch.eye(len(sentences)).expand(1, T, -1, -1)
    K = len(sentences)
    scores = torch.zeros(1, K)
    return SoftBeams(
        tokens=tokens,
        weights=weights,
        scores=scores,
        finished=torch.ones_like(scores),
        matrices=weights,
        parents=torch.arange(K).expand(1, T, K),
        held=torch.arange(K).expand(1, T, K),
        origins=torch.eye(K).expand(1, T, K, K),
        open=(tokens != PAD),
        slot_scores=torch.zeros(1, T, K),
        candidate_scores=torch.zeros(1, T, K),
        followed=None,
        reference_log_probs=None,
        pruned=None,
    )


def counted_gleu(hypothesis, reference, order):
    ngrams = [
        Counter(tuple(s[i : i + n]) for n in range(1, order + 1) for i in range(len(s) - n + 1))
        for s in (hypothesis, reference)
    ]
    shared = sum((ngrams[0] & ngrams[1]).values())
    return shared / max(ngrams[0].total(), ngrams[1].total(), 1e-6)
