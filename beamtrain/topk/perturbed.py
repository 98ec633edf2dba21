"""Perturbed top-k (Cordonnier et al. 2021; Berthet et al. 2020): hard top-k, averaged over Gaussian noise on the
scores.

    Y = E[one-hot ranks of top-k(x + temperature Z)],      dL/dx = E[<G, one-hot ranks> Z] / temperature,   Z ~ N(0, 1)

Both expectations are means over `samples` draws, so the gradient is an unbiased estimate and not the derivative of the
output; its variance falls with the number of samples and with a leave-one-out baseline, which the paper does not use.
Rows are in rank order (the paper sorts the chosen by index).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from beamtrain.topk.base import Operator


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
        noise = torch.randn(
            self.samples, *scores.shape, generator=self.needed(generator), dtype=scores.dtype, device=scores.device
        )
        return _Mean.apply(scores, noise, k, self.temperature)


class _Mean(torch.autograd.Function):
    """The mean of the hard selections, and the estimate of its gradient."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, noise: Tensor, k: int, temperature: float) -> Tensor:
        chosen = (scores + temperature * noise).topk(k, dim=-1).indices  # (samples, ..., M) -> (samples, ..., k)
        ctx.save_for_backward(scores, noise, chosen)
        ctx.temperature = temperature
        weights = scores.new_zeros(*scores.shape[:-1], k, scores.shape[-1])  # (..., k, M)
        by_rank = chosen.movedim(0, -1)  # (..., k, samples)
        return weights.scatter_add_(-1, by_rank, torch.full_like(by_rank, 1.0 / len(noise), dtype=scores.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_weights: Tensor) -> tuple[Any, ...]:
        scores, noise, chosen = ctx.saved_tensors
        gain = by_weights.gather(-1, chosen.movedim(0, -1)).sum(-2)  # (..., k, samples) -> (..., samples)
        gain = (gain - gain.mean(-1, keepdim=True)) / ((len(noise) - 1) * ctx.temperature)
        gradient = (gain.movedim(-1, 0).unsqueeze(-1) * noise).sum(0)  # (samples, ..., M) -> (..., M)
        return gradient.masked_fill(scores == -torch.inf, 0.0), None, None, None
