"""Scaled dot-product attention, the arithmetic that every layer and every cache share."""

from torch import Tensor, autocast, bfloat16
from torch.nn.functional import scaled_dot_product_attention


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
    sentences of ordinary length, so there it is kept out of autocast.
    """
    if queries.device.type == "cpu" and queries.dtype == bfloat16 and queries.requires_grad:
        with autocast("cpu", enabled=False):
            return scaled_dot_product_attention(
                queries.float(), keys.float(), values.float(), mask, dropout, is_causal=causal
            )
    return scaled_dot_product_attention(queries, keys, values, mask, dropout, is_causal=causal)
