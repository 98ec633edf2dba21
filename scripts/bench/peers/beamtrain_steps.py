"""Our side of `scripts/bench/training.py` (`beamtrain_steps.py CONFIG`): `beamtrain train` as it is, taking turns."""

import sys
from typing import Any

import lightning.pytorch as pl
import torch
from turns import Turns

from beamtrain.data.batch import Batch
from beamtrain.training.main import main


class TakeTurns(pl.Callback):
    """Lets steps happen in turns."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        facts = {
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }
        self._turns = Turns(facts)

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._turns.before_step()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._turns.after_step(batch.num_target_tokens, float(outputs["loss"]))


if __name__ == "__main__":
    main(["--config", sys.argv[1]])
