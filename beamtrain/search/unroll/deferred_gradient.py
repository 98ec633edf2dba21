"""Log-probabilities whose values are known: the network runs again for their gradient only, and only where it flows.

The search has found the candidates with their log-probabilities, without a graph. A loss on them can be computed and
differentiated by them before the network is asked again. Only then is it known which prefixes have a gradient at all:
with a hard selection the final beams and what they descend from, which is about half of the search's prefixes. What
the decoder's linear maps gave for these is known from the search too: see `linear_outputs`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.amp import is_autocast_available
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from beamtrain.data.tokenizer import PAD
from beamtrain.model.base import Memory
from beamtrain.model.slots import OpenSlots
from beamtrain.model.transformer import Transformer
from beamtrain.search.step import Candidates
from beamtrain.search.unroll.linear_outputs import LinearOutputs, looking_up
from beamtrain.search.unroll.prefix_tree import PrefixTree
from beamtrain.search.unroll.softmax_gradient import autocast_dtype, through_logits


def through_tree(
    network: Transformer, memory: Memory, tree: PrefixTree, steps: list[Candidates], outputs: LinearOutputs
) -> list[Tensor]:
    """The log-probabilities (B, M) of each position's candidates, with their gradient by the network and the memory.

    Args:
        network: as it was in the search, without dropout.
        tree: the search's prefixes; slot j at position t is prefix t * K + j.
        steps: its candidates at each of T positions.
        outputs: what the decoder's linear maps gave in the search. What is not in it, or has been used, is computed.
    """
    slots = tree.tokens.size(1) // len(steps)
    nodes = torch.stack([t * slots + each.parents for t, each in enumerate(steps)])  # (T, B, M)
    tokens = torch.stack([each.tokens for each in steps])
    values = torch.stack([each.log_probs for each in steps])
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    found = _ThroughTree.apply(network, memory.mask, tree, outputs, values, nodes, tokens, memory.states, *parameters)
    return list(found.unbind(0))


class _ThroughTree(Function):
    @staticmethod
    def forward(
        ctx: Any,
        network: Transformer,
        mask: Tensor,
        tree: PrefixTree,
        outputs: LinearOutputs,
        values: Tensor,
        nodes: Tensor,
        tokens: Tensor,
        states: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        ctx.network, ctx.tree, ctx.outputs = network, tree, outputs
        ctx.save_for_backward(mask, nodes, tokens, states, *parameters)
        ctx.dtype = autocast_dtype(states.device.type)
        return values.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        mask, nodes, tokens, states, *parameters = ctx.saved_tensors
        nodes, tokens, outer = (each.transpose(0, 1).flatten(1) for each in (nodes, tokens, outer))  # (B, T * M)
        outer = outer.masked_fill(tokens == PAD, 0.0)  # a finished slot's candidate costs nothing
        wanted = torch.zeros_like(ctx.tree.tokens).scatter_add_(1, nodes, (outer != 0).long()) > 0  # (B, N)
        tree, places = ctx.tree.without_others(wanted)
        source = Memory(states.detach().requires_grad_(), mask)
        again = looking_up(ctx.outputs, OpenSlots(tree.tokens).pack(tree.rows))
        with torch.enable_grad(), _autocast(states.device.type, ctx.dtype), _without_dropout(ctx.network), again:
            hidden = ctx.network.decode_tree(source, tree.tokens, tree.depths, tree.visible)  # (B, n, D)
        weight = ctx.network.output_weight
        shift = torch.arange(0, hidden.size(0) * hidden.size(1), hidden.size(1), device=hidden.device).unsqueeze(1)
        rows = (places.gather(1, nodes) + shift).flatten()  # of hidden.flatten(0, 1)
        of_hidden, of_weight = through_logits(
            hidden.detach().flatten(0, 1),
            weight,
            ctx.network.output_bias,
            rows,
            tokens.flatten(),
            outer.flatten(),
            ctx.dtype,
        )
        found = torch.autograd.grad(hidden, [source.states, *parameters], of_hidden.view_as(hidden), allow_unused=True)
        of_states, of_parameters = found[0], list(found[1:])
        for place, parameter in enumerate(parameters):
            if parameter is weight:
                own = of_parameters[place]
                of_parameters[place] = of_weight if own is None else own + of_weight
        return (None, None, None, None, None, None, None, of_states, *of_parameters)


def _autocast(device: str, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """As it was in the search."""
    if not is_autocast_available(device):
        return nullcontext()
    return torch.autocast(device, dtype, enabled=dtype is not None)


@contextmanager
def _without_dropout(network: Transformer) -> Iterator[None]:
    """As in the search: by the time of the backward pass the network may be in training mode again."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
