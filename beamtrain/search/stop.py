"""When the result of a beam search is final, and what it is."""

import math

from torch import Tensor

from beamtrain.search.beams import Beams
from beamtrain.search.step import stable_topk


def ranking(beams: Beams, penalties: Tensor, n_best: int) -> tuple[Tensor, Tensor]:
    """The best finished slots of each sentence by score / lp, and their normalised scores: two (B, n_best).

    Equal scores stay in the order of the slots. Fewer finished slots are followed by -inf; with fewer slots than
    n_best there are that many columns only.

    Args:
        penalties: (T + 1,) the table lp(n).
    """
    normalised = beams.absorbed / penalties[beams.lengths]  # (B, K)
    scores, slots = stable_topk(normalised, min(n_best, normalised.size(1)))
    return slots, scores


def settled(beams: Beams, penalties: Tensor, limits: Tensor, n_best: int) -> Tensor:
    """Which sentences have their final n-best list, though the search might go on: (B,)

    A sentence is settled when no slot is open any more, or when its `n_best` best finished hypotheses (by score / lp)

    1. stay in the beam: each has at least the accumulated score of every open slot. Scores only fall, so all that an
       open slot can still produce ranks below them, and the other finished slots are fewer than K; and
    2. stay the best. Where lp rises with the length, an open slot with score s <= 0 reaches at most s / lp(limit), and
       that must be less than theirs. Where lp falls, anything longer that does not beat them by 1 ranks below anyway.

    So running on to the end would give the same list, in the same order.

    Args:
        penalties: (T + 1,) the table lp(n), which rises or falls throughout.
        limits: (B,) the most tokens of each sentence, EOS included.
    """
    slots, wanted = ranking(beams, penalties, n_best)  # (B, n_best)
    best_open = beams.going.amax(-1)  # (B, K) -> (B,)
    stay_in = beams.scores.gather(1, slots).amin(-1) >= best_open
    stay_best = wanted[:, -1] > best_open / penalties[limits]
    return (best_open == -math.inf) | (stay_in & stay_best)
