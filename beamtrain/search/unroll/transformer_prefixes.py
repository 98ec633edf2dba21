"""The prefixes of a Transformer's search, as a tree that one pass runs over.

The search runs without a graph, as in inference. The pass over the tree, in which each prefix attends to its own
ancestors, gives the same numbers with a gradient, in a few large matrix products forward and backward. Without dropout
the numbers are those of the search: the pass then waits until the loss says which prefixes have a gradient, and looks
up the matrix products that the search has done already: see `deferred_gradient` and `linear_outputs`.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.state import DecoderState, HardAncestry, TransformerState
from beamtrain.model.transformer import Transformer
from beamtrain.search.step import Candidates
from beamtrain.search.unroll.deferred_gradient import through_tree
from beamtrain.search.unroll.linear_outputs import LinearOutputs
from beamtrain.search.unroll.log_probs import candidate_log_probs
from beamtrain.search.unroll.prefix_tree import PrefixTree
from beamtrain.search.unroll.prefixes import Prefixes, ScoredCandidates


class TreePrefixes(Prefixes):
    def __init__(self, network: Seq2Seq, memory: Memory, reference: Tensor | None, reads_ended: bool) -> None:
        assert isinstance(network, Transformer)
        self._network, self._memory, self._reference, self._reads_ended = network, memory, reference, reads_ended
        self._tokens: list[Tensor] = []  # T times (B, K)
        self._visible: list[Tensor] = []  # (B, K, t * K) at position t, from 1
        # the values are those that the search finds
        self._reuses_search = reference is None and not network.training and not network.has_own_logits
        self._outputs = LinearOutputs()

    @contextmanager
    def passing(self) -> Iterator[None]:
        wanted = self._reuses_search and torch.is_grad_enabled()
        with torch.no_grad(), self._outputs.recording(self._network.decoder) if wanted else nullcontext():
            yield

    def add(self, tokens: Tensor, hidden: Tensor, state: DecoderState) -> None:
        assert isinstance(state, TransformerState) and isinstance(state.ancestry, HardAncestry)
        self._tokens.append(tokens)
        self._visible.append(state.ancestry.visible)

    def log_probs(self, steps: list[Candidates]) -> list[ScoredCandidates]:
        tree = PrefixTree.of_search(self._tokens, self._visible)
        if self._reuses_search:
            found = through_tree(self._network, self._memory, tree, steps, self._outputs)
            return [(each, None) for each in found]
        inputs = self._network.embed(tree.tokens) if self._reads_ended else tree.tokens
        hidden = self._network.decode_tree(self._memory, inputs, tree.depths, tree.visible)  # (B, T * K, D)
        slots = hidden.chunk(len(steps), dim=1)  # each (B, K, D)
        return [candidate_log_probs(self._network, *each, self._reference) for each in zip(slots, steps, strict=True)]
