"""A callback that does to a training run what a person or a scheduler would."""

import os
import signal
from typing import Any

import lightning.pytorch as pl


class SignalAt(pl.Callback):
    """Sends this process a signal when `step` steps are done."""

    def __init__(self, step: int, name: str = "SIGINT") -> None:
        self._step, self._signal = step, signal.Signals[name]

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self._step:
            os.kill(os.getpid(), self._signal)
