"""A network that needs no training, and a little text."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from beamtrain.data.tokenizer import EOS
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.state import DecoderState

SENTENCES = [
    "Two young men are outside near many bushes.",
    "A little girl climbs into a wooden playhouse.",
    "Several men in hard hats operate a giant pulley system.",
    "A man in a blue shirt is standing on a ladder cleaning a window.",
    "Zwei junge Männer sind im Freien in der Nähe vieler Büsche.",
    "Ein kleines Mädchen klettert in ein Spielhaus aus Holz.",
]


@dataclass
class EchoState(DecoderState):
    """Where the echo is in each sentence."""

    memory: Memory
    length: int = 0

    def reorder(self, parents: Tensor) -> None:
        pass

    def keep(self, rows: Tensor) -> None:
        self.memory = Memory(self.memory.states[rows], self.memory.mask[rows])


class Echo(Seq2Seq):
    """Says the source again: what it translates is known, token by token."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.strength = nn.Parameter(torch.tensor(20.0))

    def encode(self, source: Tensor) -> Memory:
        return Memory(one_hot(source, self.vocab_size) * self.strength, source != 0)  # (B, S, V)

    def decode(self, memory: Memory, target_in: Tensor) -> Tensor:
        raise NotImplementedError

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden

    def start(self, memory: Memory, beams: int) -> EchoState:
        return EchoState(memory)

    def step(self, inputs: Tensor, state: DecoderState) -> Tensor:
        assert isinstance(state, EchoState)
        states, K = state.memory.states, inputs.size(1)
        B, S, V = states.shape
        if state.length < S:
            hidden = states[:, state.length]  # (B, V)
            hidden = torch.where(state.memory.mask[:, state.length, None], hidden, self._end(hidden))
        else:
            hidden = self._end(states[:, 0])
        if state.record_attention:
            state.attention = one_hot(torch.tensor(min(state.length, S - 1)), S).float().expand(B, K, S)
        state.length += 1
        return hidden.unsqueeze(1).expand(B, K, V)

    def _end(self, hidden: Tensor) -> Tensor:
        return one_hot(torch.full(hidden.shape[:1], EOS), self.vocab_size) * self.strength
