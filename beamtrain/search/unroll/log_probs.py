"""Log-probabilities of a position's candidates, given what the decoder makes of the slots."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from beamtrain.base.recomputing import recomputed
from beamtrain.data.tokenizer import PAD
from beamtrain.model.base import Seq2Seq
from beamtrain.search.step import Candidates

_AT_ONCE = 2**22  # entries of the logits


def candidate_log_probs(
    network: Seq2Seq, hidden: Tensor, candidates: Candidates, reference: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities given the slots' decoder outputs (B, K, D): (B, M) of the candidates, 0 for an absorbed PAD;
    and (B, K, U) of every token of `reference` (B, U), 0 at PAD.

    The V-way softmax is recomputed for the gradient instead of being kept.
    """
    return _recomputed(_gathered, network, hidden, candidates.parents, candidates.tokens, reference)


def _gathered(
    network: Seq2Seq, hidden: Tensor, parents: Tensor, tokens: Tensor, reference: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    log_probs = next_log_probs(network, hidden)  # (B, K, V)
    picked = log_probs.flatten(1).gather(1, parents * log_probs.size(-1) + tokens)  # (B, K * V) -> (B, M)
    picked = picked.masked_fill(tokens == PAD, 0.0)
    if reference is None:
        return picked, None
    places = reference.unsqueeze(1).expand(-1, hidden.size(1), -1)  # (B, U) -> (B, K, U)
    return picked, log_probs.gather(2, places).masked_fill(places == PAD, 0.0)


def token_log_probs(network: Seq2Seq, hidden: Tensor, tokens: Tensor, forbidden: Tensor | None = None) -> Tensor:
    """(N,) of the tokens (N,), each given its decoder output of (N, D), in float32 or better.

    The V-way softmax is taken a few rows at a time, and recomputed for the gradient; over all tokens but `forbidden`.
    """
    rows = max(1, _AT_ONCE // network.vocab_size)
    parts = zip(hidden.split(rows), tokens.split(rows), strict=True)
    return torch.cat([_recomputed(_of_tokens, network, *part, forbidden) for part in parts])


def _of_tokens(network: Seq2Seq, hidden: Tensor, tokens: Tensor, forbidden: Tensor | None) -> Tensor:
    return next_log_probs(network, hidden, forbidden).gather(1, tokens.unsqueeze(1)).squeeze(1)


def next_log_probs(network: Seq2Seq, hidden: Tensor, forbidden: Tensor | None = None) -> Tensor:
    """(..., D) -> (..., V), in float32 or better; those of `forbidden` tokens are -inf, and the others' sum to 1"""
    logits = network.logits(hidden)
    if forbidden is not None:
        logits = logits.index_fill(-1, forbidden, -math.inf)
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _recomputed(function: Callable[..., Any], network: Seq2Seq, hidden: Tensor, *inputs: Tensor | None) -> Any:
    """Only a network's own logits may draw random numbers."""
    kept = hidden[..., 0].numel() * network.vocab_size
    return recomputed(function, network, hidden, *inputs, kept=kept, draws=network.has_own_logits)
