"""SOFT top-k as two autograd functions: solved for the best M candidates, or for all N.

Axes: B problems, N scores, M candidates kept, L thresholds (k sorted, 1 plain).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from beamtrain.topk.checks import check_best
from beamtrain.topk.hard import hard_topk
from beamtrain.topk.soft_solver.implicit import Block, curvature, multipliers, pull, score_gradient
from beamtrain.topk.soft_solver.pruning import (
    OUT_OF_REACH,
    Tail,
    lump,
    lump_gradient,
    tail_bound,
    tail_moments,
    with_stand_in,
)
from beamtrain.topk.soft_solver.thresholds import Plan, newton, residual, start, transport

BLOCK = 2048  # candidates at a time when all N are solved for: the working set stays in the cache
WARM = 64  # candidates in the head from which that solution starts


class SolvedForBest(torch.autograd.Function):
    """Thresholds from the best M candidates and, if there are more, one that stands for the rest."""

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, cuts: tuple[int, ...], temperature: float, kept: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """scores (B, N) -> weights (B, L, M), thresholds (B, L), indices (B, M), tail (B,)."""
        k = max(cuts)
        best, indices = hard_topk(scores, kept)  # (B, N) -> (B, M)
        check_best(best, k)
        scaled, centre = _scaled(best, k, temperature)
        lumped, tail, bound = None, None, torch.zeros_like(scores[:, 0])
        if kept < scores.shape[-1]:
            tail = tail_moments(scores, best, indices, temperature)
            lumped = lump(tail, scaled[:, -1:])
            bound = tail_bound(scaled, tail.first, k).to(scores.dtype)
        head = with_stand_in(scaled, k, lumped)
        thresholds = newton(residual(head, (), cuts), start(head, cuts), scores.dtype)
        plan = transport(head.scores, thresholds)
        ctx.save_for_backward(indices, head.weight, *plan[1:], *(tail or ()))
        ctx.temperature, ctx.shape, ctx.dtype = temperature, scores.shape, scores.dtype
        ctx.mark_non_differentiable(indices, bound)
        ctx.set_materialize_grads(False)
        weights = plan.mass[..., :-1].flip(0).to(scores.dtype).transpose(0, 1)  # atoms 1..L -> ranks 1..L: (B, L, M)
        return weights.contiguous(), _in_scores(thresholds, centre, temperature).to(scores.dtype), indices, bound

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_weights: Tensor | None, by_thresholds: Tensor | None, *_: Any) -> tuple[Any, ...]:
        indices, weight, above, below, *tail = ctx.saved_tensors
        padded = None if by_weights is None else torch.nn.functional.pad(by_weights, (0, 1))  # (B, L, M + 1)
        block = Block(Plan(above, above, below), weight, _steps(padded))
        nu = multipliers(curvature(block), pull(block) - _by_cuts(by_thresholds, ctx.temperature))
        by_head = score_gradient(block, nu, ctx.temperature)  # (B, M + 1)
        if tail:
            by_log_weight = (above[..., -1] * nu).sum(0).unsqueeze(-1) * weight / -ctx.temperature  # (L, B) -> (B, 1)
            gradient = lump_gradient(Tail(*tail), by_head[:, -1:], by_log_weight)
        else:
            gradient = by_head.new_zeros(ctx.shape, dtype=ctx.dtype)
        return gradient.scatter_(1, indices, by_head[:, :-1].to(ctx.dtype)), None, None, None


class SolvedForAll(torch.autograd.Function):
    """Thresholds from every candidate, block by block, starting from those of the best few."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, cuts: tuple[int, ...], temperature: float) -> tuple[Tensor, Tensor]:
        """scores (B, N) -> weights (B, L, N), thresholds (B, L)."""
        k, columns = max(cuts), scores.shape[-1]
        best, indices = hard_topk(scores, min(max(WARM, 2 * k), columns))
        check_best(best, k)
        scaled, centre = _scaled(best, k, temperature)
        pruned = best.shape[-1] < columns
        tail = tail_moments(scores, best, indices, temperature) if pruned else None
        head = with_stand_in(scaled, k, lump(tail, scaled[:, -1:]) if tail else None)
        thresholds = newton(residual(head, (), cuts), start(head, cuts), scores.dtype)
        if pruned:
            others = scores.scatter(1, indices, -torch.inf)  # what the head holds is absent here
            rest = [_scaled_block(block, centre, temperature) for block in others.split(BLOCK, -1)]
            thresholds = newton(residual(with_stand_in(scaled, k, None), rest, cuts), thresholds, scores.dtype)
        ctx.save_for_backward(scores, thresholds, centre)
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)
        weights = scores.new_empty(len(scores), len(cuts), columns)
        for block, part in zip(scores.split(BLOCK, -1), weights.split(BLOCK, -1), strict=True):
            plan = transport(_scaled_block(block, centre, temperature), thresholds)
            part.copy_(plan.mass.flip(0).transpose(0, 1))  # atoms 1..L -> ranks 1..L
        return weights, _in_scores(thresholds, centre, temperature).to(scores.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_weights: Tensor | None, by_thresholds: Tensor | None) -> tuple[Any, ...]:
        scores, thresholds, centre = ctx.saved_tensors
        arguments = (scores, thresholds, centre, ctx.temperature, by_weights)
        sums = [(curvature(block), pull(block)) for block in _blocks(*arguments)]
        spread, target = (torch.stack(parts).sum(0) for parts in zip(*sums, strict=True))
        nu = multipliers(spread, target - _by_cuts(by_thresholds, ctx.temperature))
        parts = [score_gradient(block, nu, ctx.temperature).to(scores.dtype) for block in _blocks(*arguments)]
        return torch.cat(parts, -1), None, None


def _scaled(best: Tensor, k: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Scores (B, M) in temperatures from the k-th best, in float64, so that differences at the cut are exact; and that
    score (B, 1)."""
    exact = best.double()
    centre = exact[:, k - 1 : k]
    return (exact - centre).div_(temperature), centre


def _scaled_block(block: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """The same for some of all candidates (B, M)."""
    return (block.double() - centre).div_(temperature).clamp_min_(-OUT_OF_REACH)


def _in_scores(thresholds: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """(L, B) in temperatures from the k-th score -> (B, L) in the unit of the scores, best rank first."""
    return thresholds.flip(0).T * temperature + centre


def _blocks(
    scores: Tensor, thresholds: Tensor, centre: Tensor, temperature: float, by_weights: Tensor | None
) -> Iterator[Block]:
    """All candidates in their order, BLOCK at a time, with the gradient that their plan received."""
    for begin in range(0, scores.shape[-1], BLOCK):
        span = slice(begin, begin + BLOCK)
        plan = transport(_scaled_block(scores[:, span], centre, temperature), thresholds)
        yield Block(plan, None, _steps(None if by_weights is None else by_weights[..., span]))


def _steps(by_weights: Tensor | None) -> Tensor | None:
    """dL/d(weights) (B, L, M), best rank first, as its differences (L, B, M) from atom to atom, in float64."""
    if by_weights is None:
        return None
    by_atoms = by_weights.transpose(0, 1).flip(0).double()  # (L, B, M), atoms 1..L; atom 0 has no gradient
    return torch.diff(by_atoms, dim=0, prepend=torch.zeros_like(by_atoms[:1]))


def _by_cuts(by_thresholds: Tensor | None, temperature: float) -> Tensor | float:
    """temperature dL/dtheta (L, B) for cuts 1..L, from the gradient (B, L) of the returned thresholds, best first."""
    return 0.0 if by_thresholds is None else temperature * by_thresholds.double().T.flip(0)
