"""When the result of a beam search is final, and what it is."""

import math

from torch import Tensor

from beamtrain.search.beams import Beams
from beamtrain.search.step import stable_topk


def ranking(beams: Beams, penalties: Tensor, n_best: int) -> tuple[Tensor, Tensor]:
    """The best finished slots of each sentence by score / lp, and their normalised scores: two (B, n_best).

    Equal scores stay in the order of the slots. A sentence with fewer finished slots has -inf after them.

    Args:
        penalties: (T + 1,) the table lp(n).
    """
    normalised = beams.absorbed / penalties[beams.lengths]  # (B, K)
    scores, slots = stable_topk(normalised, n_best)
    return slots, scores


def settled(beams: Beams, penalties: Tensor, limits: Tensor, min_length: int, n_best: int) -> Tensor:
    """Which sentences have their final n-best list, though the search might go on: (B,)

    A sentence is settled when no slot is open any more, or when its `n_best` best finished hypotheses (by score / lp)

    1. stay in the beam: each has at least the accumulated score of every open slot. Scores only fall, so all that an
       open slot can still produce ranks below them, and the other finished slots are fewer than K; and
    2. stay the best: their normalised scores are above everything that an open slot can still reach. Log-probabilities
       are at most 0, so a slot with score s reaches at most s / lp(n), with the n that makes lp(n) greatest among the
       lengths still possible: the longest for alpha > 0, the shortest for alpha < 0.

    So running on to the end would give the same list, in the same order.

    Args:
        penalties: (T + 1,) the table lp(n), which rises or falls throughout.
        limits: (B,) the most tokens of each sentence, EOS included.
        min_length: the fewest tokens, EOS included.
    """
    slots, wanted = ranking(beams, penalties, n_best)  # (B, n_best)
    best_open = beams.going.amax(-1)  # (B, K) -> (B,)
    stay = beams.scores.gather(1, slots).amin(-1) >= best_open
    shortest = limits.clamp(max=max(beams.position + 1, min_length))  # (B,)
    reachable = best_open / penalties[shortest].maximum(penalties[limits])
    return (best_open == -math.inf) | (stay & (wanted[:, -1] > reachable))
