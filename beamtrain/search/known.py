"""Log-probabilities whose values are known: only their gradient is computed.

The search has found the candidates with their log-probabilities. When the network computes the same prefixes once more
for the gradient, the V-way softmax need not be taken again before the backward pass asks for it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from beamtrain.data.tokenizer import PAD
from beamtrain.search.step import Candidates

_AT_ONCE = 2**22  # entries of the logits


def with_gradient(hidden: Tensor, weight: Tensor, steps: list[Candidates]) -> list[Tensor]:
    """The log-probabilities (B, M) of each position's candidates, with their gradient by `hidden` and `weight`:

        d log p(v | node) / d logits(node) = [. is v] - softmax(logits(node)),   logits(node) = weight hidden(node)

    Args:
        hidden: (B, T * K, D) decoder outputs of all prefixes; that of slot j at position t is row t * K + j.
        weight: (V, D) the output layer.
        steps: T of them, of a search with the same network in the same state.
    """
    T, slots = len(steps), hidden.size(1) // len(steps)
    nodes = hidden.unflatten(1, (T, slots)).transpose(0, 1).flatten(1, 2)  # (B, T * K, D) -> (T, B * K, D)
    first = torch.arange(0, nodes.size(1), slots, device=hidden.device).unsqueeze(1)  # (B, 1) slot 0 of each sentence
    parents = torch.stack([first + each.parents for each in steps])  # (T, B, M)
    tokens = torch.stack([each.tokens for each in steps])
    values = torch.stack([each.log_probs for each in steps])
    return list(_Known.apply(nodes, weight, values, parents, tokens).unbind(0))


class _Known(Function):
    @staticmethod
    def forward(ctx: Any, nodes: Tensor, weight: Tensor, values: Tensor, parents: Tensor, tokens: Tensor) -> Tensor:
        ctx.save_for_backward(nodes, weight, parents, tokens)
        device = nodes.device.type
        ctx.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else nodes.dtype
        return values.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        nodes, weight, parents, tokens = ctx.saved_tensors
        N, V = nodes.size(1), weight.size(0)
        outer = outer.masked_fill(tokens == PAD, 0.0)  # a finished slot's candidate costs nothing
        cast = weight.to(ctx.dtype)
        of_nodes = torch.zeros_like(nodes)
        of_weight = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
        at_once = max(1, _AT_ONCE // (N * V))  # positions
        for start in range(0, nodes.size(0), at_once):
            part = slice(start, start + at_once)
            shift = torch.arange(0, nodes[part].size(0) * N, N, device=nodes.device).view(-1, 1, 1)
            rows, gold, given = (parents[part] + shift).flatten(), tokens[part].flatten(), outer[part].flatten()
            hidden = nodes[part].flatten(0, 1).to(ctx.dtype)  # (n, D)
            chosen = _with_candidates(rows, given, hidden.size(0))
            if chosen is not None:
                places = torch.zeros(hidden.size(0), dtype=torch.long).index_copy_(0, chosen, torch.arange(len(chosen)))
                hidden, rows = hidden.index_select(0, chosen), places[rows]
            by_logits = linear(hidden, cast).softmax(-1, dtype=of_weight.dtype)  # (n, V)
            total = by_logits.new_zeros(hidden.size(0)).index_add_(0, rows, given.to(by_logits.dtype))
            by_logits.mul_(-total.unsqueeze(1))
            by_logits.view(-1).index_add_(0, rows * V + gold, given.to(by_logits.dtype))
            cast_by_logits = by_logits.to(ctx.dtype)
            of_weight += cast_by_logits.t() @ hidden
            of_hidden = (cast_by_logits @ cast).to(of_nodes.dtype)  # (n, D)
            flat = of_nodes[part].flatten(0, 1)
            if chosen is None:
                flat.copy_(of_hidden)
            else:
                flat.index_copy_(0, chosen, of_hidden)
        return of_nodes, of_weight.to(weight.dtype), None, None, None


def _with_candidates(rows: Tensor, given: Tensor, count: int) -> Tensor | None:
    """Of `count` nodes those that some candidate gives a gradient; None for all. On a GPU asking would be a wait."""
    if rows.is_cuda:
        return None
    found = torch.zeros(count, dtype=torch.bool)
    found[rows[given != 0]] = True
    chosen = found.nonzero().squeeze(1)
    return None if len(chosen) == count else chosen
