"""A folder that can be loaded from the first step on."""

from pathlib import Path

import lightning.pytorch as pl

from beamtrain.runs.description import Description, save_description


class Describe(pl.Callback):
    """Makes the run's folder one that can be loaded: writes the tokenizer and model.json before the first step."""

    def __init__(self, folder: Path, description: Description) -> None:
        self._folder, self._description = folder, description

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            trainer.datamodule.tokenizer.save(self._folder)  # type: ignore[attr-defined]
            save_description(self._folder, self._description)
