"""Exact search by branch and bound: the best of all translations under the model's own scores, or none.

What an accumulated log-probability can become is bounded by what it is, since each further token only lowers it
(Stahlberg and Byrne 2019, "On NMT Search Errors and Model Errors: Cat Got Your Tongue?"). A prefix that cannot reach
the score of a complete translation that is known already is dropped. Our deviation: they go depth first, one prefix at
a time; here all prefixes of one length go on together, as the slots of a beam that is as wide as it has to be. The
translation that is known at first is the beam search's own.

No prefix of a length is part of another, so that without a length penalty at most 1 / p of them stay, where p is the
probability of the best translation known: the surer the model, the quicker the search.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from beamtrain.data.tokenizer import EOS, PAD
from beamtrain.model.base import Seq2Seq
from beamtrain.search.beam import beam_search
from beamtrain.search.beams import Beams
from beamtrain.search.constraints import Constraints
from beamtrain.search.decode import Strategy, decode
from beamtrain.search.hypothesis import Hypothesis
from beamtrain.search.length import length_penalties
from beamtrain.search.options import SearchOptions
from beamtrain.search.step import Candidates, best_candidates
from beamtrain.search.stop import ranking

ROUNDING = 1e-3  # by which a score may differ between two batches


@torch.no_grad()
def exact_search(network: Seq2Seq, source: Tensor, options: SearchOptions, most: int = 2000) -> list[Hypothesis | None]:
    """The translation of the greatest score of every sentence, among all that `options` allow.

    The score is log_prob / length penalty, as of `beam_search`, and none that this one finds is greater, up to the
    rounding of the network: where that is coarse, as in bfloat16, and nothing comes up to what `beam_search` found, it
    is that. Memory grows with B * `most`, time with the prefixes that cannot be ruled out: without a penalty few, with
    one that favours length many more.

    Args:
        network: used as it is; put it into eval mode first.
        source: (B, S) ids, each row ending in EOS, padded with PAD.
        options: `beam_size` is that of the beam search which comes first; `n_best` is of no account.
        most: a sentence is given up, and its result is None, where more prefixes than that are open at once.

    Raises:
        UserError: a network whose output is not a number.
    """
    known = [found[0] for found in beam_search(network, source, replace(options, n_best=1))]
    memory = network.encode(source)
    constraints = Constraints.for_sources(
        memory.mask,
        network,
        max_length=options.max_length,
        max_length_ratio=options.max_length_ratio,
        max_length_offset=options.max_length_offset,
        min_length=options.min_length,
        no_repeat_ngram=options.no_repeat_ngram,
    )
    penalties = length_penalties(int(constraints.limits.max()), options.length_penalty, options.alpha)
    scores = torch.tensor([each.score for each in known], device=source.device)
    strategy = _BranchAndBound(penalties.to(source.device), scores - ROUNDING, constraints, most)
    found = decode(network, memory, Beams.start(memory.mask, 1, attention=False), constraints, strategy)
    return [
        None if row in strategy.given_up else known[row] if row in strategy.beaten else hypotheses[0]
        for row, hypotheses in enumerate(found)
    ]


class _BranchAndBound(Strategy):
    """Keeps each open prefix that can still reach the best complete translation, and that translation."""

    def __init__(self, penalties: Tensor, best: Tensor, constraints: Constraints, most: int) -> None:
        self.given_up: set[int] = set()
        """Sentences of the batch, by their row."""
        self.beaten: set[int] = set()
        """Those of which nothing comes up to the translation that was known, as it scores here."""
        self._penalties, self._best, self._constraints, self._most = penalties, best, constraints, most  # best (B,)
        self._rows = torch.arange(best.size(0), device=best.device)  # of the sentences that are still in the batch

    def choose(self, log_probs: Tensor, beams: Beams) -> Candidates:
        slots, V = log_probs.shape[1:]
        length = beams.position + 1
        totals = beams.going.unsqueeze(-1) + log_probs  # (B, K, V)
        ended = totals[..., EOS] / self._penalties[length]  # (B, K)
        self._best = self._best.to(ended.dtype).maximum(ended.amax(1))
        best = self._best[:, None]  # (B, 1)
        stays = (totals / self._most_favourable(length)[:, None, None] >= best.unsqueeze(-1)) & (totals > -math.inf)
        stays[..., EOS] = (ended >= best) & (ended > -math.inf)
        absorbed = beams.absorbed.masked_fill(beams.absorbed / self._penalties[beams.lengths] < best, -math.inf)
        counts = stays.sum((1, 2)) + (absorbed > -math.inf).sum(1)  # (B,)
        going, allowed = beams.going, log_probs.masked_fill_(~stays, -math.inf)
        over = (counts > self._most) | (counts == 0)
        if bool(over.any()):
            self.given_up |= set(self._rows[counts > self._most].tolist())
            self.beaten |= set(self._rows[counts == 0].tolist())
            for values in (allowed, going, absorbed):
                values[over] = -math.inf
            allowed[over, 0, EOS] = going[over, 0] = 0.0  # they end here, with what nobody will read
        count = int(counts.masked_fill(over, 1).amax())
        chosen = best_candidates(allowed, going, absorbed, min(count, slots * V))
        chosen.tokens.masked_fill_(chosen.scores == -math.inf, PAD)
        return chosen

    def _most_favourable(self, length: int) -> Tensor:
        """(B,) the greatest lp of a sentence that goes on after `length` tokens; lp rises or falls throughout."""
        limits = self._constraints.limits
        return self._penalties[limits].maximum(self._penalties[limits.clamp(max=length + 1)])

    def settled(self, beams: Beams, limits: Tensor) -> Tensor:
        return beams.going.amax(-1) == -math.inf

    def ranking(self, beams: Beams) -> tuple[Tensor, Tensor]:
        return ranking(beams, self._penalties, 1)

    def keep(self, rows: Tensor) -> None:
        self._best, self._rows = self._best[rows], self._rows[rows]
