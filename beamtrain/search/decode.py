"""The loop that every search runs: advance the network, choose, drop sentences that are done."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.data.tokenizer import BOS
from beamtrain.model.base import Memory, Seq2Seq
from beamtrain.search.beams import Beams, take
from beamtrain.search.constraints import Constraints
from beamtrain.search.hypothesis import Hypothesis
from beamtrain.search.step import Candidates

_COMPACT_AT = 1 / 8  # the share of sentences that must be done before moving the rest of the caches pays


class Strategy(ABC):
    """What tells one search from another."""

    @abstractmethod
    def choose(self, log_probs: Tensor, beams: Beams) -> Candidates:
        """What the K slots become, given the log-probabilities (B, K, V) of the next token; -inf: not allowed."""

    @abstractmethod
    def settled(self, beams: Beams, limits: Tensor) -> Tensor:
        """(B,) which sentences have their result; limits (B,) are the most tokens, EOS included."""

    @abstractmethod
    def ranking(self, beams: Beams) -> tuple[Tensor, Tensor]:
        """The slots that are the result, best first, and their scores: two (B, N); -inf marks what does not exist."""

    def keep(self, rows: Tensor) -> None:  # noqa: B027 (most strategies remember nothing about single sentences)
        """Drop all sentences but `rows` (R,)."""


def decode(
    network: Seq2Seq, memory: Memory, beams: Beams, constraints: Constraints, strategy: Strategy
) -> list[list[Hypothesis]]:
    """Run a search from its first position to its end; the result of every sentence, in the order of the batch.

    Raises:
        UserError: the network's output is not a number.
    """
    B, K = beams.scores.shape
    state = network.start(memory, K)
    state.record_attention = beams.attention is not None
    inputs = torch.full_like(beams.finished, BOS, dtype=torch.long)  # (B, K)
    remaining = torch.arange(B, device=inputs.device)  # which sentences are still in the batch
    found: dict[int, list[Hypothesis]] = {}
    while True:
        log_probs = _log_probs(network.logits(network.step(inputs, state)))  # (B, K, V)
        constraints.forbid(log_probs, beams.tokens)
        chosen = strategy.choose(log_probs, beams)
        beams.advance(chosen, state.attention)
        state.reorder(chosen.parents)
        inputs = chosen.tokens
        done = strategy.settled(beams, constraints.limits)
        leaving = int(done.sum())
        if leaving < max(1.0, _COMPACT_AT * done.size(0)):
            continue
        results = hypotheses(beams.only(done), *strategy.ranking(beams.only(done)))
        found.update(zip(remaining[done].tolist(), results, strict=True))
        if leaving == done.size(0):
            return [found[sentence] for sentence in range(B)]
        rows = _filling_gaps(~done)  # (R,)
        for part in (state, constraints, strategy):
            part.keep(rows)
        beams, inputs, remaining = beams.only(rows), inputs[rows], remaining[rows]


def _filling_gaps(going: Tensor) -> Tensor:
    """The sentences that go on, of (B,), in an order that moves few of them: the last ones take the free places."""
    R = int(going.sum())
    rows = torch.arange(R, device=going.device)
    rows[~going[:R]] = R + going[R:].nonzero().squeeze(1)
    return rows


def _log_probs(logits: Tensor) -> Tensor:
    """Log-probabilities in float32 or better, of logits of any precision."""
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def hypotheses(beams: Beams, slots: Tensor, scores: Tensor) -> list[list[Hypothesis]]:
    """The given slots (B, N) of every sentence, those whose score (B, N) is -inf left out."""
    lengths = take(beams.lengths, slots)  # (B, N)
    columns = (scores, lengths, *(take(x, slots) for x in (beams.scores, beams.tokens, beams.log_probs)))
    attention = None if beams.attention is None else take(beams.attention, slots).float().cpu()
    results: list[list[Hypothesis]] = []
    for row, sentence in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        results.append(
            [
                Hypothesis(
                    tokens=tokens[: length - 1],
                    score=score,
                    log_prob=log_prob,
                    token_log_probs=log_probs[:length],
                    attention=None if attention is None else attention[row, rank, :length],
                )
                for rank, (score, length, log_prob, tokens, log_probs) in enumerate(zip(*sentence, strict=True))
                if score > -math.inf
            ]
        )
        if not results[-1]:
            raise UserError("the network gives no sentence a probability: are its weights finite?")
    return results
