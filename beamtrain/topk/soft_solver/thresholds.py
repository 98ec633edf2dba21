"""The thresholds of SOFT top-k by Newton's method: L unknowns instead of Sinkhorn passes over N candidates.

Axes: L thresholds, B problems, M candidates; L comes first so that each level is contiguous. Scores and thresholds
are in float64, centred at the k-th best score, and in units of the temperature.

A candidate x goes to one of the atoms 0 (not chosen) .. L (best) with probability softmax_j z_j,
z_0 = 0 and z_j = sum_{l<=j} (x - theta_l). Threshold l separates the `cuts[l]` best candidates from the others:
sum_i P_i(atom >= l) = cuts[l]. Sorted SOFT has the cuts k, k-1, .., 1 and plain SOFT the one cut k.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from beamtrain.base.waits import may_wait

STEPS = 50  # far above what is ever needed: rows that have not converged by then are ill-posed
STEPS_WITHOUT_LOOKING = 12  # on a GPU and in compiled code, where asking "converged?" costs more than a step
CONVERGED = {torch.float32: 1e-4, torch.float64: 1e-5}  # on |log up - log down|; the last step squares the error
HARD = 1e-250  # a cut across which less mass than this moves is hard: any threshold in the gap will do


class Head(NamedTuple):
    """The candidates that matter, best first; the last one stands for `weight` others."""

    scores: Tensor  # (B, M) float64, finite
    weight: Tensor  # (B, 1) float64


class Plan(NamedTuple):
    """Where each candidate goes; every entry is a sum of positive terms, so small ones keep their digits."""

    mass: Tensor  # (L + 1, B, M) P(atom = j), j = 0..L
    above: Tensor  # (L, B, M) P(atom >= l), l = 1..L
    below: Tensor  # (L, B, M) P(atom < l)


Residual = Callable[[Tensor], tuple[Tensor, Tensor]]  # thresholds (L, B) -> residual (L, B) and Jacobian (B, L, L)


def transport(scores: Tensor, thresholds: Tensor) -> Plan:
    """The plan of candidates (B, M) for thresholds (L, B)."""
    steps = scores - thresholds.unsqueeze(-1)  # (B, M) - (L, B, 1) -> (L, B, M)
    logits = steps if len(steps) == 1 else steps.cumsum(0)
    return plan_of(torch.cat([torch.zeros_like(steps[:1]), logits]).softmax(0))


def plan_of(mass: Tensor) -> Plan:
    """The plan with these probabilities (L + 1, B, M) of the atoms 0..L."""
    if len(mass) == 2:
        return Plan(mass, above=mass[1:], below=mass[:1])
    return Plan(mass, mass[1:].flip(0).cumsum(0).flip(0), mass[:-1].cumsum(0))


def covariance(plan: Plan, weight: Tensor | None = None) -> Tensor:
    """K (B, L, L): sum_i Cov_i(1[atom >= l], 1[atom >= m]) = sum_i P_i(atom >= max(l, m)) P_i(atom < min(l, m)).
    The last candidate counts `weight` (B, 1) times."""
    above = plan.above if weight is None else weighted(plan.above, weight)
    lower = batch_first(above) @ batch_first(plan.below).mT  # (B, L, M) x (B, M, L) -> (B, L, L), right for l >= m
    return lower.tril() + lower.tril(-1).mT


def batch_first(values: Tensor) -> Tensor:
    """(L, B, M) -> (B, L, M)"""
    return values.transpose(0, 1)


def weighted(values: Tensor, weight: Tensor) -> Tensor:
    """values (L, B, M) with the last candidate counted `weight` (B, 1) times."""
    return torch.cat([values[..., :-1], values[..., -1:] * weight], -1)


def start(head: Head, cuts: Sequence[int]) -> Tensor:
    """Thresholds (L, B), exact as temperature -> 0: halfway between the soft maximum of those below the cut and the
    soft minimum of those above. Newton from here takes 3 to 10 steps; from zero up to 34."""
    largest = max(cuts)
    scores = head.scores
    others = torch.cat([scores[:, largest:-1], scores[:, -1:] + head.weight.log()], -1)
    others = torch.logsumexp(others, -1, keepdim=True)  # (B, M - k) -> (B, 1)
    soft_max = torch.logcumsumexp(torch.cat([others, scores[:, 1:largest].flip(-1)], -1), -1).flip(-1)  # (B, k)
    soft_min = -torch.logcumsumexp(-scores[:, :largest], -1)  # (B, k): entry r - 1 is about the ranks up to r
    halfway = (soft_max + soft_min).mul_(0.5)
    return halfway[:, cuts[-1] - 1 :].flip(1).T  # (B, k) -> (L, B)


def residual(head: Head, rest: Sequence[Tensor], cuts: Sequence[int]) -> Residual:
    """The function to be brought to zero, g_l = log(mass above cut l from below it) - log(mass lost from above it).

    head: the best candidates; rest: more of them (B, M'), in any order, worse than the first max(cuts) of the head.
    The diagonal of its Jacobian lies in [1/2, 2] by monotonicity; that of a hard cut, 0, is lifted to 1/2.
    """
    largest = max(cuts)
    position = torch.arange(head.scores.shape[-1], device=head.scores.device)
    ranks = torch.arange(largest, cuts[-1] - 1, -1, device=position.device)  # the cuts, made on the device
    under = position >= ranks.unsqueeze(-1)  # (L, M)
    under = under.to(head.scores.dtype).unsqueeze(1)  # (L, 1, M)
    gaining, losing = weighted(under.expand(-1, len(head.scores), -1), head.weight), 1.0 - under[..., :largest]

    def evaluate(thresholds: Tensor) -> tuple[Tensor, Tensor]:
        plan = transport(head.scores, thresholds)
        up = (plan.above * gaining).sum(-1)  # (L, B, M) -> (L, B)
        down = (plan.below[..., :largest] * losing).sum(-1)
        spread = None
        for block in rest:
            other = transport(block, thresholds)
            up = up + other.above.sum(-1)
            spread = covariance(other) if spread is None else spread + covariance(other)
        up, down = up.clamp_min(HARD), down.clamp_min(HARD)
        slope = gaining / up.unsqueeze(-1)  # (L, B, M)
        slope[..., :largest] += losing / down.unsqueeze(-1)
        lower = batch_first(slope * plan.above) @ batch_first(plan.below).mT  # (B, L, L), right for l >= m
        upper = batch_first(slope * plan.below) @ batch_first(plan.above).mT  # right for l < m
        jacobian = lower.tril_().add_(upper.triu_(1))
        if spread is not None:
            jacobian += spread / up.T.unsqueeze(-1)
        jacobian.diagonal(dim1=-2, dim2=-1).clamp_min_(0.5)
        return torch.log(up / down), jacobian

    return evaluate


def newton(evaluate: Residual, thresholds: Tensor, precision: torch.dtype) -> Tensor:
    """Thresholds (L, B) at which the residual vanishes, by Newton with back-tracking on the largest residual.

    precision: what the weights will be rounded to.
    """
    converged = CONVERGED[precision]
    looking = may_wait(thresholds)
    accepted = step = thresholds
    lowest = torch.full_like(thresholds[:1], torch.inf)  # (1, B)
    for _ in range(STEPS if looking else STEPS_WITHOUT_LOOKING):
        distance, jacobian = evaluate(thresholds)
        largest = distance.abs().amax(0, keepdim=True)  # (L, B) -> (1, B)
        better = largest <= lowest.clamp_min(converged)
        accepted = torch.where(better, thresholds, accepted)
        lowest = torch.where(better, largest, lowest)
        step = torch.where(better, newton_step(distance, largest, jacobian), 0.4 * step)
        thresholds = accepted + step
        if looking and bool((lowest <= converged).all()):
            break
    return thresholds


def newton_step(distance: Tensor, largest: Tensor, jacobian: Tensor) -> Tensor:
    """J^-1 g (L, B), or the diagonal step for problems where that is not finite or absurdly long; largest: the largest
    |g| (1, B)."""
    full = torch.linalg.solve_ex(jacobian, distance.T)[0].T  # (L, B)
    usable = (full.abs() <= 100 * len(full) * largest).all(0, keepdim=True)  # false for NaN
    return torch.where(usable, full, distance / jacobian.diagonal(dim1=-2, dim2=-1).T)
