"""Callbacks that do to a training run what a person, a scheduler or a power cut would, and one that takes notes."""

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from beamtrain import checkpoints


class SignalAt(pl.Callback):
    """Sends this process a signal when `step` steps are done, at batch `within` of the accumulation window."""

    def __init__(self, step: int, name: str = "SIGINT", within: int = 0) -> None:
        self._step, self._signal, self._within = step, signal.Signals[name], within

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self._step and batch_idx % trainer.accumulate_grad_batches == self._within:
            os.kill(os.getpid(), self._signal)


class KillInCheckpoint(pl.Callback):
    """SIGKILL while the checkpoint of `step` steps is written, when `size` bytes of it are on their way to the disk."""

    def __init__(self, step: int, size: int) -> None:
        self._step, self._size = step, size

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        step, size, write, written = self._step, self._size, checkpoints._Digesting.write, 0

        def write_and_die(self: Any, data: bytes) -> int:
            nonlocal written
            count = write(self, data)
            if trainer.global_step >= step:
                written += count
                if written >= size:
                    self._file.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
            return count

        checkpoints._Digesting.write = write_and_die  # type: ignore[method-assign]


class KillAfter(pl.Callback):
    """SIGKILL so many seconds after training has begun, whatever is being done then."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
        self._timer.daemon = True

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._timer.start()


class Notes(pl.Callback):
    """Adds to the file `path` a line for every training batch: epoch, batch, and the rows in it."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps([trainer.current_epoch, batch_idx, batch.index.tolist()]) + "\n")


class FillDisk(pl.Callback):
    """Leaves 60 kB of room on the disk that `file` lies on, before the fourth step."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 3:
            room = os.statvfs(self._file.parent)
            self._file.write_bytes(bytes(room.f_bavail * room.f_frsize - 60_000))
