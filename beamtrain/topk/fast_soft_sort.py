"""Fast differentiable sorting and ranking (Blondel, Teboul, Berthet and Djolonga 2020): projection onto the
permutahedron.

With rho = (1, .., N) and scores x ordered best first, s = -x / temperature rises, and

    quadratic:  ranks = s - v,       v = isotonic fit of s - rho
    entropic:   ranks = exp(s - v),  v = the fit whose blocks B have the value logsumexp(s_B) - log sum rho_B

Rank 1 is the best (pass -x for ascending ranks). Soft sorting swaps the roles: s = (N, .., 1) / temperature is
projected onto the permutahedron of the scores. O(N log N) forward, O(N) for a Jacobian product: the Jacobian is block
diagonal, one simple block for each pool. As the temperature falls the ranks become hard exactly, and their gradient
exactly zero; as it rises all ranks become the mean.

No transport matrix comes with it. The pooling runs on the CPU (SciPy, NumPy); GPU scores travel there and back.
Masked scores (-inf) share the mean of the last ranks, sort last, and get no gradient.
"""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from beamtrain.topk.base import Operator
from beamtrain.topk.checks import check_ends, check_sizes
from beamtrain.topk.isotonic import (
    Floats,
    Indices,
    block_means,
    block_softmax,
    block_sums,
    entropic_blocks,
    quadratic_fit,
)

Regularization = Literal["quadratic", "entropic"]


def soft_rank(scores: Tensor, temperature: float = 1.0, regularization: Regularization = "quadratic") -> Tensor:
    """Soft ranks (..., N) of scores (..., N), 1 for the best; they sum to N (N + 1) / 2."""
    _check(scores, temperature, regularization)
    return _by_rows(_Rank, scores, temperature, regularization)


def soft_sort(scores: Tensor, temperature: float = 1.0, regularization: Regularization = "quadratic") -> Tensor:
    """Softly sorted scores (..., N), best first; their sum (entropic: the sum of their exponentials) is that of the
    scores.

    The unit of the temperature is here ranks per unit of score, as in the paper; the result is hard as it falls.
    """
    _check(scores, temperature, regularization)
    return _by_rows(_Sort, scores, temperature, regularization)


class FastSoftSort(Operator):
    """soft_rank and soft_sort as an operator of the family: it ranks and sorts, but cannot select."""

    gives = frozenset({"gradient", "ranks", "values"})

    def __init__(self, temperature: float = 1.0, regularization: Regularization = "quadratic") -> None:
        super().__init__(temperature, candidates=None)
        self.regularization = regularization

    def rank(self, scores: Tensor) -> Tensor:
        return soft_rank(scores, self.temperature, self.regularization)

    def sort(self, scores: Tensor) -> Tensor:
        return soft_sort(scores, self.temperature, self.regularization)


def _check(scores: Tensor, temperature: float, regularization: str) -> None:
    check_sizes(scores, 1, temperature)
    if regularization not in ("quadratic", "entropic"):
        raise ValueError(f'regularization must be "quadratic" or "entropic", got {regularization!r}')


def _by_rows(
    function: type[torch.autograd.Function], scores: Tensor, temperature: float, regularization: str
) -> Tensor:
    apply = _apply_outside_graphs if torch.compiler.is_compiling() else _apply
    if scores.dim() == 2:
        return apply(function, scores, float(temperature), regularization)
    flat = scores.reshape(-1, scores.shape[-1])  # (..., N) -> (B, N)
    return apply(function, flat, float(temperature), regularization).reshape(scores.shape)


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    return function.apply(*arguments)


_apply_outside_graphs = torch.compiler.disable(_apply)  # NumPy must not be traced


