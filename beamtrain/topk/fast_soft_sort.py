"""Fast differentiable sorting and ranking (Blondel, Teboul, Berthet and Djolonga 2020): projection onto the
permutahedron.

With rho = (1, .., N) and scores x ordered best first, s = -x / temperature rises, and

    quadratic:  ranks = s - v,       v = isotonic fit of s - rho
    entropic:   ranks = exp(s - v),  v = the fit whose blocks B have the value logsumexp(s_B) - log sum rho_B

Rank 1 is the best (pass -x for ascending ranks). Soft sorting swaps the roles: s = (N, .., 1) / temperature is
projected onto the permutahedron of the scores. O(N log N) forward, O(N) for a Jacobian product: the Jacobian is block
diagonal, one simple block for each pool. Which scores pool is constant around almost all scores, so within their pools
second derivatives are zero for the quadratic form and a softmax's for the entropic one. As the temperature falls the
ranks become hard exactly, and their gradient exactly zero; as it rises all ranks become the mean.

No transport matrix comes with it. The pooling runs on the CPU (SciPy, NumPy); GPU scores travel there and back.
Masked scores (-inf) share the mean of the last ranks, sort last, and get no gradient.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beamtrain.topk.base import Operator
from beamtrain.topk.checks import check_rows, check_sizes
from beamtrain.topk.isotonic import Floats, Indices, block_softmax, block_sums, entropic_blocks, quadratic_fit
from beamtrain.topk.transforms import Transformable, forward_rule, over_more_rows, primals

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
    check_sizes(scores, temperature)
    if regularization not in ("quadratic", "entropic"):
        raise ValueError(f'regularization must be "quadratic" or "entropic", got {regularization!r}')


def _by_rows(function: type[Transformable], scores: Tensor, temperature: float, regularization: str) -> Tensor:
    apply = _apply_outside_graphs if torch.compiler.is_compiling() else _apply
    flat = scores if scores.dim() == 2 else scores.reshape(-1, scores.shape[-1])  # (..., N) -> (B, N)
    flat = flat.float() if flat.dtype in (torch.bfloat16, torch.float16) else flat
    return apply(function, flat, float(temperature), regularization).reshape(scores.shape).to(scores.dtype)


def _apply(function: type[Transformable], *arguments: Any) -> Tensor:
    return function.apply(*arguments)[0]


def _apply_outside_graphs(function: type[Transformable], *arguments: Any) -> Tensor:
    """NumPy must not be traced. (Disabled when it is called: torch._dynamo doubles what the import of torch takes.)"""
    return torch.compiler.disable(_apply)(function, *arguments)


class _Projection(Transformable):
    """A projection of scores (B, N), with the order of the scores, and for each place in it where its pool begins and
    how many it holds: (B, N) each. Its derivatives take the pools as they are."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        scores, ctx.temperature, ctx.regularization = inputs
        ctx.save_for_backward(scores, *output[1:])
        ctx.save_for_forward(scores, *output[1:])
        ctx.mark_non_differentiable(*output[1:])


