"""Lightning's early stopping in a run that is resumed: what is typed decides, and what has stopped stays so."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

LIMITS = ("stopping_threshold", "divergence_threshold", "check_finite")


class TypedEarlyStopping(pl.Callback):
    """Has a resumed run stop by the patience and thresholds that are typed, not by those of its checkpoint.

    One that had stopped early stops at once, unless its patience was raised, or the threshold changed that it met.
    """

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        states = checkpoint["callbacks"]
        for early in trainer.early_stopping_callbacks:
            if (state := states.get(early.state_key)) is None:
                continue
            waits = state["stopping_reason"] == EarlyStoppingReason.PATIENCE_EXHAUSTED.value
            same = states.get(self.state_key, {}).get(early.state_key) == _limits(early)
            state["patience"] = early.patience
            if state["wait_count"] < early.patience and (waits or not same):
                state["stopping_reason"], state["stopping_reason_message"] = EarlyStoppingReason.NOT_STOPPED.value, None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        trainer.should_stop |= any(map(has_stopped, trainer.early_stopping_callbacks))

    def state_dict(self) -> dict[str, Any]:
        return self._limits

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        self._limits = {early.state_key: _limits(early) for early in trainer.early_stopping_callbacks}


def has_stopped(early: EarlyStopping) -> bool:
    """Whether this callback has ended training."""
    return early.wait_count >= early.patience or early.stopping_reason != EarlyStoppingReason.NOT_STOPPED


def _limits(early: EarlyStopping) -> dict[str, Any]:
    return {name: getattr(early, name) for name in LIMITS}
