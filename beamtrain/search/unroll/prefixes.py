"""What a search passes through, kept for the gradient."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from torch import Tensor

from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.model.state import DecoderState
from beamtrain.search.step import Candidates

ScoredCandidates = tuple[Tensor, Tensor | None]
"""Log-probabilities (B, M) of a position's candidates, and (B, K, U) of every reference token, if one was given."""


class Prefixes(ABC):
    """The T * K prefixes of a hard search, and the log-probabilities after them with their gradient.

    Args:
        network: used as it is, dropout included if it is in training mode.
        memory: the encoded sources.
        reference: (B, U) token ids whose log-probabilities are wanted too.
        reads_ended: whether they are wanted after prefixes that have ended too.
    """

    @abstractmethod
    def __init__(self, network: Seq2Seq, memory: Memory, reference: Tensor | None, reads_ended: bool) -> None: ...

    @abstractmethod
    def passing(self) -> AbstractContextManager[None]:
        """The context in which the search runs."""

    @abstractmethod
    def add(self, tokens: Tensor, hidden: Tensor, state: DecoderState) -> None:
        """The next position: its slots' last tokens (B, K), decoder outputs (B, K, D) and the decoder's state then."""

    @abstractmethod
    def log_probs(self, steps: list[Candidates]) -> list[ScoredCandidates]:
        """For each position, of its candidates."""
