"""The best M candidates, with all others lumped into one that stands for them, and a bound on what that can cost.

Axes: B problems, N scores, M candidates kept, k picked.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from beamtrain.topk.soft_solver.thresholds import Head

FLOOR = 60.0  # exponents of the tail are clamped here (1e-26): smaller ones only make denormal, slow numbers
NOTHING = 1e-36  # a second moment below this: the tail is absent
OUT_OF_REACH = 1e6  # temperatures below the k-th score that count as masked
FAR_BELOW = 90.0  # temperatures below the k-th score, where a stand-in for "no other candidate" changes nothing


class Tail(NamedTuple):
    """The pruned candidates' first two exponential moments about the last kept score."""

    exponentials: Tensor  # (B, N) e_i = exp((x_i - x_(M)) / temperature), 0 for the kept ones
    first: Tensor  # (B, 1) S1 = sum_i e_i, float64
    second: Tensor  # (B, 1) S2 = sum_i e_i^2, float64
    absent: Tensor  # (B, 1) true where nothing was pruned but masked or infinitely far candidates


def tail_moments(scores: Tensor, best: Tensor, indices: Tensor, temperature: float) -> Tail:
    """scores (B, N), its hard top-M values and indices (B, M) -> the moments of the rest."""
    masked = best[:, -1:] == -torch.inf
    last = torch.where(masked, best[:, :1], best[:, -1:])
    exponents = (scores - last).div_(temperature).clamp_min_(-FLOOR).clamp_max_(0.0)
    exponentials = exponents.scatter_add_(1, indices, torch.full_like(best, -torch.inf)).exp_()  # may be batched over
    first = exponentials.sum(-1, keepdim=True).double()  # (B, N) -> (B, 1)
    second = (exponentials * exponentials).sum(-1, keepdim=True).double()
    return Tail(exponentials, first, second, masked | (second < NOTHING))


def lump(tail: Tail, last: Tensor) -> tuple[Tensor, Tensor]:
    """One candidate and its weight with the tail's two exponential moments: x = log(S2 / S1) temperatures from `last`,
    weight S1^2 / S2. All (B, 1); last: the score that the moments are centred at, in units of the temperature."""
    first, second = tail.first.clamp_min(NOTHING), tail.second.clamp_min(NOTHING)
    score = last + (second / first).log_()
    return score.masked_fill_(tail.absent, -torch.inf), (first * first).div_(second).masked_fill_(tail.absent, 1.0)


def lump_gradient(tail: Tail, by_score: Tensor, by_log_weight: Tensor) -> Tensor:
    """dL/dx (B, N) of the pruned candidates, from dL/d(lump's score) and dL/d(log of its weight) (B, 1); all scores in
    units of the temperature."""
    first, second = tail.first.clamp_min(NOTHING), tail.second.clamp_min(NOTHING)
    by_first = (2 * by_log_weight - by_score) / first
    by_second = 2 * (by_score - by_log_weight) / second
    by_first = by_first.masked_fill(tail.absent, 0.0).to(tail.exponentials.dtype)
    by_second = by_second.masked_fill(tail.absent, 0.0).to(tail.exponentials.dtype)
    return (tail.exponentials * by_second).add_(by_first).mul_(tail.exponentials)


def lump_tangent(tail: Tail, tangent: Tensor) -> tuple[Tensor, Tensor]:
    """The derivatives of the lump's score and of the log of its weight (B, 1) along the tangent (B, N) of the scores;
    all in units of the temperature."""
    first, second = tail.first.clamp_min(NOTHING), tail.second.clamp_min(NOTHING)
    moved = tail.exponentials * tangent
    by_first = (moved.sum(-1, keepdim=True).double() / first).masked_fill(tail.absent, 0.0)
    by_second = (2 * (tail.exponentials * moved).sum(-1, keepdim=True).double() / second).masked_fill(tail.absent, 0.0)
    return by_second - by_first, 2 * by_first - by_second


def with_stand_in(best: Tensor, k: int, lumped: tuple[Tensor, Tensor] | None) -> Head:
    """The head (B, M + 1): the best scores (B, M) in temperatures from the k-th, and one stand-in for all others.

    With exactly k finite scores the thresholds would run to -infinity; there the stand-in is one candidate
    FAR_BELOW temperatures under the k-th score, whose probability of being chosen is below 1e-19.
    """
    nobody = torch.full_like(best[:, :1], -torch.inf)
    score, weight = (nobody, torch.ones_like(nobody)) if lumped is None else lumped
    alone = score == -torch.inf
    if best.shape[-1] > k:
        alone = alone & (best[:, k : k + 1] == -torch.inf)
    score = score.masked_fill(alone, -FAR_BELOW)
    return Head(torch.cat([best, score], -1).clamp_min_(-OUT_OF_REACH), weight)


def tail_bound(best: Tensor, first: Tensor, k: int) -> Tensor:
    """An upper bound (B,) on the mass that the exact solution over all N gives to the pruned candidates.

        min_{k<m<=M} k / (m - k) sum_{i pruned} exp((x_i - x_(m)) / temperature), and never more than k

    best: (B, M) in units of the temperature. Proof: the m best share at most the mass k, so the m-th is chosen with
    probability at most k/m, i.e. with odds at most k/(m-k); a candidate d temperatures lower has odds at most exp(-d)
    times those; a probability is below its odds.
    Each row of the weights then lies within 3 times the bound of the exact one in L1 (checked, not proved).
    """
    kept = best.shape[-1]
    if kept == k:
        return torch.full_like(first[:, 0], float(k))
    eligible = best[:, k:].clamp_min(-OUT_OF_REACH)  # (B, M - k)
    over = torch.arange(1, kept - k + 1, device=best.device)  # m - k
    bound = (eligible[:, -1:] - eligible).exp_().div_(over).amin(-1).mul_(first[:, 0]).mul_(k)
    return bound.clamp_max_(k).masked_fill_(best[:, -1] == -torch.inf, 0.0)
