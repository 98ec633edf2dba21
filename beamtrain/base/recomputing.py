"""Intermediate results that are computed again for the gradient instead of being kept."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

_WORTH_IT = 2**18  # numbers; fewer take less time to keep than to compute twice, and spare loading PyTorch's compiler


def recomputed(function: Callable[..., Any], *inputs: Any, kept: int, draws: bool) -> Any:
    """function(*inputs), whose intermediate results are recomputed in the backward pass if there are many.

    Args:
        kept: about how many numbers the graph would keep else.
        draws: whether the function draws random numbers, which then are the same again.
    """
    if not torch.is_grad_enabled() or kept < _WORTH_IT:
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=draws)
