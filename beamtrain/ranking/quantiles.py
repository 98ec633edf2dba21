"""Soft quantiles: rows of the relaxed permutation, read between the two ranks that enclose the level.

The quantile at `level` of N scores lies at the place (1 - level)(N - 1) from the best, and between two places it is
interpolated, as torch.quantile does. What is read there may be other values than the scores that are sorted, as in
Grover et al. 2019, section 6.2, where one network orders images and another tells their numbers.
"""

from math import ceil, floor

import torch
from torch import Tensor

from beamtrain.ranking.checks import check_operator, check_shape, checked_scores
from beamtrain.ranking.reading import sorted_values
from beamtrain.topk import Operator
from beamtrain.topk.checks import check_scores
from beamtrain.topk.transforms import in_full_precision


@in_full_precision
def soft_quantile(
    scores: Tensor,
    level: float,
    operator: Operator,
    values: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The soft quantile (...) of scores (..., N) at `level` in [0, 1], 0.5 for the median.

    values: (..., N), what is read at the quantile's place; by default the scores. Raises ValueError for levels outside
    [0, 1], for operators without an order, or that only sort when values are given, and where a row has too few finite
    scores to reach the quantile's place.
    """
    check_operator(operator)
    if not 0 <= level <= 1:
        raise ValueError(f"level must lie in [0, 1], got {level}")
    scores = checked_scores(scores)
    if values is not None:
        check_shape("values", values, scores.shape)
    place = (1 - level) * (scores.shape[-1] - 1)  # 0 for the best
    lower, upper = floor(place), ceil(place)
    if values is None and "values" in operator.gives:
        check_scores(scores, upper + 1)
        ordered = sorted_values(scores, operator, generator)
    else:
        operator.require("weights", "order", purpose="a soft quantile")
        rows = operator.select(scores, upper + 1, generator).dense(scores.shape[-1])  # (..., upper + 1, N)
        read = scores if values is None else values.to(scores.dtype)
        read = read.masked_fill(scores == -torch.inf, 0.0)  # which no row has a weight for
        ordered = (rows @ read.unsqueeze(-1)).squeeze(-1)
    if lower == upper:
        return ordered[..., lower]
    return ordered[..., lower] + (place - lower) * (ordered[..., upper] - ordered[..., lower])


def soft_median(
    scores: Tensor, operator: Operator, values: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """The soft median (...) of scores (..., N); of an even number of scores the mean of the two in the middle."""
    return soft_quantile(scores, 0.5, operator, values, generator)


def quantile_loss(
    scores: Tensor,
    target: Tensor,
    level: float,
    operator: Operator,
    values: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The squared error (...) of the soft quantile of a set (..., N) of which only the true quantile `target` (...) is
    known."""
    found = soft_quantile(scores, level, operator, values, generator)
    check_shape("target", target, found.shape)
    return (found - target).square()
