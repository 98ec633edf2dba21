"""Scaled dot-product attention, the arithmetic that every layer and every cache share."""

import math

from torch import Tensor, autocast, bfloat16, bmm, float32, is_grad_enabled
from torch.nn.functional import scaled_dot_product_attention

FEW = 16  # queries, up to which batched products are faster than the fused kernel


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """softmax(q k' / sqrt(D/H)) v: queries (B, H, T, D/H), keys and values (B, H, S, D/H) -> (B, H, T, D/H).

    `mask` broadcasts to (B, H, T, S), True where a query may look. `dropout` is a probability.

    On a CPU the backward pass of PyTorch's fused kernel takes about eight times as long in bfloat16 as in float32 for
    sentences of ordinary length, so there it is kept out of autocast. For the few queries of a search, in float32,
    batched products take two thirds of its time.
    """
    if (
        queries.size(2) <= FEW
        and queries.device.type == "cpu"
        and queries.dtype == float32
        and not (causal or is_grad_enabled())
    ):
        return _by_products(queries, keys, values, mask)
    if queries.device.type == "cpu" and queries.dtype == bfloat16 and queries.requires_grad:
        with autocast("cpu", enabled=False):
            return scaled_dot_product_attention(
                queries.float(), keys.float(), values.float(), mask, dropout, is_causal=causal
            )
    return scaled_dot_product_attention(queries, keys, values, mask, dropout, is_causal=causal)


def _by_products(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """The same by two batched products, without a copy of keys and values that lie head by head."""
    B, H = queries.shape[:2]
    scaled = queries.flatten(0, 1) * queries.size(-1) ** -0.5  # (B * H, T, D/H)
    logits = bmm(scaled, keys.flatten(0, 1).transpose(1, 2)).unflatten(0, (B, H))  # (B, H, T, S)
    if mask is not None:
        logits.masked_fill_(~mask, -math.inf)
    return bmm(logits.softmax(-1).flatten(0, 1), values.flatten(0, 1)).unflatten(0, (B, H))
