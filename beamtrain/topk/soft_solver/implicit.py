"""The gradient of SOFT top-k without its iterations: the optimality conditions, differentiated (Xie et al. 2020, 3.2).

With G = dL/dP, DG_m = G_m - G_(m-1), and y the atom of a candidate under its row of the plan, every covariance is a
sum of

    kappa_lm = Cov(1[y >= l], 1[y >= m]) = P(y >= max(l, m)) P(y < min(l, m))        (positive, no cancellation)

    q_l = sum_i sum_m kappa_lm DG_m        K = sum_i kappa        K nu = q - temperature dL/dtheta
    dL/dx_i = sum_m R_m (DG_m - nu_m) / temperature,        R_m = sum_l kappa_lm = Cov(1[y >= m], y)

This equals the paper's KKT gradient, and stays exact when the operator is almost hard.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from beamtrain.topk.soft_solver.thresholds import Plan, covariance


class Block(NamedTuple):
    """Some candidates, where they go, how many the last one stands for, and the gradient that their plan received."""

    plan: Plan
    weight: Tensor | None  # (B, 1)
    steps: Tensor | None  # (L, B, M) DG_m for m = 1..L


def pull(block: Block) -> Tensor:
    """q (L, B) of some candidates; what the last one stands for has no gradient of its own."""
    plan, steps = block.plan, block.steps
    if steps is None:
        return torch.zeros_like(plan.above[..., 0])
    by_above, by_below = plan.above * steps, plan.below * steps
    inner = plan.above * by_below.cumsum(0)  # (L, B, M): U_l sum_{m<=l} V_m DG_m
    outer = (by_above.flip(0).cumsum(0).flip(0) - by_above).mul_(plan.below)  # V_l sum_{m>l} U_m DG_m
    return inner.add_(outer).sum(-1)


def multipliers(curvature: Tensor, target: Tensor) -> Tensor:
    """nu (L, B) from K (B, L, L) and the right-hand side (L, B), Jacobi scaled; a hard cut gets no multiplier."""
    diagonal = curvature.diagonal(dim1=-2, dim2=-1)  # (B, L)
    hard = diagonal < 1e-290
    scale = diagonal.clamp_min(1e-290).rsqrt().masked_fill(hard, 0.0)
    scaled = curvature * scale.unsqueeze(-1) * scale.unsqueeze(-2) + torch.diag_embed(hard.to(scale.dtype))
    return (scale * torch.linalg.solve_ex(scaled, scale * target.T)[0]).T


def score_gradient(block: Block, nu: Tensor, temperature: float) -> Tensor:
    """dL/dx (B, M) of some candidates, given nu (L, B)."""
    plan = block.plan
    outer = (plan.above.flip(0).cumsum(0).flip(0)).mul_(plan.below)  # V_m sum_{l>=m} U_l
    inner = (plan.below.cumsum(0) - plan.below).mul_(plan.above)  # U_m sum_{l<m} V_l
    steps = -nu.unsqueeze(-1) if block.steps is None else block.steps - nu.unsqueeze(-1)  # (L, B, M)
    gradient = outer.add_(inner).mul_(steps).sum(0).div_(temperature)  # (L, B, M) -> (B, M)
    if block.weight is not None:
        gradient[:, -1:] *= block.weight
    return gradient


def curvature(block: Block) -> Tensor:
    """K (B, L, L) of some candidates."""
    return covariance(block.plan, block.weight)
