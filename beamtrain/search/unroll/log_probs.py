"""Log-probabilities of a position's candidates, given what the decoder makes of the slots."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from beamtrain.data.tokenizer import PAD
from beamtrain.model.base import Seq2Seq
from beamtrain.search.step import Candidates


def candidate_log_probs(
    network: Seq2Seq, hidden: Tensor, candidates: Candidates, reference: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities given the slots' decoder outputs (B, K, D): (B, M) of the candidates, 0 for an absorbed PAD;
    and (B, K, U) of every token of `reference` (B, U).

    The V-way softmax is recomputed for the gradient instead of being kept.
    """
    return checkpoint(
        _gathered,
        network,
        hidden,
        candidates.parents,
        candidates.tokens,
        reference,
        use_reentrant=False,
        preserve_rng_state=False,
    )


def _gathered(
    network: Seq2Seq, hidden: Tensor, parents: Tensor, tokens: Tensor, reference: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    log_probs = next_log_probs(network, hidden)  # (B, K, V)
    picked = log_probs.flatten(1).gather(1, parents * log_probs.size(-1) + tokens)  # (B, K * V) -> (B, M)
    picked = picked.masked_fill(tokens == PAD, 0.0)
    if reference is None:
        return picked, None
    places = reference.unsqueeze(1).expand(-1, hidden.size(1), -1)  # (B, U) -> (B, K, U)
    return picked, log_probs.gather(2, places)


def next_log_probs(network: Seq2Seq, hidden: Tensor) -> Tensor:
    """(..., D) -> (..., V), in float32 or better"""
    logits = network.logits(hidden)
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
