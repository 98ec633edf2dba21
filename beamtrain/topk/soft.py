"""SOFT top-k and sorted SOFT top-k: entropic optimal transport from the scores to the ranks, solved exactly and fast.

Xie et al., "Differentiable Top-k with Optimal Transport", NeurIPS 2020: transport the uniform measure on the scores x
to the atoms 0, 1, .., k (masses (n-k)/n, 1/n, .., 1/n) at cost (x - y)^2 with entropic regularisation eps; n times
the plan has the row softmax_j sum_{l<=j} (x_i - theta_l) / temperature, temperature = eps / 2, in the unit of the
scores. Rank r is the column of atom k + 1 - r. Plain SOFT has the two atoms 0 and 1: the weight is sigmoid((x_i -
theta) / temperature).

Deviations from the paper: the thresholds are found by Newton's method instead of 200 Sinkhorn iterations, hence
exactly; temperature is absolute (the authors' code divides the cost by its maximum over the batch, which couples the
sentences of a batch and the padding to the result); masked candidates (-inf) drop out.

Bias. With h the binary entropy (in nats) and the gap d = x_(k) - x_(k+1), the weights of plain SOFT differ from hard
top-k by at most, in L1,

    2 (temperature / d) n h(k/n)  <=  eps k (ln(n/k) + 1) / d,

and the weights of sorted SOFT, with d the smallest of the gaps x_(r) - x_(r+1), r <= k, by at most
4 (temperature / d) k (ln n + 1). Like the paper's Theorem 2 (a bound of the form eps (ln n + ln 2) / gap on the plan's
Frobenius distance) both follow from "the entropic plan is at least as good in cost - eps * entropy"; these forms are
proved with the masses of the plan's columns, in docs/topk.md.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from beamtrain.topk.base import Operator, Selection
from beamtrain.topk.checks import check_sizes
from beamtrain.topk.soft_solver.solve import solve_for_all, solve_for_best
from beamtrain.topk.transforms import in_full_precision


class SoftSelection(NamedTuple):
    """What soft_topk returns. Half-precision scores give weights of their own type and the rest in float32."""

    weights: Tensor  # (..., k, M) rank 1 first; (..., 1, M) summing to k for the plain operator
    indices: Tensor | None  # (..., M) into N, best first; None when all N were solved for
    thresholds: Tensor  # (..., k) between rank r and r + 1, in the unit of the scores; (..., 1) for the plain operator
    tail: Tensor  # (...) bound on the mass that the exact solution gives to the pruned candidates; no gradient


@in_full_precision
def soft_topk(
    scores: Tensor, k: int, temperature: float = 0.1, *, sorted: bool = True, candidates: int | None = 64
) -> SoftSelection:
    """Differentiable top-k of scores (..., N); see the module for the formula and the paper.

    k: how many to pick. temperature: in the unit of the scores (nats, for log-probabilities); the weights become hard
    top-k as it falls. sorted: a row of weights for each rank, or one row for the set. candidates: solve for the best M
    only and lump all others into one candidate (the rows sum to 1 less the mass that is the others'); None: all N.

    Weights and thresholds have derivatives of every order, in reverse and forward mode. Raises ValueError for NaN,
    +inf, k out of range, temperature <= 0, and fewer than k finite scores in a row; see checks.unchecked for what that
    costs on a GPU.
    """
    check_sizes(scores, temperature, k, candidates)
    shape = scores.shape[:-1]
    flat = scores.reshape(-1, scores.shape[-1])  # (..., N) -> (B, N)
    flat = flat.float() if flat.dtype in (torch.bfloat16, torch.float16) else flat
    cuts = tuple(range(k, 0, -1)) if sorted else (k,)
    if candidates is None:
        weights, thresholds = solve_for_all(flat, cuts, float(temperature))
        indices, tail = None, torch.zeros_like(flat[:, 0])
    else:
        kept = min(candidates, flat.shape[-1])
        weights, thresholds, indices, tail = solve_for_best(flat, cuts, float(temperature), kept)
        indices = indices.reshape(*shape, kept)
    weights = weights.to(scores.dtype).reshape(*shape, *weights.shape[1:])
    return SoftSelection(weights, indices, thresholds.reshape(*shape, len(cuts)), tail.reshape(shape))


class SoftTopK(Operator):
    """soft_topk as an operator of the family; sorted=False gives the soft set only."""

    def __init__(self, temperature: float = 0.1, candidates: int | None = 64, *, sorted: bool = True) -> None:
        super().__init__(temperature, candidates)
        self.sorted = sorted
        if not sorted:
            self.gives = self.gives - {"order"}  # type: ignore[misc]

    def select(self, scores: Tensor, k: int, generator: torch.Generator | None = None) -> Selection:
        solved = soft_topk(scores, k, self.temperature, sorted=self.sorted, candidates=self.candidates)
        return Selection(solved.weights, solved.indices)
