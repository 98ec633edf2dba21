"""What a person, a scheduler, a power cut or a bad sentence does to a training run, and callbacks that take notes."""

import hashlib
import io
import json
import math
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import WeightAveraging

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.model.base import Seq2Seq
from beamtrain.objectives.base import Loss
from beamtrain.objectives.teacher_forcing import TeacherForcing
from beamtrain.runs import checkpoints


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
        step, size, write, written = self._step, self._size, checkpoints._KeepsFirstError.write, 0

        def write_and_die(self: Any, data: bytes) -> int:
            nonlocal written
            count = write(self, data)
            if trainer.global_step >= step:
                written += count
                if written >= size:
                    self._file.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
            return count

        checkpoints._KeepsFirstError.write = write_and_die  # type: ignore[method-assign]


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


class Poisoned(TeacherForcing):
    """Teacher forcing that is not finite, in one of three ways, on batches that have one of the sentences `rows`."""

    def __init__(self, kind: str, rows: list[int]) -> None:
        super().__init__()
        self.kind, self.rows = kind, rows

    def forward(self, network: Seq2Seq, batch: Batch, step: int = 0) -> Loss:
        loss = super().forward(network, batch, step)
        if not torch.isin(batch.index, torch.tensor(self.rows)).any():
            return loss
        zero = next(network.parameters()).sum() * 0
        poison = {"nan loss": zero * math.nan, "infinite loss": zero + math.inf, "nan gradient": zero.sqrt()}[self.kind]
        return loss._replace(total=loss.total + poison)


class Fingerprints(pl.Callback):
    """Adds to the file `path` a line for every validation: steps, and the digest of weights, optimiser, averages."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        (averaging,) = (each for each in trainer.callbacks if isinstance(each, WeightAveraging))  # type: ignore[attr-defined]
        state = module.state_dict(), trainer.optimizers[0].state_dict()["state"], averaging._average_model.state_dict()
        content = io.BytesIO()
        torch.save(state, content)
        with self._path.open("a") as file:
            file.write(f"{trainer.global_step} {hashlib.sha256(content.getvalue()).hexdigest()}\n")


class Refuse(pl.Callback):
    """Refuses as late as a callback of a user's can."""

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        raise UserError("the callback refuses")


class Hold(pl.Callback):
    """Creates `file` when the first step is done, and goes on for as long as anybody waits."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._file.touch()
        time.sleep(600)


class Fail(pl.Callback):
    """An error of the machine when `step` steps are done."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self._step:
            raise OSError("it went wrong")
