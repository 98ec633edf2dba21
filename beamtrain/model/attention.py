"""Scaled dot-product attention, the arithmetic that every layer and every cache share."""

import math

import torch
from torch import Tensor
from torch.backends.cuda import cudnn_sdp_enabled, enable_cudnn_sdp
from torch.nn.functional import scaled_dot_product_attention

FEW = 16  # queries, up to which batched products are faster than the fused kernel
_BY_LIBRARY = 400  # multiplications of one product, from which on `torch.bmm` leaves them to MKL; its own loop is slow


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """softmax(q k' / sqrt(D/H)) v: queries (B, H, T, D/H), keys and values (B, H, S, D/H) -> (B, H, T, D/H).

    `mask` broadcasts to (B, H, T, S), True where a query may look, or is `additive`. `dropout` is a probability.

    On a CPU the backward pass of PyTorch's fused kernel takes about eight times as long in bfloat16 as in float32 for
    sentences of ordinary length, so there it is kept out of autocast. For the few queries of a search, in float32,
    batched products take two thirds of its time. On a GPU cuDNN's kernel, which an H100 would be given, is left out: it
    builds a plan for every shape, forward and backward, and hardly two batches of text are of one shape.
    """
    if queries.device.type == "cuda":
        allowed = cudnn_sdp_enabled()
        enable_cudnn_sdp(False)
        try:
            return scaled_dot_product_attention(queries, keys, values, mask, dropout, is_causal=causal)
        finally:
            enable_cudnn_sdp(allowed)
    if (
        queries.size(2) <= FEW
        and queries.device.type == "cpu"
        and queries.dtype == torch.float32
        and not (causal or torch.is_grad_enabled())
    ):
        return _by_products(queries, keys, values, mask)
    if queries.device.type == "cpu" and queries.dtype == torch.bfloat16 and queries.requires_grad:
        with torch.autocast("cpu", enabled=False):
            return scaled_dot_product_attention(
                queries.float(), keys.float(), values.float(), mask, dropout, is_causal=causal
            )
    return scaled_dot_product_attention(queries, keys, values, mask, dropout, is_causal=causal)


def additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask (True where a query may look) as what is added to the logits, of the type of `like`: quicker to apply."""
    return torch.zeros(mask.shape, dtype=like.dtype, device=mask.device).masked_fill_(~mask, -math.inf)


def masked_(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Logits with -inf where a query may not look, in place; the mask is of either kind."""
    if mask is None:
        return logits
    return logits.add_(mask) if mask.is_floating_point() else logits.masked_fill_(~mask, -math.inf)


def _by_products(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """The same by two batched products, without a copy of keys and values that lie head by head."""
    B, H, T, E = queries.shape
    unread, transposed = queries.new_empty(1), keys.flatten(0, 1).transpose(1, 2)  # (B * H, D/H, S)
    logits = torch.baddbmm(unread, queries.flatten(0, 1), transposed, beta=0, alpha=E**-0.5)  # (B * H, T, S)
    weights = masked_(logits.view(B, H, T, -1), mask).softmax(-1)  # (B, H, T, S)
    if T * E * values.size(2) < _BY_LIBRARY:
        return (weights.unsqueeze(-1) * values.unsqueeze(2)).sum(3)
    return torch.bmm(weights.flatten(0, 1), values.flatten(0, 1)).view(B, H, T, E)
