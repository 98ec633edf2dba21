"""The prefixes of a recurrent network's search: it cannot be run over them again all at once.

So the decoder keeps its graph as the search goes, and only what is not recurrent waits until the search is over: the
V-way softmax, whose gradient is taken for all positions together.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.state import DecoderState
from beamtrain.search.step import Candidates
from beamtrain.search.unroll.log_probs import candidate_log_probs
from beamtrain.search.unroll.prefixes import Prefixes, ScoredCandidates
from beamtrain.search.unroll.softmax_gradient import through_outputs


class RecurrentPrefixes(Prefixes):
    def __init__(self, network: Seq2Seq, memory: Memory, reference: Tensor | None, reads_ended: bool) -> None:
        self._network, self._reference = network, reference
        self._hidden: list[Tensor] = []  # T times (B, K, D)

    @contextmanager
    def passing(self) -> Iterator[None]:
        yield

    def add(self, tokens: Tensor, hidden: Tensor, state: DecoderState) -> None:
        self._hidden.append(hidden)

    def log_probs(self, steps: list[Candidates]) -> list[ScoredCandidates]:
        if self._reference is None and not self._network.has_own_logits:
            hidden = torch.stack(self._hidden, dim=1)  # (B, T, K, D)
            weight, bias = self._network.output_weight, self._network.output_bias
            return [(each, None) for each in through_outputs(hidden, weight, bias, steps)]
        return [
            candidate_log_probs(self._network, hidden, candidates, self._reference)
            for hidden, candidates in zip(self._hidden, steps, strict=True)
        ]