class _Rank(torch.autograd.Function):
    """Soft ranks of scores (B, N)."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, temperature: float, regularization: str) -> Tensor:
        best_first, order, masked = _sorted(scores)  # (B, N), (B * N,)
        rising = best_first / -temperature
        if masked is not None:  # so far behind that they pool with each other only
            behind = np.where(masked, -np.inf, rising).max(1, keepdims=True) + rising.shape[1] + 1.0
            rising = np.where(masked, behind, rising)
        ranks = np.arange(1.0, rising.shape[1] + 1.0)
        if regularization == "quadratic":
            dual, bounds = quadratic_fit(rising - ranks)
            share, fitted = None, rising.ravel() - dual
        else:
            bounds = entropic_blocks(rising, np.log(ranks))
            share, _ = block_softmax(rising.ravel(), bounds)
            fitted = share * block_sums(np.tile(ranks, len(rising)), bounds)
        ctx.bounds, ctx.share, ctx.fitted, ctx.order = bounds, share, fitted, order
        ctx.temperature, ctx.masked = temperature, masked
        return _scattered(fitted, order, scores)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_ranks: Tensor) -> tuple[Any, ...]:
        gradient = _flat(by_ranks)[ctx.order]
        if ctx.share is None:
            gradient = gradient - block_means(gradient, ctx.bounds)
        else:
            gradient = gradient * ctx.fitted
            gradient = gradient - ctx.share * block_sums(gradient, ctx.bounds)
        if ctx.masked is not None:
            gradient[ctx.masked.ravel()] = 0.0
        return _scattered(gradient / -ctx.temperature, ctx.order, by_ranks), None, None


class _Sort(torch.autograd.Function):
    """Softly sorted scores (B, N)."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, temperature: float, regularization: str) -> Tensor:
        falling, order, masked = _sorted(scores)  # (B, N), (B * N,)
        ramp = np.arange(falling.shape[1], 0.0, -1.0) / temperature
        if masked is not None:  # a block of their own
            ahead = np.where(masked, -np.inf, falling - ramp).max(1, keepdims=True) + 1.0
            falling = np.where(masked, ramp + ahead, falling)
        flat, ramps = falling.ravel(), np.tile(ramp, len(falling))
        if regularization == "quadratic":
            dual, bounds = quadratic_fit(falling - ramp)
            share, fitted = None, ramps + dual
        else:
            bounds = entropic_blocks(falling, ramp)
            share, level = block_softmax(flat, bounds)
            fitted = ramps + level - block_softmax(ramps, bounds)[1]
        if masked is not None:
            fitted[masked.ravel()] = -np.inf
        ctx.bounds, ctx.share, ctx.order, ctx.masked = bounds, share, order, masked
        return torch.from_numpy(fitted.reshape(falling.shape)).to(scores)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_sorted: Tensor) -> tuple[Any, ...]:
        gradient = _flat(by_sorted)
        if ctx.masked is not None:
            gradient = np.where(ctx.masked.ravel(), 0.0, gradient)
        if ctx.share is None:
            gradient = block_means(gradient, ctx.bounds)
        else:
            gradient = ctx.share * block_sums(gradient, ctx.bounds)
        return _scattered(gradient, ctx.order, by_sorted), None, None


def _flat(values: Tensor) -> Floats:
    """(B, N) -> (B * N,) in float64 on the host."""
    return values.detach().double().cpu().numpy().ravel()


def _sorted(scores: Tensor) -> tuple[Floats, Indices, NDArray[np.bool_] | None]:
    """Scores (B, N), best first; where each was in the flattened scores, (B * N,); where they are masked, if any."""
    rows, columns = scores.shape
    narrow = scores.detach().float() if scores.dtype in (torch.bfloat16, torch.float16) else scores.detach()
    values = narrow.cpu().numpy()
    order = (-values).argsort(1)
    if rows > 1:
        order += np.arange(0, rows * columns, columns)[:, None]
    flat = order.ravel()
    best_first = values.ravel()[flat].astype(np.float64).reshape(rows, columns)
    if rows == 0:
        return best_first, flat, None
    worst = best_first[:, -1].min()  # NaN comes last
    first = best_first[:, 0]
    check_ends(worst if np.isnan(worst) else first.max(), first.min(), 1)
    return best_first, flat, best_first == -np.inf if worst == -np.inf else None


def _scattered(values: Floats, order: Indices, like: Tensor) -> Tensor:
    """values (B * N,) in sorted order -> (B, N) in the scores' order, of the type and device of `like`."""
    result = np.empty_like(values)
    result[order] = values
    return torch.from_numpy(result.reshape(like.shape)).to(like)
