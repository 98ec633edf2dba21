"""Cross-entropy of the reference under its best monotone alignment with what the first beam says."""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.data.tokenizer import PAD
from beamtrain.objectives.losses.base import BeamLoss
from beamtrain.objectives.losses.first_beam import FirstBeam
from beamtrain.search.unroll.soft_beams import SoftBeams


class AlignedCrossEntropy(BeamLoss):
    """A(U, T) / U of the dynamic program, over reference tokens u = 1 ... U and the first beam's positions t = 1 ... T,

        A(u, t) = min( A(u-1, t-1) - log P_t(y_u),               say y_u at t
                       A(u, t-1)   + skip,                       nothing of the reference is said at t
                       A(u-1, t)   - skip_token log P_t(y_u) )   y_u is said nowhere: it is asked of t all the same

    with A(0, 0) = 0 and P_1 for the tokens skipped before any position. So a shift by a word costs one skip on either
    side, where PositionCrossEntropy would punish every word after it.

    Ghazvininejad et al. 2020 ("Aligned Cross Entropy for Non-Autoregressive Machine Translation", section 3); our
    `skip_token` is their delta. They train all positions of a model that predicts them in parallel, which says a blank
    where nothing is said, at -log P_t(blank). There is no blank in a search, so that a position more costs `skip`, and
    one at which the beam has ended costs nothing and says nothing.

    Args:
        skip: of a position, in nats.
        skip_token: of a token, in units of its own cross-entropy.

    Raises:
        UserError: either is not positive and finite.
    """

    reads_reference = takes_gold_prefixes = True

    def __init__(self, skip: float = 3.0, skip_token: float = 1.0) -> None:
        super().__init__()
        for name, value in (("skip", skip), ("skip_token", skip_token)):
            if not 0 < value < math.inf:
                raise UserError(
                    f"{name} is {value}, but must be positive and finite: nothing is learned of what costs nothing"
                )
        self.skip, self.skip_token = skip, skip_token

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        first = FirstBeam.of(beams)
        length = (batch.target_out != PAD).sum(1, keepdim=True)  # (B, 1)
        costs = aligned_cost(first, self.skip, self.skip_token)  # (B, 1 + U)
        return costs.gather(1, length).squeeze(1) / length.squeeze(1)


def aligned_cost(first: FirstBeam, skip: float, skip_token: float) -> Tensor:
    """(B, 1 + U) A(u, T) for u = 0 ... U."""
    costs = -first.log_probs  # (B, T, U)
    skipped = pad(skip_token * costs.cumsum(2), (1, 0))  # (B, T, 1 + U) of y_1 ... y_u at t
    best = skipped[:, 0]
    for t in range(costs.size(1)):
        passed = best + skip * first.going[:, t : t + 1]
        said = torch.minimum(passed[:, 1:], best[:, :-1] + costs[:, t])
        entered = torch.cat((passed[:, :1], said), dim=1)  # (B, 1 + U), before any token is skipped at t
        within = (entered - skipped[:, t]).cummin(1).values + skipped[:, t]
        best = torch.where(first.says[:, t : t + 1], within, passed)
    return best
