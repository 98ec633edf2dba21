"""Optimal completion: at every prefix that the search visits, the next tokens with which the sentence can still end
as close to the reference as the prefix allows."""

import math
from typing import Literal

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.search.unroll.soft_beams import SoftBeams


class OptimalCompletion(BeamLoss):
    """The mean over the beams' unfinished prefixes of -(1/|A|) sum_{a in A} log p(a | prefix), or -log sum_{a in A} p.

    A are the optimal next tokens of Sabour et al. 2019 ("Optimal Completion Distillation", section 3): with d_u the
    edit distance of the prefix to the first u reference tokens, those that follow a u with the least d_u (EOS after
    the last). Their prefixes are sampled; here they are all slots of all positions of the search. A soft prefix is
    read as its likeliest tokens.

    Args:
        target: "uniform", the first formula and the paper's, asks for all of A alike; "any", the second and ours, is
            content with any of A, and so leaves the choice to the network.

    Raises:
        UserError: another target.
    """

    reads_reference = True

    def __init__(self, target: Literal["uniform", "any"] = "uniform") -> None:
        super().__init__()
        if target not in ("uniform", "any"):
            raise UserError(f"target is {target!r}; it must be uniform or any")
        self.target = target

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        assert beams.reference_log_probs is not None
        optimal = optimal_next(beams, batch.target_out)  # (B, T, K, U)
        counted = beams.open & optimal.any(-1)  # (B, T, K)
        if self.target == "any":
            optimal_log_probs = beams.reference_log_probs.masked_fill(~optimal & counted.unsqueeze(-1), -math.inf)
            losses = -optimal_log_probs.logsumexp(-1)
        else:
            losses = -beams.reference_log_probs.masked_fill(~optimal, 0.0).sum(-1) / optimal.sum(-1).clamp(min=1)
        return (losses * counted).sum((1, 2)) / counted.sum((1, 2)).clamp(min=1)


@torch.no_grad()
def optimal_next(beams: SoftBeams, reference: Tensor) -> Tensor:
    """(B, T, K, U) whether reference token u is an optimal next token of slot j's prefix at position t; a token that is
    optimal at several u is marked once."""
    U = reference.size(1)
    real = reference != PAD  # (B, U), EOS included: u tokens of the reference are followed by reference[u]
    tokens, parents = beams.tokens.gather(2, beams.held), beams.parents.gather(2, beams.held)  # (B, T, K)
    earlier = torch.ones(U, U, dtype=torch.bool, device=reference.device).tril(-1)
    twins = (reference.unsqueeze(2) == reference.unsqueeze(1)) & earlier  # (B, U, U)
    B, T, K = tokens.shape
    distances = torch.arange(U, device=reference.device).expand(B, K, U)  # of the empty prefix to u tokens
    found = []
    for t in range(T):
        least = distances.masked_fill(~real.unsqueeze(1), T + U).amin(-1, keepdim=True)
        optimal = (distances == least) & real.unsqueeze(1)  # (B, K, U)
        repeated = (optimal.unsqueeze(2) & twins.unsqueeze(1)).any(-1)  # (B, K, U): an earlier optimal u has its token
        found.append(optimal & ~repeated)
        before = distances.gather(1, parents[:, t].unsqueeze(2).expand(B, K, U))
        distances = _extended(before, tokens[:, t], reference)
    return torch.stack(found, dim=1)


def _extended(distances: Tensor, tokens: Tensor, reference: Tensor) -> Tensor:
    """Levenshtein distances (B, K, U) of prefixes to the first u = 0 ... U - 1 reference tokens, after one token (B, K)
    more; unchanged by EOS and PAD."""
    U = reference.size(1)
    differs = (tokens.unsqueeze(2) != reference[:, None, : U - 1]).long()  # (B, K, U - 1)
    changed = distances + 1  # the token is surplus
    changed[..., 1:] = torch.minimum(changed[..., 1:], distances[..., :-1] + differs)  # it is a match or a substitute
    steps = torch.arange(U, device=reference.device)
    changed = (changed - steps).cummin(-1).values + steps  # tokens of the reference are missing before it
    over = (tokens == EOS) | (tokens == PAD)
    return torch.where(over.unsqueeze(2), distances, changed)
