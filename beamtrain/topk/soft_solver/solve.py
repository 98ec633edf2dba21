"""SOFT top-k as two functions with derivatives of every order: solved for the best M candidates, or for all N.

The thresholds are found by Newton's method and differentiated by the optimality conditions, not through the
iterations. A first derivative takes what the solution left behind; where it is to be differentiated in its turn, what
it is made of is computed again as a function of the scores and the thresholds.

Axes: B problems, N scores, M candidates kept, L thresholds (k sorted, 1 plain).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from beamtrain.topk.checks import check_best
from beamtrain.topk.hard import hard_topk
from beamtrain.topk.soft_solver.implicit import mass_tangent, multipliers, pull, score_gradient, spread
from beamtrain.topk.soft_solver.pruning import (
    OUT_OF_REACH,
    Tail,
    lump,
    lump_gradient,
    lump_tangent,
    tail_bound,
    tail_moments,
    with_stand_in,
)
from beamtrain.topk.soft_solver.thresholds import (
    Head,
    Plan,
    covariance,
    newton,
    plan_of,
    residual,
    start,
    transport,
)
from beamtrain.topk.transforms import Transformable, forward_rule, over_more_rows, primals

BLOCK = 2048  # candidates at a time when all N are solved for: the working set stays in the cache
WARM = 64  # candidates in the head from which that solution starts


def solve_for_best(
    scores: Tensor, cuts: tuple[int, ...], temperature: float, kept: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Thresholds from the best M = kept candidates and, if there are more, one that stands for the rest.

    scores (B, N) -> weights (B, L, M), thresholds (B, L), indices (B, M), tail (B,).
    """
    function = _SolvedForBest if torch.compiler.is_compiling() else _ForwardSolvedForBest
    return function.apply(scores, cuts, temperature, kept)[:4]


def solve_for_all(scores: Tensor, cuts: tuple[int, ...], temperature: float) -> tuple[Tensor, Tensor]:
    """Thresholds from every candidate, block by block, starting from those of the best few.

    scores (B, N) -> weights (B, L, N), thresholds (B, L).
    """
    function = _SolvedForAll if torch.compiler.is_compiling() else _ForwardSolvedForAll
    return function.apply(scores, cuts, temperature)[:2]


