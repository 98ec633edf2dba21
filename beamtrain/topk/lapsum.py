"""LapSum (Struski, Bednarczyk, Podolak and Tabor 2025): soft top-k whose threshold has a closed form.

With F the distribution function of the Laplace law, the soft top-r set is p_r(x_i) = F((x_i - b_r) / temperature),
where sum_i F((x_i - b_r) / temperature) = r. Between two neighbouring scores, with p of them above b,

    sum_i F = p - A e^b / 2 + B e^-b / 2,   A = sum_{above} e^-x,  B = sum_{below} e^x   (units of the temperature),

a quadratic equation in e^b. The row of rank r is p_r - p_{r-1}, as in the paper's soft permutation: rows sum to 1 and
columns to at most 1. Cost O(N log N + kN).

The threshold moves with the scores by db = sum_i f_i dx_i / sum_i f_i, f the density at x_i - b; as a function of both,
that gives derivatives of every order. F has no second derivative at 0, where a score is its own threshold.
"""

from typing import Any

import torch
from torch import Tensor

from beamtrain.topk.base import Operator, split_masked
from beamtrain.topk.transforms import Transformable, forward_rule, primals

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
        exact = scores.double()
        centre = exact.detach().topk(k, dim=-1).values[..., -1:]
        finite, masked = split_masked(exact)
        scaled = ((finite - centre) / self.temperature).masked_fill(masked, -torch.inf)
        function = _Thresholds if torch.compiler.is_compiling() else _ForwardThresholds
        thresholds = function.apply(scaled, 1 if self.sorted else k, k)
        sets = laplace_cdf(scaled.unsqueeze(-2) - thresholds.unsqueeze(-1))  # (..., 1, M) - (..., R, 1) -> (..., R, M)
        rows = torch.diff(sets, dim=-2, prepend=torch.zeros_like(sets[..., :1, :])) if self.sorted else sets
        return rows.clamp(0.0, 1.0).to(scores.dtype)


class _Thresholds(Transformable):
    """b (..., R) with sum_i F(x_i - b_r) = r for r = first..last, for x (..., M) in units of the temperature, -inf
    allowed; without the forward mode."""

    @staticmethod
    def forward(scaled: Tensor, first: int, last: int) -> Tensor:
        counts = torch.arange(first, last + 1, device=scaled.device)
        thresholds = laplace_thresholds(scaled, counts)
        reach = scaled.unsqueeze(-2) - thresholds.unsqueeze(-1)
        excess = laplace_cdf(reach).sum(-1) - counts  # what rounding left of it: one Newton step
        return thresholds + excess / laplace_density(reach).sum(-1).clamp_min(1e-300)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)
        ctx.save_for_forward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, by_thresholds: Tensor) -> tuple[Any, ...]:
        return (by_thresholds.unsqueeze(-1) * _shares(*ctx.saved_tensors)).sum(-2), None, None

    @staticmethod
    def vmap(_: Any, in_dims: Any, scaled: Tensor, first: int, last: int) -> tuple[Tensor, int]:
        return _ForwardThresholds.apply(scaled.movedim(in_dims[0], 0), first, last), 0


class _ForwardThresholds(_Thresholds):
    """The same with the forward mode."""

    @staticmethod
    @forward_rule
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return (_shares(*primals(ctx)) * tangent.unsqueeze(-2)).sum(-1)


def _shares(scaled: Tensor, thresholds: Tensor) -> Tensor:
    """db_r / dx_i (..., R, M)."""
    density = laplace_density(scaled.unsqueeze(-2) - thresholds.unsqueeze(-1))
    return density / density.sum(-1, keepdim=True).clamp_min(1e-300)


def laplace_density(value: Tensor) -> Tensor:
    """F'(v) = e^-|v| / 2"""
    return 0.5 * (-value.abs()).exp()


def laplace_cdf(value: Tensor) -> Tensor:
    """F(v) = e^v / 2 below 0 and 1 - e^-v / 2 above."""
    half = laplace_density(value)
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
