"""Cross-entropy with label smoothing that keeps one matrix of the size of the logits, not six.

With V subwords these matrices are the largest of a training step. Here the softmax is taken a few rows at a time, and
its gradient is formed at once, so that only that gradient waits for the backward pass, in the precision of the logits.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_AT_ONCE = 2**22  # entries of the logits


def smoothed_cross_entropy(logits: Tensor, gold: Tensor, eps: float, unsaid: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The smoothed loss and the plain negative log-likelihood, both summed; logits (tokens, V), gold (tokens,).

    Computed in float32 or better. Only the first has a gradient, with respect to the logits:

        d loss / d logits = softmax(logits) - eps / V - (1 - eps) [v is gold]

    The tokens `unsaid`, whose logits are -inf, are none of the V.
    """
    return _SmoothedCrossEntropy.apply(logits, gold, eps, unsaid)


class _SmoothedCrossEntropy(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, gold: Tensor, eps: float, unsaid: Sequence[int]) -> tuple[Tensor, Tensor]:
        precise = torch.promote_types(logits.dtype, torch.float32)
        V = logits.size(1) - len(unsaid)
        rows = max(1, _AT_ONCE // V)
        likelihood, uniform = (torch.zeros((), dtype=precise, device=logits.device) for _ in range(2))
        kept = torch.empty_like(logits, dtype=_kept(logits.dtype)) if ctx.needs_input_grad[0] else None
        for start in range(0, logits.size(0), rows):
            part = slice(start, start + rows)
            log_probs, tokens = logits[part].log_softmax(-1, dtype=precise), gold[part].unsqueeze(1)
            likelihood -= log_probs.gather(1, tokens).sum()
            for token in unsaid:
                log_probs[:, token] = 0.0
            uniform -= log_probs.sum() / V
            if kept is not None:
                gradient = log_probs.exp_().sub_(eps / V)
                for token in unsaid:
                    gradient[:, token] = 0.0
                gradient.scatter_add_(1, tokens, gradient.new_full(tokens.shape, eps - 1))
                kept[part] = gradient
        if kept is not None:
            ctx.save_for_backward(kept)
            ctx.dtype = logits.dtype
        ctx.mark_non_differentiable(likelihood)
        return (1 - eps) * likelihood + eps * uniform, likelihood

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return (gradient * outer).to(ctx.dtype), None, None, None


def _kept(dtype: torch.dtype) -> torch.dtype:
    """float16 is too narrow for a probability that the loss scale has not multiplied yet."""
    return torch.float32 if dtype == torch.float16 else dtype
