"""Corpus BLEU to first order: what a sentence adds to the BLEU of the corpus it stands in."""

import math

from torch import Tensor

from beamtrain.base.errors import UserError
from beamtrain.objectives.rewards.ngram_counts import NgramCounts
from beamtrain.objectives.rewards.ngram_reward import NgramReward


class LinearBleu(NgramReward):
    """The gain in the logarithm of corpus BLEU by a sentence, linear in its counts (Tromble et al. 2008, "Lattice
    Minimum Bayes-Risk Decoding for Statistical Machine Translation", section 4), for each token of the reference:

        (sum_n  shared_n / (N precision decay^(n - 1))  -  length_cost * length)  /  (c * reference length)

    A hypothesis as precise as the corpus gains 1 - length_cost for each of its tokens: at length_cost 1 it is neither
    good nor bad to say more, below it is good. c = sum_n 1 / (N precision decay^(n - 1)) is our scale: at
    length_cost 0 the reference itself has a reward of 1, as in GLEU, save that it has fewer n-grams than tokens.

    Args:
        order: N.
        precision: the share of the corpus' tokens that match, 0 to 1.
        decay: by how much the share falls with every order.
        length_cost: of a token, 0 where the corpus is short of words (the brevity penalty pays for them), 1 where it
            is not.

    Raises:
        UserError: a value out of its range.
    """

    def __init__(self, order: int = 4, precision: float = 0.7, decay: float = 0.7, length_cost: float = 1.0) -> None:
        super().__init__(order)
        for name, value in (("precision", precision), ("decay", decay)):
            if not 0 < value <= 1:
                raise UserError(f"{name} is {value}, but must be above 0 and at most 1; 0.7 is usual")
        if not 0 <= length_cost < math.inf:
            raise UserError(f"length_cost is {length_cost}, but must be 0 or more, and finite; 1 is usual")
        self.length_cost = length_cost
        self.values = [1 / (order * precision * decay**n) for n in range(order)]

    def forward(self, counts: NgramCounts) -> Tensor:
        gained = sum(value * shared for value, shared in zip(self.values, counts.shared.unbind(-1), strict=True))
        scale = sum(self.values) * counts.reference_length.clamp(min=1)  # (B, 1)
        return (gained - self.length_cost * counts.length) / scale
