"""Callbacks that watch the processes of a training run, or do to one of them what befalls processes."""

import json
import os
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from beamtrain.base.errors import UserError


class RecordRows(pl.Callback):
    """Appends the data's epoch and the rows of each batch, a JSON line, to `folder`/RANK."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._folder.mkdir(exist_ok=True)
        with open(self._folder / str(trainer.global_rank), "a") as file:
            epoch = trainer.train_dataloader.state_dict()["epoch"]  # Lightning counts a resumed epoch as two at times
            print(json.dumps([epoch, batch.index.tolist()]), file=file)


class SaveFirstWeights(pl.Callback):
    """Saves the weights that training starts from."""

    def __init__(self, path: str) -> None:
        self._path = path

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            torch.save(module.network.state_dict(), self._path)


class At(pl.Callback, ABC):
    """Something that happens to process `rank`, or to all of them, when `step` steps are done."""

    def __init__(self, step: int, rank: int | None = None) -> None:
        self._step, self._rank = step, rank

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self._step and self._rank in (None, trainer.global_rank):
            self.happen()

    @abstractmethod
    def happen(self) -> None:
        """What happens."""


class Signal(At):
    """It gets a signal."""

    def __init__(self, step: int, rank: int | None = None, name: str = "SIGKILL") -> None:
        super().__init__(step, rank)
        self._signal = signal.Signals[name]

    def happen(self) -> None:
        os.kill(os.getpid(), self._signal)


class Mistake(At):
    """It finds a user's mistake."""

    def happen(self) -> None:
        raise UserError("the moon is full")


class Bug(At):
    """It has a bug."""

    def happen(self) -> None:
        raise AssertionError("a bug")


class Hang(At):
    """It waits for something that never comes, and hears of no broken connection: as in a collective on GPUs."""

    def happen(self) -> None:
        time.sleep(1000)


class OutOfMemory(pl.Callback):
    """The GPU's memory is full in training or in validation, after `step` steps."""

    def __init__(self, step: int, validating: bool = False) -> None:
        self._step, self._validating = step, validating

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        self._raise(trainer)

    def on_validation_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        self._raise(trainer)

    def _raise(self, trainer: pl.Trainer) -> None:
        if trainer.validating == self._validating and trainer.global_step >= self._step:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