class _SolvedForBest(Transformable):
    """solve_for_best without the forward mode."""

    @staticmethod
    def forward(scores: Tensor, cuts: tuple[int, ...], temperature: float, kept: int) -> tuple[Tensor, ...]:
        """The four results, and what the derivatives need: the thresholds in temperatures, the plan's mass, how many
        the last candidate stands for, and the tail if there is one."""
        k = max(cuts)
        best, indices = hard_topk(scores, kept)  # (B, N) -> (B, M)
        check_best(best, k)
        centre = best[:, k - 1 : k].double()
        head, tail = _head(scores, best, indices, centre, k, temperature)
        thresholds = newton(residual(head, (), cuts), start(head, cuts), scores.dtype)
        plan = transport(head.scores, thresholds)
        if tail is None:
            bound = torch.zeros_like(scores[:, 0])
        else:
            bound = tail_bound(head.scores[:, :-1], tail.first, k).to(scores.dtype)
        weights = _by_rank(plan.mass[1:, :, :-1], scores.dtype)
        in_scores = (_in_scores(thresholds, temperature) + centre).to(scores.dtype)
        return weights, in_scores, indices, bound, thresholds, plan.mass, head.weight, *(tail or ())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        scores, cuts, temperature, _ = inputs
        _, _, indices, bound, thresholds, *others = output
        ctx.k, ctx.temperature = max(cuts), temperature
        ctx.save_for_backward(scores, indices, thresholds, *others)
        ctx.save_for_forward(scores, indices, thresholds, *others)
        ctx.mark_non_differentiable(indices, bound, *others)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(
        ctx: Any, by_weights: Tensor | None, by_in_scores: Tensor | None, _: None, __: None, *by_others: Tensor | None
    ) -> tuple[Any, ...]:
        scores, indices, thresholds, mass, weight, *moments = ctx.saved_tensors
        plan, tail = plan_of(mass), Tail(*moments) if moments else None
        if _differentiated_again():
            plan, weight, tail = _again(ctx, ctx.saved_tensors)
        target, steps = -_by_thresholds(thresholds, by_in_scores, by_others[0], ctx.temperature), None
        if by_weights is not None:
            steps = _steps(torch.nn.functional.pad(by_weights, (0, 1)))  # (L, B, M + 1)
            target = target + pull(plan, steps)
        nu = multipliers(covariance(plan, weight), target)
        by_head = score_gradient(plan, steps, nu) / ctx.temperature  # (B, M + 1)
        by_best = by_head[:, :-1].to(scores.dtype)
        if tail is None:
            gradient = by_best.new_zeros(scores.shape)
        else:
            by_log_weight = (plan.above[..., -1] * nu).sum(0).unsqueeze(-1) / -ctx.temperature  # (L, B) -> (B, 1)
            gradient = lump_gradient(tail, by_head[:, -1:] * weight, by_log_weight * weight)
        return gradient.scatter_add_(1, indices, by_best), None, None, None

    @staticmethod
    def vmap(_: Any, in_dims: Any, scores: Tensor, *settings: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        moments = () if settings[-1] == scores.shape[-1] else (0,) * len(Tail._fields)
        return over_more_rows(_ForwardSolvedForBest, in_dims[0], (0, 0, 0, 0, 1, 1, 0, *moments), scores, *settings)


class _ForwardSolvedForBest(_SolvedForBest):
    """solve_for_best."""

    @staticmethod
    @forward_rule
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        saved = primals(ctx)
        plan, weight, tail = _again(ctx, saved)
        scaled = tangent / ctx.temperature
        moved = scaled.gather(1, saved[1]).double()  # (B, M)
        stand_in, log_weight = (torch.zeros_like(weight),) * 2 if tail is None else lump_tangent(tail, scaled)
        counted = torch.cat([moved, stand_in * weight], -1)  # (B, M + 1)
        target = (spread(plan) * counted).sum(-1) + plan.above[..., -1] * (weight * log_weight).T
        thresholds = multipliers(covariance(plan, weight), target)  # (L, B)
        by_atom = mass_tangent(plan, torch.cat([moved, stand_in], -1) - thresholds.unsqueeze(-1))[..., :-1]
        by_rank, in_scores = _by_rank(by_atom, tangent.dtype), _in_scores(thresholds, ctx.temperature)
        return by_rank, in_scores.to(tangent.dtype), None, None, thresholds, *(None for _ in saved[3:])


class _SolvedForAll(Transformable):
    """solve_for_all without the forward mode."""

    @staticmethod
    def forward(scores: Tensor, cuts: tuple[int, ...], temperature: float) -> tuple[Tensor, ...]:
        """The two results, and what the derivatives need: the thresholds in temperatures from the k-th best score, and
        that score."""
        k, columns = max(cuts), scores.shape[-1]
        best, indices = hard_topk(scores, min(max(WARM, 2 * k), columns))
        check_best(best, k)
        centre = best[:, k - 1 : k].double()
        head, tail = _head(scores, best, indices, centre, k, temperature)
        thresholds = newton(residual(head, (), cuts), start(head, cuts), scores.dtype)
        if tail is not None:
            others = scores.scatter(1, indices, -torch.inf)  # what the head holds is absent here
            rest = [_scaled_block(block, centre, temperature) for block in others.split(BLOCK, -1)]
            head = with_stand_in(_scaled(best, centre, temperature), k, None)
            thresholds = newton(residual(head, rest, cuts), thresholds, scores.dtype)
        weights = scores.new_empty(len(scores), len(cuts), columns)
        for block, part in zip(scores.split(BLOCK, -1), weights.split(BLOCK, -1), strict=True):
            plan = transport(_scaled_block(block, centre, temperature), thresholds)
            part.copy_(_by_rank(plan.mass[1:], scores.dtype))
        return weights, (_in_scores(thresholds, temperature) + centre).to(scores.dtype), thresholds, centre

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        scores, _, ctx.temperature = inputs
        _, _, thresholds, centre = output
        ctx.save_for_backward(scores, thresholds, centre)
        ctx.save_for_forward(scores, thresholds, centre)
        ctx.mark_non_differentiable(centre)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(
        ctx: Any, by_weights: Tensor | None, by_in_scores: Tensor | None, by_scaled: Tensor | None, _: None
    ) -> tuple[Any, ...]:
        scores, thresholds, _ = saved = ctx.saved_tensors
        curvatures, targets = [], [-_by_thresholds(thresholds, by_in_scores, by_scaled, ctx.temperature)]
        for plan, by_some in _blocks(ctx, saved, by_weights):
            curvatures.append(covariance(plan))
            if by_some is not None:
                targets.append(pull(plan, _steps(by_some)))
        nu = multipliers(torch.stack(curvatures).sum(0), torch.stack(targets).sum(0))
        parts = []
        for plan, by_some in _blocks(ctx, saved, by_weights):
            steps = None if by_some is None else _steps(by_some)
            parts.append((score_gradient(plan, steps, nu) / ctx.temperature).to(scores.dtype))
        return torch.cat(parts, -1), None, None

    @staticmethod
    def vmap(_: Any, in_dims: Any, scores: Tensor, *settings: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return over_more_rows(_ForwardSolvedForAll, in_dims[0], (0, 0, 1, 0), scores, *settings)


class _ForwardSolvedForAll(_SolvedForAll):
    """solve_for_all."""

    @staticmethod
    @forward_rule
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        saved, scaled = primals(ctx), tangent.double() / ctx.temperature
        sums = [(covariance(plan), (spread(plan) * moved).sum(-1)) for plan, moved in _blocks(ctx, saved, scaled)]
        curvature, target = (torch.stack(parts).sum(0) for parts in zip(*sums, strict=True))
        thresholds = multipliers(curvature, target)  # (L, B)
        parts = [mass_tangent(plan, moved - thresholds.unsqueeze(-1)) for plan, moved in _blocks(ctx, saved, scaled)]
        by_rank, in_scores = _by_rank(torch.cat(parts, -1), tangent.dtype), _in_scores(thresholds, ctx.temperature)
        return by_rank, in_scores.to(tangent.dtype), thresholds, None


def _differentiated_again() -> bool:
    """Whether the derivative that is being computed will be differentiated in its turn; compiled code never does."""
    return torch.is_grad_enabled() and not torch.compiler.is_compiling()


def _head(
    scores: Tensor, best: Tensor, indices: Tensor, centre: Tensor, k: int, temperature: float
) -> tuple[Head, Tail | None]:
    """The best M candidates with one for the others, and those others if there are any, as functions of the scores."""
    scaled = _scaled(best, centre, temperature)
    if best.shape[-1] == scores.shape[-1]:
        return with_stand_in(scaled, k, None), None
    tail = tail_moments(scores, best.detach(), indices, temperature)
    return with_stand_in(scaled, k, lump(tail, scaled[:, -1:].detach())), tail


def _again(ctx: Any, saved: tuple[Tensor, ...]) -> tuple[Plan, Tensor, Tail | None]:
    """The plan, the last candidate's weight and the tail, as functions of what solve_for_best saved."""
    scores, indices, thresholds, *_ = saved
    best = scores.gather(1, indices)
    centre = best[:, ctx.k - 1 : ctx.k].detach().double()
    head, tail = _head(scores, best, indices, centre, ctx.k, ctx.temperature)
    return transport(head.scores, thresholds), head.weight, tail


def _scaled(best: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Scores (B, M) in temperatures from the k-th best (B, 1), in float64, so that differences at the cut are exact."""
    return (best.double() - centre).div_(temperature)


def _scaled_block(block: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """The same for some of all candidates (B, M)."""
    return _scaled(block, centre, temperature).clamp_min_(-OUT_OF_REACH)


def _blocks(ctx: Any, saved: tuple[Tensor, ...], values: Tensor | None) -> Iterator[tuple[Plan, Any]]:
    """Where the candidates go, BLOCK at a time, as functions of what solve_for_all saved; and their part of `values`
    (..., N), if there are any."""
    scores, thresholds, centre = saved
    blocks = scores.split(BLOCK, -1)
    parts = [None] * len(blocks) if values is None else values.split(BLOCK, -1)
    for block, part in zip(blocks, parts, strict=True):
        yield transport(_scaled_block(block, centre, ctx.temperature), thresholds), part


def _by_rank(by_atom: Tensor, dtype: torch.dtype) -> Tensor:
    """Values of the atoms 1..L (L, B, M) -> of the ranks 1..L (B, L, M)."""
    return by_atom.flip(0).transpose(0, 1).to(dtype, memory_format=torch.contiguous_format).contiguous()


def _in_scores(thresholds: Tensor, temperature: float) -> Tensor:
    """(L, B) in temperatures -> (B, L) in the unit of the scores, best rank first."""
    return thresholds.T.flip(1) * temperature


def _steps(by_weights: Tensor) -> Tensor:
    """dL/d(weights) (B, L, M), best rank first, as its differences (L, B, M) from atom to atom, in float64."""
    by_atoms = by_weights.transpose(0, 1).flip(0).double()  # (L, B, M), atoms 1..L; atom 0 has no gradient
    return torch.diff(by_atoms, dim=0, prepend=torch.zeros_like(by_atoms[:1]))


def _by_thresholds(
    thresholds: Tensor, by_in_scores: Tensor | None, by_scaled: Tensor | None, temperature: float
) -> Tensor:
    """dL/dtheta (L, B) in units of the temperature, from the gradients of the thresholds in the unit of the scores
    (B, L), best rank first, and of those in temperatures (L, B)."""
    by_scaled = torch.zeros_like(thresholds) if by_scaled is None else by_scaled
    return by_scaled if by_in_scores is None else by_scaled + temperature * by_in_scores.double().T.flip(0)
