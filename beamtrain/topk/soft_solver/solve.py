"""SOFT top-k as two functions with derivatives of every order: solved for the best M candidates, or for all N.

The thresholds are found by Newton's method and differentiated by the optimality conditions, not through the
iterations. A first derivative takes what the solution left behind; where that derivative is itself to be
differentiated, what it is made of is computed again from the scores and the thresholds, as a function of both.

Axes: B problems, N scores, M candidates kept, L thresholds (k sorted, 1 plain).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from beamtrain.topk.checks import check_best
from beamtrain.topk.hard import hard_topk
from beamtrain.topk.soft_solver.implicit import mass_tangent, multipliers, pull, spread
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
from beamtrain.topk.soft_solver.thresholds import Head, Plan, Sides, covariance, newton, residual, start, transport
from beamtrain.topk.transforms import forward_rule, over_more_rows, primals

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


class _SolvedForBest(Function):
    """solve_for_best without the forward mode."""

    @staticmethod
    def forward(scores: Tensor, cuts: tuple[int, ...], temperature: float, kept: int) -> tuple[Tensor, ...]:
        """The four results; then, for the derivatives, the thresholds (L, B) and the k-th best score (B, 1) that they
        are centred at, the weight of the last candidate, the sides of the plan, and the tail if there is one."""
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
        return (
            _by_rank(plan.mass[..., :-1], scores.dtype),
            _in_scores(thresholds, centre, temperature).to(scores.dtype),
            indices,
            bound,
            thresholds,
            centre,
            head.weight,
            *plan.sides,
            *(tail or ()),
        )

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
    def backward(ctx: Any, by_weights: Tensor | None, by_thresholds: Tensor | None, *others: Any) -> tuple[Any, ...]:
        scores, indices, thresholds, centre, weight, above, below, *moments = ctx.saved_tensors
        if _differentiated_again():
            head, tail, plan = _again(ctx, ctx.saved_tensors)
            weight, sides = head.weight, plan.sides
        else:
            sides, tail = Sides(above, below), Tail(*moments) if moments else None
        target, steps = -_by_cuts(thresholds, by_thresholds, others[2], ctx.temperature), None
        if by_weights is not None:
            steps = _steps(torch.nn.functional.pad(by_weights, (0, 1)))  # (L, B, M + 1)
            target = target + pull(sides, steps)
        nu = multipliers(covariance(sides, weight), target)
        by_head = _score_gradient(sides, steps, nu) / ctx.temperature  # (B, M + 1)
        by_best = by_head[:, :-1].to(scores.dtype)
        if tail is None:
            gradient = by_best.new_zeros(scores.shape)
        else:
            by_stand_in = by_head[:, -1:] * weight
            by_log_weight = (sides.above[..., -1] * nu).sum(0).unsqueeze(-1) * weight / -ctx.temperature  # (B, 1)
            gradient = lump_gradient(tail, by_stand_in, by_log_weight)
        return gradient.scatter_add_(1, indices, by_best), None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, scores: Tensor, *settings: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        axes = (0, 0, 0, 0, 1, 0, 0, 1, 1, *(0 for _ in Tail._fields if settings[-1] < scores.shape[-1]))
        return over_more_rows(_ForwardSolvedForBest, in_dims[0], axes, scores, *settings)


class _ForwardSolvedForBest(_SolvedForBest):
    """solve_for_best."""

    @staticmethod
    @forward_rule
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        saved = primals(ctx)
        head, tail, plan = _again(ctx, saved)
        scaled = tangent / ctx.temperature
        moved = scaled.gather(1, saved[1]).double()  # (B, M)
        stand_in, log_weight = (torch.zeros_like(moved[:, :1]),) * 2 if tail is None else lump_tangent(tail, scaled)
        moved = torch.cat([moved, stand_in], -1)  # (B, M + 1)
        counted = torch.cat([moved[:, :-1], stand_in * head.weight], -1)
        target = (spread(plan.sides) * counted).sum(-1) + plan.sides.above[..., -1] * (head.weight * log_weight).T
        cuts = multipliers(covariance(plan.sides, head.weight), target)  # (L, B)
        by_atom = mass_tangent(plan.mass, moved - cuts.unsqueeze(-1))[..., :-1]
        return (
            _by_rank(by_atom, tangent.dtype),
            (cuts.flip(0).T * ctx.temperature).to(tangent.dtype),
            None,
            None,
            cuts,
            *(None,) * (len(saved) - 3),
        )


class _SolvedForAll(Function):
    """solve_for_all without the forward mode."""

    @staticmethod
    def forward(scores: Tensor, cuts: tuple[int, ...], temperature: float) -> tuple[Tensor, ...]:
        """The two results; then the thresholds (L, B) and the k-th best score (B, 1) that they are centred at."""
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
            part.copy_(_by_rank(plan.mass, scores.dtype))
        return weights, _in_scores(thresholds, centre, temperature).to(scores.dtype), thresholds, centre

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
        ctx: Any, by_weights: Tensor | None, by_thresholds: Tensor | None, by_scaled: Tensor | None, *_: None
    ) -> tuple[Any, ...]:
        scores, thresholds, _ = ctx.saved_tensors
        curvatures, targets = [], [-_by_cuts(thresholds, by_thresholds, by_scaled, ctx.temperature)]
        for plan, by_some in _blocks(ctx, ctx.saved_tensors, by_weights):
            curvatures.append(covariance(plan.sides))
            if by_some is not None:
                targets.append(pull(plan.sides, _steps(by_some)))
        nu = multipliers(torch.stack(curvatures).sum(0), torch.stack(targets).sum(0))
        parts = []
        for plan, by_some in _blocks(ctx, ctx.saved_tensors, by_weights):
            steps = None if by_some is None else _steps(by_some)
            parts.append((_score_gradient(plan.sides, steps, nu) / ctx.temperature).to(scores.dtype))
        return torch.cat(parts, -1), None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, scores: Tensor, *settings: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return over_more_rows(_ForwardSolvedForAll, in_dims[0], (0, 0, 1, 0), scores, *settings)


class _ForwardSolvedForAll(_SolvedForAll):
    """solve_for_all."""

    @staticmethod
    @forward_rule
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        saved, scaled = primals(ctx), tangent.double() / ctx.temperature
        sums = [
            (covariance(plan.sides), (spread(plan.sides) * moved).sum(-1))
            for plan, moved in _blocks(ctx, saved, scaled)
        ]
        curvature, target = (torch.stack(parts).sum(0) for parts in zip(*sums, strict=True))
        cuts = multipliers(curvature, target)  # (L, B)
        parts = [mass_tangent(plan.mass, moved - cuts.unsqueeze(-1)) for plan, moved in _blocks(ctx, saved, scaled)]
        by_atom = torch.cat(parts, -1)
        return _by_rank(by_atom, tangent.dtype), (cuts.flip(0).T * ctx.temperature).to(tangent.dtype), cuts, None


def _differentiated_again() -> bool:
    """Whether a derivative that is being computed will be differentiated in its turn."""
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


def _again(ctx: Any, saved: tuple[Tensor, ...]) -> tuple[Head, Tail | None, Plan]:
    """What solve_for_best computed, as functions of the scores and the thresholds that it saved."""
    scores, indices, thresholds, centre, *_ = saved
    head, tail = _head(scores, scores.gather(1, indices), indices, centre, ctx.k, ctx.temperature)
    return head, tail, transport(head.scores, thresholds)


def _scaled(best: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Scores (B, M) in temperatures from the k-th best (B, 1), in float64, so that differences at the cut are exact."""
    return (best.double() - centre).div_(temperature)


