"""Expected n-gram overlap of the final beams with the reference, differentiable through the search's choices."""

from torch import Tensor

from beamtrain.data.batch import Batch
from beamtrain.errors import UserError
from beamtrain.objectives.beam_loss import BeamLoss, order_weights
from beamtrain.objectives.soft_gleu import soft_gleu
from beamtrain.search.soft import SoftBeams


class NgramOverlap(BeamLoss):
    """1 - sum_r w_r GLEU_r over the K final beams of a sentence; GLEU as in `soft_gleu`, w as in `order_weights`.

    So the gradient has two ways: through the tokens, that is the search's choices, and through the weights, which
    are probabilities of whole hypotheses (as in minimum risk).

    Args:
        order: the longest n-grams.
        sharpness: temperature of w, in units of the normalised score (nats).

    Raises:
        UserError: a value out of its range.
    """

    def __init__(self, order: int = 4, sharpness: float = 0.3) -> None:
        super().__init__()
        if order < 1:
            raise UserError(f"order is {order}, but n-grams have at least 1 token; 4 is usual")
        if not sharpness > 0:
            raise UserError(f"sharpness is {sharpness}, but must be positive; 0.3 is usual")
        self.order, self.sharpness = order, sharpness

    def forward(self, beams: SoftBeams, batch: Batch, gold_log_probs: Tensor | None = None) -> Tensor:
        overlap = soft_gleu(beams, batch.target_out, self.order)  # (B, K)
        return 1 - (order_weights(beams, self.sharpness) * overlap).sum(-1)