class _Rank(_Projection):
    """Soft ranks of scores (B, N)."""

    @staticmethod
    def forward(scores: Tensor, temperature: float, regularization: str) -> tuple[Tensor, ...]:
        best = _sorted(scores)
        rising = best.values / -temperature  # (B, N)
        if best.masked is not None:  # so far behind that they pool with each other only
            behind = np.where(best.masked, -np.inf, rising).max(1, keepdims=True) + rising.shape[1] + 1.0
            rising = np.where(best.masked, behind, rising)
        ranks = np.arange(1.0, rising.shape[1] + 1.0)
        if regularization == "quadratic":
            dual, bounds = quadratic_fit(rising - ranks)
            fitted = rising.ravel() - dual
        else:
            bounds = entropic_blocks(rising, np.log(ranks))
            share, _ = block_softmax(rising.ravel(), bounds)
            fitted = share * block_sums(np.tile(ranks, len(rising)), bounds)
        result = np.empty_like(fitted)
        result[best.flat] = fitted
        return _results(result, bounds, best, scores)

    @staticmethod
    def backward(ctx: Any, by_ranks: Tensor, *_: None) -> tuple[Any, ...]:
        return _ranks_moved(ctx, ctx.saved_tensors, by_ranks), None, None

    @staticmethod
    @forward_rule
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        return _ranks_moved(ctx, primals(ctx), tangent), None, None, None

    @staticmethod
    def vmap(_: Any, in_dims: Any, scores: Tensor, *settings: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return over_more_rows(_Rank, in_dims[0], (0, 0, 0, 0), scores, *settings)


class _Sort(_Projection):
    """Softly sorted scores (B, N)."""

    @staticmethod
    def forward(scores: Tensor, temperature: float, regularization: str) -> tuple[Tensor, ...]:
        best = _sorted(scores)
        falling = best.values  # (B, N)
        ramp = np.arange(falling.shape[1], 0.0, -1.0) / temperature
        if best.masked is not None:  # a pool of their own
            ahead = np.where(best.masked, -np.inf, falling - ramp).max(1, keepdims=True) + 1.0
            falling = np.where(best.masked, ramp + ahead, falling)
        flat, ramps = falling.ravel(), np.tile(ramp, len(falling))
        if regularization == "quadratic":
            dual, bounds = quadratic_fit(falling - ramp)
            fitted = ramps + dual
        else:
            bounds = entropic_blocks(falling, ramp)
            fitted = ramps + block_softmax(flat, bounds)[1] - block_softmax(ramps, bounds)[1]
        if best.masked is not None:
            fitted[best.masked.ravel()] = -np.inf
        return _results(fitted, bounds, best, scores)

    @staticmethod
    def backward(ctx: Any, by_sorted: Tensor, *_: None) -> tuple[Any, ...]:
        scores, order, first, size = ctx.saved_tensors
        places = scores.gather(-1, order)
        gradient = by_sorted.double().masked_fill(places == -torch.inf, 0.0)
        if ctx.regularization == "quadratic":
            gradient = pool_sums(gradient, first) / size
        else:
            gradient = pool_sums(gradient, first) * pool_softmax(places, first, first)
        gradient = gradient.to(scores.dtype)
        return torch.zeros_like(gradient).scatter_add_(-1, order, gradient), None, None

    @staticmethod
    @forward_rule
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        scores, order, first, size = primals(ctx)
        places, moved = scores.gather(-1, order), tangent.gather(-1, order).double()
        if ctx.regularization == "quadratic":
            moved = pool_sums(moved, first) / size
        else:
            moved = pool_sums(moved * pool_softmax(places, first, first), first)
        return moved.masked_fill(places == -torch.inf, 0.0).to(tangent.dtype), None, None, None

    @staticmethod
    def vmap(_: Any, in_dims: Any, scores: Tensor, *settings: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        return over_more_rows(_Sort, in_dims[0], (0, 0, 0, 0), scores, *settings)


def _ranks_moved(ctx: Any, saved: tuple[Tensor, ...], values: Tensor) -> Tensor:
    """The Jacobian of the ranks, which is symmetric, times values (B, N)."""
    scores, order, first, size = saved
    moved = values.gather(-1, order).double()
    if ctx.regularization == "quadratic":
        moved = moved - pool_sums(moved, first) / size
    else:
        share = pool_softmax(scores.gather(-1, order) / -ctx.temperature, first, first + size - 1)
        moved = size * (first + (size + 1) / 2) * share * (moved - pool_sums(share * moved, first))
    moved = (moved / -ctx.temperature).to(values.dtype)
    return torch.zeros_like(moved).scatter_add_(-1, order, moved)


def pool_sums(values: Tensor, first: Tensor) -> Tensor:
    """Every value (B, N) replaced by the sum of its pool, which is named by the place where it begins (B, N)."""
    return torch.zeros_like(values).scatter_add_(-1, first, values).gather(-1, first)


def pool_softmax(values: Tensor, first: Tensor, largest: Tensor) -> Tensor:
    """The softmax of values (B, N) within each pool, in float64; largest: the place of the pool's largest (B, N)."""
    exact = values.double().masked_fill(values.isinf(), 0.0)
    exponentials = (exact - exact.detach().gather(-1, largest)).exp()
    return exponentials / pool_sums(exponentials, first)


class _Sorted(NamedTuple):
    """Scores, best first."""

    values: Floats  # (B, N)
    order: Indices  # (B, N) where each was in its row
    flat: Indices  # (B * N,) where each was in the flattened scores
    masked: NDArray[np.bool_] | None  # (B, N), if any is


def _sorted(scores: Tensor) -> _Sorted:
    rows, columns = scores.shape
    values = scores.cpu().numpy()
    order = (-values).argsort(1)
    flat = (order + np.arange(0, rows * columns, columns)[:, None] if rows > 1 else order).ravel()
    best_first = values.ravel()[flat].astype(np.float64).reshape(rows, columns)
    if rows == 0:
        return _Sorted(best_first, order, flat, None)
    worst = best_first[:, -1].min()  # NaN comes last
    first = best_first[:, 0]
    check_rows(worst if np.isnan(worst) else first.max(), first.min())
    return _Sorted(best_first, order, flat, best_first == -np.inf if worst == -np.inf else None)


def _results(result: Floats, bounds: Indices, best: _Sorted, scores: Tensor) -> tuple[Tensor, ...]:
    """Result, order and pools as tensors (B, N), the result of the scores' type. Each masked score gets a pool of its
    own, in which it has no gradient."""
    sizes = np.diff(bounds)
    first, size = np.repeat(bounds[:-1] % scores.shape[1], sizes), np.repeat(sizes, sizes)
    if best.masked is not None:
        alone = best.masked.ravel()
        first[alone], size[alone] = best.masked.nonzero()[1], 1
    arrays = (result, best.order, first, size)
    projected, *pools = (torch.from_numpy(each.reshape(scores.shape)).to(scores.device) for each in arrays)
    return projected.to(scores.dtype), *pools
