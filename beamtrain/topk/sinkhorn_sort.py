"""Sorting, ranking and quantiles by optimal transport (Cuturi, Teboul and Vert 2019): the whole N x N plan by
Sinkhorn.

The plan P carries every score to every rank, P_ir = u_i exp(x_i y_r / temperature) v_r with rows and columns that sum
to 1 and levels y_r one apart, so that scores d apart have log-odds d / temperature between adjacent ranks, as in
sorted SOFT. The paper squashes the scores into [0, 1] and spaces the levels there; only the product of scale and
temperature differs.

    soft ranks  sum_r P_ir r / sum_r P_ir       soft sort  sum_i P_ir x_i       soft quantile  the same with 3 levels

Columns sum to 1 after each iteration, rows only in the limit; hence the division, which the paper does not have.
Cost N^2 memory and time per iteration; it needs ever more iterations as the temperature falls. The gradient goes
through the iterations. Masked scores (-inf) have no mass: they share the mean of the last ranks, sort last, and get
no gradient. Rank 1 is the best.
"""

import torch
from torch import Tensor

from beamtrain.topk.base import Operator, split_masked
from beamtrain.topk.checks import check_at_least, check_scores, check_sizes
from beamtrain.topk.sinkhorn_iteration import plan, row_shares
from beamtrain.topk.transforms import in_full_precision


@in_full_precision
def sinkhorn_rank(scores: Tensor, temperature: float = 0.1, *, iterations: int = 200) -> Tensor:
    """Soft ranks (..., N) of scores (..., N), in [1, N] after however many iterations."""
    finite, masked = _prepared(scores, temperature, iterations)
    carried = row_shares(*_square_problem(finite, masked, temperature), iterations)
    places = torch.arange(1, scores.shape[-1] + 1, device=carried.device, dtype=carried.dtype)
    present = (~masked).sum(-1, keepdim=True)
    last = (present + 1 + scores.shape[-1]) / 2  # the mean of the ranks that are left to the masked
    return torch.where(masked, last.to(carried.dtype), (carried * places).sum(-1)).to(scores.dtype)


@in_full_precision
def sinkhorn_sort(scores: Tensor, temperature: float = 0.1, *, iterations: int = 200) -> Tensor:
    """Softly sorted scores (..., N), best first."""
    finite, masked = _prepared(scores, temperature, iterations)
    carried = plan(*_square_problem(finite, masked, temperature), iterations)
    values = (carried * finite.unsqueeze(-1)).sum(-2)  # (..., N, N) x (..., N, 1) -> (..., N)
    absent = torch.arange(scores.shape[-1], device=scores.device) >= (~masked).sum(-1, keepdim=True)
    return values.masked_fill(absent, -torch.inf).to(scores.dtype)


@in_full_precision
def sinkhorn_quantile(
    scores: Tensor, level: float, temperature: float = 0.1, *, width: float = 0.05, iterations: int = 200
) -> Tensor:
    """The soft quantile (...,) of scores (..., N) at `level` in (0, 1): the mean score carried to a window of that
    mass.

    Three targets of masses (level - width/2, width, 1 - level - width/2), as in the paper's section 5; the middle one
    is read.
    """
    low, high = level - width / 2, 1 - level - width / 2
    if not (0 < width < 1 and low > 0 and high > 0):
        raise ValueError(
            f"level - width/2 and level + width/2 must lie inside (0, 1), got level {level} and width {width}; "
            "move the level or narrow the width"
        )
    finite, masked = _prepared(scores, temperature, iterations)
    count = (~masked).sum(-1, keepdim=True)
    targets = torch.tensor([low, width, high], device=finite.device, dtype=finite.dtype) * count  # (..., 3)
    levels = torch.tensor([0.0, 1.0, 2.0], device=finite.device, dtype=finite.dtype)
    logits = _below_best(finite, masked).unsqueeze(-1) * levels / temperature  # (..., N, 3)
    carried = plan(logits, _row_masses(masked, finite), targets.log(), iterations)  # (..., N, 3)
    return ((carried[..., 1] * finite).sum(-1) / targets[..., 1]).to(scores.dtype)


class SinkhornSort(Operator):
    """Sinkhorn sorting as an operator of the family: the first k columns of its N x N plan, ranks, and sorted
    scores."""

    gives = frozenset({"weights", "order", "gradient", "ranks", "values"})

    def __init__(self, temperature: float = 0.1, candidates: int | None = 64, *, iterations: int = 200) -> None:
        super().__init__(temperature, candidates)
        check_at_least(1, iterations=iterations)
        self.iterations = iterations

    def weights(self, scores: Tensor, k: int, generator: torch.Generator | None) -> Tensor:
        finite, masked = _prepared(scores, self.temperature, self.iterations)
        carried = plan(*_square_problem(finite, masked, self.temperature), self.iterations)
        return carried[..., :k].mT.to(scores.dtype)

    def rank(self, scores: Tensor) -> Tensor:
        return sinkhorn_rank(scores, self.temperature, iterations=self.iterations)

    def sort(self, scores: Tensor) -> Tensor:
        return sinkhorn_sort(scores, self.temperature, iterations=self.iterations)


def _prepared(scores: Tensor, temperature: float, iterations: int) -> tuple[Tensor, Tensor]:
    check_sizes(scores, temperature)
    check_at_least(1, iterations=iterations)
    check_scores(scores)
    wide = scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores
    return split_masked(wide)


def _square_problem(finite: Tensor, masked: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Affinities (..., N, N) of candidates to ranks, best first, and the logarithms of row and column sums (..., N);
    masked candidates and the ranks left to them have no mass."""
    count = finite.shape[-1]
    levels = torch.arange(count - 1, -1, -1, device=finite.device, dtype=finite.dtype)  # rank 1 highest
    present = (~masked).sum(-1, keepdim=True)
    log_targets = torch.zeros_like(finite).masked_fill(torch.arange(count, device=finite.device) >= present, -torch.inf)
    affinities = _below_best(finite, masked).unsqueeze(-1) * levels / temperature
    return affinities, _row_masses(masked, finite), log_targets


def _below_best(finite: Tensor, masked: Tensor) -> Tensor:
    """Scores (..., N) less the best of them: what is far from 0 would leave their differences few digits."""
    return finite - finite.masked_fill(masked, -torch.inf).amax(-1, keepdim=True)


def _row_masses(masked: Tensor, like: Tensor) -> Tensor:
    """The logarithms (..., N) of 1 and, for the masked, 0"""
    return torch.zeros_like(like).masked_fill(masked, -torch.inf)
