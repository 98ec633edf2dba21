"""Perturbed top-k (Cordonnier et al. 2021; Berthet et al. 2020): hard top-k, averaged over Gaussian noise on the
scores.

    Y = E[one-hot ranks of top-k(x + temperature Z)],      dL/dx = E[<G, one-hot ranks> Z] / temperature,   Z ~ N(0, 1)

Both expectations are means over `samples` draws, so the gradient is an unbiased estimate and not the derivative of the
output; its variance falls with the number of samples and with a leave-one-out baseline, which the paper does not use.
It is the derivative of the draws' likelihood under the scores, weighted with what they chose, so that derivatives of
higher order are unbiased estimates too (as with DiCE, Foerster et al. 2018); their variance grows as
temperature^-2 with each. Rows are in rank order (the paper sorts the chosen by index).
"""

import torch
from torch import Tensor

from beamtrain.topk.base import Operator, split_masked


def perturbed_topk(
    scores: Tensor, k: int, temperature: float = 0.1, *, generator: torch.Generator, samples: int = 100
) -> Tensor:
    """Weights (..., k, N), rank 1 first, of scores (..., N)."""
    return Perturbed(temperature, None, samples=samples).select(scores, k, generator).weights


class Perturbed(Operator):
    """Perturbed top-k as an operator of the family. Memory: samples times the candidates."""

    draws = True

    def __init__(self, temperature: float = 0.1, candidates: int | None = 64, *, samples: int = 100) -> None:
        super().__init__(temperature, candidates)
        if samples < 2:
            raise ValueError(f"samples must be at least 2 (the gradient compares draws), got {samples}")
        self.samples = samples

    def weights(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        finite, _ = split_masked(scores)
        noise = torch.randn(
            self.samples, *scores.shape, generator=self.needed(generator), dtype=scores.dtype, device=scores.device
        )
        chosen = (scores.detach() + self.temperature * noise).topk(k, dim=-1).indices  # (samples, ..., M) -> (.., k)
        by_rank = chosen.movedim(0, -1)  # (..., k, samples)
        nothing = scores.new_zeros(*scores.shape[:-1], k, scores.shape[-1])  # (..., k, M)
        share = torch.full_like(by_rank, 1.0 / self.samples, dtype=scores.dtype)
        mean = nothing.scatter_add(-1, by_rank, share)
        moved = (finite - finite.detach()) / self.temperature  # (..., M), zero, as is all that follows from it
        log_likelihood = (noise * moved).sum(-1) - 0.5 * moved.square().sum(-1)  # (samples, ...)
        gain = torch.expm1(log_likelihood).movedim(0, -1).unsqueeze(-2) / (self.samples - 1)  # (..., 1, samples)
        carried = nothing.scatter_add(-1, by_rank, gain.expand(by_rank.shape))
        return mean + (carried - mean * gain.sum(-1, keepdim=True))
