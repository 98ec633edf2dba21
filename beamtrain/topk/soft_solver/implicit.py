"""The derivative of SOFT top-k without its iterations: the optimality conditions, differentiated (Xie et al. 2020,
3.2).

With G = dL/dP, DG_m = G_m - G_(m-1), and y the atom of a candidate under its row of the plan, every covariance is a
sum of

    kappa_lm = Cov(1[y >= l], 1[y >= m]) = P(y >= max(l, m)) P(y < min(l, m))        (positive, no cancellation)

Backward, from G to the scores (in units of the temperature):

    q_l = sum_i sum_m kappa_lm DG_m        K = sum_i kappa        K nu = q - dL/dtheta
    dL/dx_i = sum_m R_m (DG_m - nu_m),        R_m = sum_l kappa_lm = Cov(1[y >= m], y)

Forward, from dx to the thresholds and the plan:

    K dtheta = sum_i R dx_i        dP_j = P_j (dz_j - sum_j' P_j' dz_j'),        dz_j = sum_{l<=j} (dx - dtheta_l)

The first equals the paper's KKT gradient, and stays exact when the operator is almost hard. All of it is made of
differentiable operations that may be batched over (torch.vmap): with the plan as a function of the scores and the
thresholds, the thresholds' own derivative being this one, derivatives of every order follow.
"""

import torch
from torch import Tensor

from beamtrain.topk.soft_solver.thresholds import Plan


def pull(plan: Plan, steps: Tensor) -> Tensor:
    """q (L, B) of some candidates, from steps (L, B, M): DG_m for m = 1..L."""
    by_above, by_below = plan.above * steps, plan.below * steps
    inner = plan.above * by_below.cumsum(0)  # (L, B, M): U_l sum_{m<=l} V_m DG_m
    outer = (by_above.flip(0).cumsum(0).flip(0) - by_above) * plan.below  # V_l sum_{m>l} U_m DG_m
    return (inner + outer).sum(-1)


def multipliers(curvature: Tensor, target: Tensor) -> Tensor:
    """nu (L, B) from K (B, L, L) and the right-hand side (L, B), Jacobi scaled; a hard cut gets no multiplier."""
    diagonal = curvature.detach().diagonal(dim1=-2, dim2=-1)  # (B, L)
    hard = diagonal < 1e-290
    scale = diagonal.clamp_min(1e-290).rsqrt().masked_fill(hard, 0.0)
    scaled = curvature * scale.unsqueeze(-1) * scale.unsqueeze(-2) + torch.diag_embed(hard.to(scale.dtype))
    return (scale * torch.linalg.solve_ex(scaled, (scale * target.T).unsqueeze(-1))[0].squeeze(-1)).T


def spread(plan: Plan) -> Tensor:
    """R (L, B, M) of some candidates."""
    outer = plan.above.flip(0).cumsum(0).flip(0) * plan.below  # V_m sum_{l>=m} U_l
    inner = (plan.below.cumsum(0) - plan.below) * plan.above  # U_m sum_{l<m} V_l
    return outer + inner


def score_gradient(plan: Plan, steps: Tensor | None, nu: Tensor) -> Tensor:
    """dL/dx (B, M) of some candidates, each counted once, from steps (L, B, M), if any, and nu (L, B)."""
    return (spread(plan) * ((0.0 if steps is None else steps) - nu.unsqueeze(-1))).sum(0)


def mass_tangent(plan: Plan, steps: Tensor) -> Tensor:
    """dP (L, B, M) of some candidates, from steps (L, B, M): dx - dtheta_l for l = 1..L."""
    logits, mass = steps.cumsum(0), plan.mass[1:]
    return mass * (logits - (mass * logits).sum(0))
