"""The gradient of known log-probabilities by the decoder's outputs, through a V-way softmax that is never kept:

d log p(v | h) / d logits(h) = [. is v] - softmax(logits(h)),   logits(h) = W h + b
"""

from typing import Any

import torch
from torch import Tensor
from torch.amp import is_autocast_available
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from beamtrain.base.waits import may_wait
from beamtrain.data.tokenizer import PAD
from beamtrain.search.step import Candidates

_ENTRIES, _ENTRIES_ON_GPU = 2**20, 2**26  # of the logits at once: on a CPU they stay in its cache


def through_outputs(hidden: Tensor, weight: Tensor, bias: Tensor | None, steps: list[Candidates]) -> list[Tensor]:
    """The log-probabilities (B, M) of each position's candidates, with their gradient by the decoder's outputs.

    Args:
        hidden: (B, T, K, D) the outputs.
        weight: (V, D) the output matrix.
        bias: (V,) of the logits, which gets no gradient.
        steps: the search's candidates at each of T positions.
    """
    shift = torch.arange(hidden[..., 0].numel(), device=hidden.device).view(hidden.shape[:3])[..., :1]  # (B, T, 1)
    rows = shift + torch.stack([each.parents for each in steps], dim=1)  # (B, T, M)
    tokens = torch.stack([each.tokens for each in steps], dim=1)
    values = torch.stack([each.log_probs for each in steps], dim=1)
    found = _ThroughOutputs.apply(values, rows.flatten(), tokens.flatten(), hidden.flatten(0, 2), weight, bias)
    return list(found.unbind(1))


class _ThroughOutputs(Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        rows: Tensor,
        tokens: Tensor,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(rows, tokens, hidden, weight)
        ctx.bias = bias
        ctx.dtype = autocast_dtype(hidden.device.type)
        return values.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        rows, tokens, hidden, weight = ctx.saved_tensors
        outer = outer.flatten().masked_fill(tokens == PAD, 0.0)
        return None, None, None, *through_logits(hidden, weight, ctx.bias, rows, tokens, outer, ctx.dtype), None


def autocast_dtype(device: str) -> torch.dtype | None:
    """What autocast brings matrix products into at present; None where it is off, or unknown to the device."""
    on = is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if on else None


def through_logits(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    rows: Tensor,
    tokens: Tensor,
    outer: Tensor,
    dtype: torch.dtype | None,
) -> tuple[Tensor, Tensor]:
    """The gradients by `hidden` (n, D) and `weight` (V, D) of sum_c outer[c] log p(tokens[c] | hidden[rows[c]]), with
    the products in `dtype` and the softmax in float32 or better. The logits are never there all at once."""
    V, whole = weight.size(0), hidden
    chosen = _with_candidates(rows, outer, hidden.size(0))
    if chosen is not None:
        place = torch.zeros(hidden.size(0), dtype=torch.long).index_copy_(0, chosen, torch.arange(len(chosen)))
        hidden, rows = hidden.index_select(0, chosen), place[rows]
    hidden, cast = hidden.to(dtype or hidden.dtype), weight.to(dtype or weight.dtype)
    bias = None if bias is None else bias.to(cast.dtype)
    of_hidden = torch.empty(hidden.shape, dtype=whole.dtype, device=whole.device)
    of_weight = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
    at_once = max(1, (_ENTRIES if may_wait(hidden) else _ENTRIES_ON_GPU) // V)  # rows
    for start in range(0, hidden.size(0), at_once):
        part = slice(start, start + at_once)
        by_logits = linear(hidden[part], cast, bias).softmax(-1, dtype=of_weight.dtype)  # (r, V)
        own, chosen_tokens, given = _of_rows(rows - start, by_logits.size(0), tokens, outer.to(by_logits.dtype))
        total = by_logits.new_zeros(by_logits.size(0)).index_add_(0, own, given)
        by_logits.mul_(-total.unsqueeze(1))
        by_logits.view(-1).index_add_(0, own * V + chosen_tokens, given)
        cast_by_logits = by_logits.to(cast.dtype)
        if cast.dtype == of_weight.dtype:
            of_weight.addmm_(cast_by_logits.t(), hidden[part])
        else:
            of_weight += cast_by_logits.t() @ hidden[part]
        of_hidden[part] = cast_by_logits @ cast
    if chosen is not None:
        of_hidden = torch.zeros_like(whole).index_copy_(0, chosen, of_hidden)
    return of_hidden, of_weight.to(weight.dtype)


def _of_rows(rows: Tensor, count: int, tokens: Tensor, outer: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The candidates of rows 0 to `count`; on a GPU, where picking them would be a wait, all, the others at 0."""
    inside = (rows >= 0) & (rows < count)
    if not may_wait(rows):
        return torch.where(inside, rows, 0), tokens, torch.where(inside, outer, 0.0)
    places = inside.nonzero().squeeze(1)
    return rows[places], tokens[places], outer[places]


def _with_candidates(rows: Tensor, outer: Tensor, count: int) -> Tensor | None:
    """Of `count` rows those that some candidate gives a gradient; None for all. On a GPU asking would be a wait."""
    if not may_wait(rows):
        return None
    found = torch.zeros(count, dtype=torch.bool)
    found[rows[outer != 0]] = True
    chosen = found.nonzero().squeeze(1)
    return None if len(chosen) == count else chosen
