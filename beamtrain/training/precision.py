"""Which number formats a run can be trained in."""

from torch.optim import Optimizer

from beamtrain.base.errors import UserError
from beamtrain.objectives.base import Objective

_SCALED = ("16", "16-mixed")  # float16 with a loss scale


def check_precision(precision: str | int | None, objective: Objective, optimizer: Optimizer) -> None:
    """Check `trainer.precision`.

    Raises:
        UserError: a format that needs a loss scale, where gradients would be wrong with one.
    """
    if str(precision) not in _SCALED:
        return
    if not objective.takes_loss_scale:
        raise UserError(
            f"trainer.precision is {precision}, whose loss scale does not reach the gradients that "
            f"{type(objective).__name__} takes itself: they would vanish; use bf16-mixed, which needs none"
        )
    if any(group.get("fused") for group in optimizer.param_groups):
        raise UserError(
            f"trainer.precision is {precision}, and a fused optimizer divides by the loss scale only after gradients "
            "are clipped; set model.optimizer.init_args.fused to false, or use bf16-mixed, which needs no loss scale"
        )
