"""Several losses on the same beams."""

import math

from torch import Tensor, nn

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.objectives.losses.base import NEEDS, OF_ALL, BeamLoss
from beamtrain.search.unroll.soft_beams import SoftBeams


class WeightedSum(BeamLoss):
    """sum_i weights[i] losses[i].

    Raises:
        UserError: not one weight for each loss, none at all, or one that is not finite.
    """

    def __init__(self, losses: list[BeamLoss], weights: list[float]) -> None:
        super().__init__()
        if not losses:
            raise UserError("losses is empty; give one loss or more, and a weight for each")
        if len(losses) != len(weights):
            raise UserError(f"weights has {len(weights)} numbers for {len(losses)} losses; give one for each")
        if not all(map(math.isfinite, weights)):
            raise UserError(
                f"weights has {next(w for w in weights if not math.isfinite(w))}; each must be a finite number"
            )
        self.losses, self.weights = nn.ModuleList(losses), weights
        for need in NEEDS:
            setattr(self, need, any(getattr(loss, need) for loss in losses))
        for need in OF_ALL:
            setattr(self, need, all(getattr(loss, need) for loss in losses))

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        parts = [
            weight * loss(beams, batch, gold_log_probs) for weight, loss in zip(self.weights, self.losses, strict=True)
        ]
        return sum(parts[1:], parts[0])
