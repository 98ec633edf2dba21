"""Batched beam search, the one decoder behind validation, translation and evaluation.

It finds hypotheses of great accumulated log-probability, and ranks the K that it ends with by score / lp(length); see
`length.length_penalties` for lp, `step.best_candidates` for what happens at a position, `stop.settled` for the end.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from beamtrain.errors import UserError
from beamtrain.model.base import Seq2Seq
from beamtrain.search.beams import Beams
from beamtrain.search.constraints import Constraints
from beamtrain.search.decode import Strategy, decode
from beamtrain.search.hypothesis import Hypothesis
from beamtrain.search.length import LengthPenalty, check_length_limits, check_length_penalty, length_penalties
from beamtrain.search.step import Candidates, best_candidates
from beamtrain.search.stop import ranking, settled


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


class _BeamSearch(Strategy):
    """Keeps the K best candidates by log-probability, and ranks what is left at the end by score / lp."""

    def __init__(self, options: SearchOptions, penalties: Tensor) -> None:
        self.beam_size, self.n_best, self.penalties = options.beam_size, options.n_best, penalties

    def choose(self, log_probs: Tensor, beams: Beams) -> Candidates:
        slots_now, V = log_probs.shape[1:]
        return best_candidates(log_probs, beams.going, beams.absorbed, min(self.beam_size, slots_now * V))

    def settled(self, beams: Beams, limits: Tensor) -> Tensor:
        return settled(beams, self.penalties, limits, self.n_best)

    def ranking(self, beams: Beams) -> tuple[Tensor, Tensor]:
        return ranking(beams, self.penalties, self.n_best)


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
    constraints = Constraints.for_sources(
        memory.mask,
        max_length=options.max_length,
        max_length_ratio=options.max_length_ratio,
        max_length_offset=options.max_length_offset,
        min_length=options.min_length,
        no_repeat_ngram=options.no_repeat_ngram,
        prefix=prefix,
    )
    penalties = length_penalties(int(constraints.limits.max()), options.length_penalty, options.alpha)
    strategy = _BeamSearch(options, penalties.to(source.device))
    beams = Beams.start(memory.mask, 1, attention)  # one beginning; the first position makes K slots of it
    return decode(network, memory, beams, constraints, strategy)