def _scaled_block(block: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """The same for some of all candidates (B, M)."""
    return _scaled(block, centre, temperature).clamp_min_(-OUT_OF_REACH)


def _blocks(ctx: Any, saved: tuple[Tensor, ...], values: Tensor | None) -> Iterator[tuple[Plan, Tensor | None]]:
    """Where the candidates go, BLOCK at a time, as functions of what solve_for_all saved; and their part of `values`
    (..., N)."""
    scores, thresholds, centre = saved
    blocks = scores.split(BLOCK, -1)
    parts = [None] * len(blocks) if values is None else values.split(BLOCK, -1)
    for block, part in zip(blocks, parts, strict=True):
        yield transport(_scaled_block(block, centre, ctx.temperature), thresholds), part


def _by_rank(by_atom: Tensor, dtype: torch.dtype) -> Tensor:
    """Values of the atoms 1..L (L, B, M) -> of the ranks 1..L (B, L, M)."""
    return by_atom.flip(0).to(dtype).transpose(0, 1).contiguous()


def _in_scores(thresholds: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """(L, B) in temperatures from the k-th score -> (B, L) in the unit of the scores, best rank first."""
    return thresholds.flip(0).T * temperature + centre


def _steps(by_weights: Tensor) -> Tensor:
    """dL/d(weights) (B, L, M), best rank first, as its differences (L, B, M) from atom to atom, in float64."""
    by_atoms = by_weights.transpose(0, 1).flip(0).double()  # (L, B, M), atoms 1..L; atom 0 has no gradient
    return torch.diff(by_atoms, dim=0, prepend=torch.zeros_like(by_atoms[:1]))


def _by_cuts(thresholds: Tensor, by_thresholds: Tensor | None, by_scaled: Tensor | None, temperature: float) -> Tensor:
    """dL/dtheta (L, B) in units of the temperature, from the gradients of the thresholds in the unit of the scores
    (B, L), best rank first, and of those in units of the temperature (L, B)."""
    by_cuts = torch.zeros_like(thresholds) if by_scaled is None else by_scaled
    return by_cuts if by_thresholds is None else by_cuts + temperature * by_thresholds.double().T.flip(0)


def _score_gradient(sides: Sides, steps: Tensor | None, nu: Tensor) -> Tensor:
    """dL/dx (B, M) of some candidates, each counted once, in units of the temperature."""
    return (spread(sides) * ((0.0 if steps is None else steps) - nu.unsqueeze(-1))).sum(0)
