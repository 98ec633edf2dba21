"""What the parts refuse: what is no tensor, shapes that would be broadcast in silence, and numbers that are no ranks,
gains or classes.

The operators look at the scores themselves (`beamtrain.topk.checks`, whose `unchecked` holds here too).
"""

import operator
from math import inf

import torch
from torch import Tensor

from beamtrain.topk import Operator
from beamtrain.topk.checks import check_sizes, check_within


def checked_scores(scores: Tensor) -> Tensor:
    """Scores (..., N), those in half precision in float32, which ranks and sums of many weights need."""
    check_sizes(scores)
    return _wide(scores)


def checked_features(features: Tensor) -> Tensor:
    """Features (..., D), those in half precision in float32."""
    check_tensor("features", features)
    if not features.is_floating_point():
        raise ValueError(f"features must be floating point, got {features.dtype}; convert them with .float()")
    return _wide(features)


def check_operator(operator: Operator) -> None:
    """Raise ValueError for what is no operator, such as the class of one."""
    if not isinstance(operator, Operator):
        raise ValueError(f"operator must be one of beamtrain.topk, such as SoftTopK(0.1), got {operator!r}")


def check_tensor(name: str, value: Tensor) -> None:
    """Raise ValueError for what is no tensor."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor, got {type(value).__name__}; convert with torch.as_tensor")


def check_points(name: str, points: Tensor) -> None:
    """Raise ValueError unless the points are of shape (B, D)."""
    check_tensor(name, points)
    if points.dim() != 2:
        raise ValueError(f"{name} must be of shape (points, features), got {tuple(points.shape)}; try .flatten(1)")


def check_shape(name: str, tensor: Tensor, shape: torch.Size) -> None:
    """Raise ValueError unless the tensor has that shape, or lacks some of its leading dimensions."""
    check_tensor(name, tensor)
    if tensor.dim() > len(shape) or tensor.shape != shape[len(shape) - tensor.dim() :]:
        raise ValueError(f"{name} must be of shape {tuple(shape)}, got {tuple(tensor.shape)}")


def check_whole(name: str, value: int, least: int, most: int | None = None, meaning: str = "") -> None:
    """Raise ValueError unless the value is a whole number of `least` or more, up to `most`, which has that meaning."""
    try:
        right = least <= operator.index(value) and (most is None or operator.index(value) <= most)
    except TypeError:
        right = False
    if not right:
        allowed = f"of at least {least}" if most is None else f"between {least} and {meaning} {most}"
        raise ValueError(f"{name} must be a whole number {allowed}, got {value!r}")


def checked_labels(name: str, labels: Tensor, shape: torch.Size, classes: int) -> Tensor:
    """Classes 0 .. classes - 1 of exactly that shape, as int64."""
    check_tensor(name, labels)
    if labels.shape != shape:
        raise ValueError(f"{name} must be of shape {tuple(shape)}, one class for each row, got {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"{name} must be whole numbers, got {labels.dtype}; convert them with .long()")
    check_within(name, labels, 0, classes - 1)
    return labels.long()


def check_finite_scores(scores: Tensor) -> None:
    """Raise ValueError for scores that no measure can be taken of."""
    check_within("scores", scores, -inf, inf)


def check_ranks(ranks: Tensor, shape: torch.Size) -> None:
    """Raise ValueError unless ranks of that shape (..., N) lie in [1, N]."""
    check_shape("ranks", ranks, shape)
    check_within("ranks", ranks, 1, shape[-1], ": 1 is the best; add 1 to those that count from 0")


def checked_order(ranks: Tensor, scores: Tensor) -> Tensor:
    """Ranks (..., N), of which only the order counts, of the scores' type: differences of unsigned ones would wrap."""
    check_shape("ranks", ranks, scores.shape)
    check_within("ranks", ranks, -inf, inf)
    return ranks.to(scores.dtype)


def checked_gains(gains: Tensor, scores: Tensor) -> Tensor:
    """Gains (..., N) >= 0, finite, of the scores' type, as shares of the largest, whose sums cannot overflow."""
    check_shape("gains", gains, scores.shape)
    check_within("gains", gains, 0.0, inf)
    wide = gains.to(torch.promote_types(gains.dtype, scores.dtype))
    largest = wide.amax(-1, keepdim=True)
    return (wide / torch.where(largest > 0, largest, 1.0)).to(scores.dtype)


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
