"""What the family's functions need to be the same under autocast, and to work under torch.func and torch.vmap.

An autograd function of the family has scores (B, N) as its only tensor, and is one of two classes: the first has a
backward pass and the rule for vmap, and can be compiled; the second adds the forward mode, which cannot.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.forward_ad import _set_fwd_grad_enabled as set_forward_mode  # there is no public name for it
from torch.autograd.forward_ad import unpack_dual

# there is no public name for it; without it every call takes the slower way, which is right too
_transforming = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)

Given = ParamSpec("Given")
Result = TypeVar("Result")


def in_full_precision(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """`function`, which autocast leaves alone; what autograd records of it must hold no matrix product in single
    precision, for those are cast again where the backward pass is called inside autocast."""

    @wraps(function)
    def called(*arguments: Given.args, **named: Given.kwargs) -> Result:
        for each in (*arguments, *named.values()):
            if isinstance(each, Tensor) and _autocasts(each.device.type):
                with torch.autocast(each.device.type, enabled=False):
                    return function(*arguments, **named)
        return function(*arguments, **named)

    return called


product = in_full_precision(torch.matmul)
"""The matrix product of what autocast would round first."""


class Transformable(Function):
    """An autograd function that works under torch.func and vmap, and costs nothing more where neither is at work."""

    @classmethod
    def apply(cls, *arguments: Any) -> Any:
        if _transforming():
            return super().apply(*arguments)
        return super(Function, cls).apply(*arguments)  # type: ignore[misc] # which skips matching arguments to names


def forward_rule(rule: Callable[Given, Result]) -> Callable[Given, Result]:
    """A jvp whose result can be differentiated in forward mode again: PyTorch turns that mode off inside, and the
    second derivative would be zero. Such a rule must take what was saved from `primals`."""

    @wraps(rule)
    def called(*arguments: Given.args, **named: Given.kwargs) -> Result:
        with set_forward_mode(True):
            return rule(*arguments, **named)

    return called


def primals(ctx: Any) -> tuple[Tensor, ...]:
    """What was saved for a jvp, without the tangents that it is about to push forward."""
    return tuple(unpack_dual(each).primal for each in ctx.saved_tensors)


def over_more_rows(
    function: type[Function], axis: int, axes: tuple[int, ...], scores: Tensor, *settings: Any
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """The rule for vmap of a function of scores (B, N), which get one more axis as more rows; axes: where each of its
    results has the axis B."""
    stacked = scores.movedim(axis, 0)  # (V, B, N)
    results = function.apply(stacked.flatten(0, 1), *settings)  # of (V B, N)
    return tuple(each.unflatten(at, stacked.shape[:2]) for each, at in zip(results, axes, strict=True)), axes


def _autocasts(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
