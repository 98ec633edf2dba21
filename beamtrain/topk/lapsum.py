"""LapSum (Struski, Bednarczyk, Podolak and Tabor 2025): soft top-k whose threshold has a closed form.

With F the distribution function of the Laplace law, the soft top-r set is p_r(x_i) = F((x_i - b_r) / temperature),
where sum_i F((x_i - b_r) / temperature) = r. Between two neighbouring scores, with p of them above b,

    sum_i F = p - A e^b / 2 + B e^-b / 2,   A = sum_{above} e^-x,  B = sum_{below} e^x   (units of the temperature),

a quadratic equation in e^b. The row of rank r is p_r - p_{r-1}, as in the paper's soft permutation: rows sum to 1 and
columns to at most 1. Cost O(N log N + kN).
"""

import torch
from torch import Tensor

from beamtrain.topk.base import Operator, split_masked

FAR_BELOW = 90.0  # temperatures below the last score, where all candidates are chosen for certain


def lapsum_topk(scores: Tensor, k: int, temperature: float = 0.1, *, sorted: bool = True) -> Tensor:
    """Weights (..., k, N), rank 1 first, of scores (..., N); (..., 1, N) summing to k for sorted=False."""
    return LapSum(temperature, None, sorted=sorted).select(scores, k).weights


class LapSum(Operator):
    """LapSum as an operator of the family; sorted=False gives the soft set only."""

    def __init__(self, temperature: float = 0.1, candidates: int | None = 64, *, sorted: bool = True) -> None:
        super().__init__(temperature, candidates)
        self.sorted = sorted
        if not sorted:
            self.gives = self.gives - {"order"}  # type: ignore[misc]

    def weights(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        finite, masked = split_masked(scores.double())
        centre = scores.double().topk(k, dim=-1).values[..., -1:].detach()
        scaled = (finite - centre) / self.temperature
        counts = torch.arange(1 if self.sorted else k, k + 1, device=scores.device)
        with torch.no_grad():
            cuts = laplace_thresholds(scaled.masked_fill(masked, -torch.inf), counts)
        reach = scaled.unsqueeze(-2) - cuts.unsqueeze(-1)  # (..., 1, M) - (..., R, 1) -> (..., R, M)
        outside = masked.unsqueeze(-2)
        density = (0.5 * (-reach.detach().abs()).exp()).masked_fill(outside, 0.0)
        # one Newton step: it moves nothing, and gives the threshold its derivative, the density's mean of dx
        excess = laplace_cdf(reach).masked_fill(outside, 0.0).sum(-1) - counts
        cuts = cuts + excess / density.sum(-1).clamp_min(1e-300)
        sets = laplace_cdf(scaled.unsqueeze(-2) - cuts.unsqueeze(-1)).masked_fill(outside, 0.0)
        rows = torch.diff(sets, dim=-2, prepend=torch.zeros_like(sets[..., :1, :])) if self.sorted else sets
        return rows.clamp(0.0, 1.0).to(scores.dtype)


def laplace_cdf(value: Tensor) -> Tensor:
    """F(v) = e^v / 2 below 0 and 1 - e^-v / 2 above."""
    half = 0.5 * (-value.abs()).exp()
    return torch.where(value > 0, 1.0 - half, half)


def laplace_thresholds(scaled: Tensor, counts: Tensor) -> Tensor:
    """b (..., R) with sum_i F(x_i - b_r) = counts_r, for x (..., M) in units of the temperature, -inf allowed."""
    best = scaled.sort(-1, descending=True).values
    count = counts.to(best.dtype)
    above = torch.logcumsumexp(-best, -1)  # log A for p = 1..M
    below = torch.logcumsumexp(best.flip(-1), -1).flip(-1)  # log B for p = 0..M-1
    never = torch.full_like(best[..., :1], -torch.inf)
    above, below = torch.cat([never, above], -1), torch.cat([below, never], -1)  # (..., M + 1), p = 0..M
    number = torch.arange(best.shape[-1] + 1, device=best.device, dtype=best.dtype)  # p
    at_scores = (
        number[1:] - 0.5 * (above[..., 1:] + best).exp() + 0.5 * (below[..., 1:] - best).exp()
    )  # sum F at b = x_(p)
    over = (at_scores.unsqueeze(-2) <= count.unsqueeze(-1)).sum(-1)  # (..., R): how many scores lie above b_r
    log_a, log_b = above.gather(-1, over), below.gather(-1, over)
    excess = over - count
    root = (excess.square() + (log_a + log_b).exp()).sqrt() + excess.abs()
    from_above, from_below = root.log() - log_a, log_b - root.log()
    threshold = torch.where(excess > 0, from_above, torch.where(excess < 0, from_below, 0.5 * (log_b - log_a)))
    lowest = best.masked_fill(best == -torch.inf, torch.inf).amin(-1, keepdim=True)
    return torch.maximum(threshold, lowest - FAR_BELOW)
