"""Averaged weights: what is validated, saved and gone on from was trained, whether there is an average yet or not."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import WeightAveraging


class TrainedUntilAveraged(pl.Callback):
    """Lets Lightning's averages be the trained weights for as long as nothing has been averaged.

    Lightning's begin as a copy of the first weights, which would be validated and saved until the first update. Comes
    before `WeightAveraging` in the list of callbacks.

    A run that is resumed without averaging goes on from the trained weights.
    """

    def on_validation_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        _follow(trainer, module)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        _follow(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        _follow(trainer, module)

    def on_load_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        if "current_model_state" in checkpoint and not averaging_callbacks(trainer):
            module.load_state_dict(checkpoint["current_model_state"])


def averaging_callbacks(trainer: pl.Trainer) -> list[WeightAveraging]:
    """The callbacks that average weights."""
    return [each for each in trainer.callbacks if isinstance(each, WeightAveraging)]  # type: ignore[attr-defined]


def _follow(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    for averaging in averaging_callbacks(trainer):
        average = averaging._average_model
        if average is not None and not average.n_averaged:
            average.module.load_state_dict(module.state_dict())
