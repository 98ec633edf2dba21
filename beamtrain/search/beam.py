"""Batched beam search, the one decoder behind validation, translation and evaluation.

It finds hypotheses of great accumulated log-probability, and ranks the K that it ends with by score / lp(length); see
`length.length_penalties` for lp, `step.best_candidates` for what happens at a position, `stop.settled` for the end.
"""

import torch
from torch import Tensor

from beamtrain.model.base import Seq2Seq
from beamtrain.search.beams import Beams
from beamtrain.search.constraints import Constraints
from beamtrain.search.decode import Strategy, decode
from beamtrain.search.hypothesis import Hypothesis
from beamtrain.search.length import length_penalties
from beamtrain.search.options import SearchOptions
from beamtrain.search.step import Candidates, best_candidates
from beamtrain.search.stop import ranking, settled


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


@torch.inference_mode()
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
        network,
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
