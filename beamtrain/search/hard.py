"""Batched beam search, the one decoder behind validation, translation and evaluation.

It finds hypotheses of great accumulated log-probability, and ranks the K that it ends with by score / lp(length); see
`length.length_penalties` for lp, `step.best_candidates` for what happens at a position, `stop.settled` for the end.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from beamtrain.data.tokenizer import BOS, PAD
from beamtrain.errors import UserError
from beamtrain.model.base import Seq2Seq
from beamtrain.search.beams import Beams, take
from beamtrain.search.constraints import Constraints, check_prefix
from beamtrain.search.hypothesis import Hypothesis
from beamtrain.search.length import (
    LengthPenalty,
    check_length_limits,
    check_length_penalty,
    length_limits,
    length_penalties,
)
from beamtrain.search.step import best_candidates
from beamtrain.search.stop import ranking, settled

_COMPACT_AT = 1 / 8  # share of finished sentences that is worth moving the caches


@dataclass(frozen=True)
class SearchOptions:
    """How to search. Lengths count subword tokens with EOS.

    Raises:
        UserError: a value out of its range, or two that contradict each other.
    """

    beam_size: int = 5
    """K, hypotheses kept at each position; 1 is greedy search."""
    n_best: int = 1
    """Hypotheses returned for each sentence; at most beam_size."""
    length_penalty: LengthPenalty = "gnmt"
    """Final scores are log_prob / lp: gnmt ((5 + length) / 6)^alpha, average length^alpha, none 1."""
    alpha: float = 1.0
    """Exponent of the length penalty, -10 to 10; 0 ignores the length."""
    min_length: int = 0
    """Fewest tokens."""
    max_length: int | None = None
    """Most tokens; none: only the limit that follows from the source."""
    max_length_ratio: float = 2.0
    """A translation has at most max_length_ratio * source tokens + max_length_offset tokens."""
    max_length_offset: int = 10
    """See max_length_ratio."""
    no_repeat_ngram: int = 0
    """No n-gram of this many tokens occurs twice in a hypothesis; 0: any may."""

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise UserError(f"beam_size is {self.beam_size}; it must be 1 or more")
        if not 1 <= self.n_best <= self.beam_size:
            raise UserError(
                f"n_best is {self.n_best}; it must be from 1 to beam_size ({self.beam_size}): raise beam_size for more"
            )
        if self.no_repeat_ngram < 0:
            raise UserError(f"no_repeat_ngram is {self.no_repeat_ngram}; it must be 1 or more, or 0 to allow repeats")
        check_length_penalty(self.length_penalty, self.alpha)
        check_length_limits(self.max_length, self.max_length_ratio, self.max_length_offset, self.min_length)


@torch.no_grad()
def beam_search(
    network: Seq2Seq,
    source: Tensor,
    options: SearchOptions,
    *,
    prefix: Tensor | None = None,
    attention: bool = False,
) -> list[list[Hypothesis]]:
    """The best hypotheses of every sentence, best first; `options.n_best` of them unless fewer exist.

    Every hypothesis ends in EOS, which at a sentence's last allowed position is the only choice, and its `log_prob`
    is the model's own: constraints remove candidates, they do not rescale the rest. The result for a sentence does
    not depend on the other sentences of the batch, up to the rounding of the network.

    Args:
        network: used as it is; put it into eval mode first.
        source: (B, S) ids, each row ending in EOS, padded with PAD.
        prefix: (B, P) target ids that the translations must start with, padded with PAD. A prefix and its EOS may
            exceed the length that follows from the source, not `max_length`.
        attention: also return the cross-attention of every position.

    Raises:
        UserError: a prefix that is malformed or too long, or a network whose output is not a number.
    """
    memory = network.encode(source)
    constraints = _constraints(memory.mask, options, prefix)
    penalties = length_penalties(int(constraints.limits.max()), options.length_penalty, options.alpha)
    penalties = penalties.to(source.device)
    state = network.start(memory, options.beam_size)
    state.record_attention = attention
    beams = Beams.start(memory.mask, options.beam_size, attention)
    inputs = source.new_full((source.size(0), options.beam_size), BOS)
    remaining = torch.arange(source.size(0), device=source.device)  # which sentences are still in the batch
    found: dict[int, list[Hypothesis]] = {}
    while True:
        log_probs = _log_probs(network.logits(network.step(inputs, state)))  # (B, K, V)
        constraints.forbid(log_probs, beams.tokens)
        chosen = best_candidates(log_probs, beams.going, beams.absorbed, options.beam_size)
        beams.advance(chosen, state.attention)
        inputs = chosen.tokens
        state.reorder(chosen.parents)
        done = settled(beams, penalties, constraints.limits, options.min_length, options.n_best)
        leaving = int(done.sum())
        if leaving < max(1.0, _COMPACT_AT * done.size(0)):
            continue
        hypotheses = _hypotheses(beams.only(done), penalties, options.n_best)
        found.update(zip(remaining[done].tolist(), hypotheses, strict=True))
        if leaving == done.size(0):
            return [found[sentence] for sentence in range(source.size(0))]
        rows = (~done).nonzero().squeeze(1)  # (R,)
        state.keep(rows)
        constraints.keep(rows)
        beams, inputs, remaining = beams.only(rows), inputs[rows], remaining[rows]


def _constraints(source_mask: Tensor, options: SearchOptions, prefix: Tensor | None) -> Constraints:
    """What the options and the prefix (B, P) ask of translations of the sources (B, S)."""
    at_least = torch.full_like(source_mask[:, 0], max(1, options.min_length), dtype=torch.long)  # (B,)
    if prefix is not None:
        check_prefix(prefix, source_mask.size(0))
        at_least = at_least.maximum((prefix != PAD).sum(1) + 1)
        if options.max_length is not None and int(at_least.max()) > options.max_length:
            raise UserError(
                f"a prefix and its EOS have {int(at_least.max())} tokens, max_length is {options.max_length}; raise it"
            )
    limits = length_limits(
        source_mask.sum(1), options.max_length, options.max_length_ratio, options.max_length_offset, at_least
    )
    return Constraints(limits, options.min_length, options.no_repeat_ngram, prefix)


def _log_probs(logits: Tensor) -> Tensor:
    """Log-probabilities in float32 or better, of logits of any precision"""
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _hypotheses(beams: Beams, penalties: Tensor, n_best: int) -> list[list[Hypothesis]]:
    """The final n-best list of every sentence."""
    slots, scores = ranking(beams, penalties, n_best)  # (B, n_best)
    lengths = take(beams.lengths, slots)  # (B, n_best)
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
