"""The contract of a loss on what the search finds, so that another one is one class and one line of config."""

import math
from abc import ABC, abstractmethod

from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.search.unroll.soft_beams import SoftBeams


class BeamLoss(nn.Module, ABC):
    """A loss on the search's beams for a batch, and what it needs of the search."""

    reads_reference: bool = False  # whether it needs `beams.reference_log_probs` of batch.target_out
    reads_ended: bool = False  # whether at slots that have ended too, at all positions of the reference
    reads_gold: bool = False  # whether it needs `gold_log_probs`
    reads_vectors: bool = False  # whether it needs `beams.vectors` and `beams.reference_vectors`
    reads_hard_prefixes: bool = False  # whether each slot must hold one hypothesis, and some candidates none
    follows_reference: bool = False  # whether it needs the reference among the candidates, and `beams.followed`
    keeps_reference: bool = False  # whether the followed reference takes a slot where it would have fallen out
    compares_beams: bool = False  # whether all that it learns is which of several final beams is the better one
    reads_choices: bool = False  # whether it has a gradient by the search's choices too, where the selection passes one
    takes_gold_prefixes: bool = False  # whether it makes sense of one beam that was predicted after gold prefixes

    @abstractmethod
    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        """(B,) the loss of each sentence.

        gold_log_probs: (B, U) log-probability of each gold token given the gold tokens before it, 0 at PAD.
        """


OF_ALL = ("takes_gold_prefixes", "compares_beams")  # of several losses together only where it is so of each
NEEDS = tuple(name for name in BeamLoss.__annotations__ if name not in OF_ALL)


def order_weights(beams: SoftBeams, sharpness: float) -> Tensor:
    """(B, K) a distribution over the final beams: softmax of score / ((5 + length) / 6) / `sharpness`, the search's
    own order (GNMT's length penalty with alpha = 1), length in expected tokens with EOS; 0 for a beam that does not
    exist."""
    missing = beams.scores == -math.inf
    normalised = beams.scores.masked_fill(missing, 0.0) / ((5 + beams.lengths) / 6)
    return (normalised / sharpness).masked_fill(missing, -math.inf).softmax(-1)


def check_sharpness(sharpness: float) -> None:
    """Raises UserError unless it is positive."""
    if not sharpness > 0:
        raise UserError(f"sharpness is {sharpness}, but must be positive; 0.3 is usual")
