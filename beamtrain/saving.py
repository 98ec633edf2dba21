"""When training saves what it can go on from, and how it stops on a signal."""

import signal
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from beamtrain.checkpoints import load_checkpoint, save_checkpoint
from beamtrain.data.batch import Batch
from beamtrain.errors import UserError


class VerifiedCheckpointIO(TorchCheckpointIO):
    """Checkpoints of `beamtrain.checkpoints`; the file before `last` goes on as `previous`.

    A `last` that this process has neither written nor verified may be damaged, and displaces no `previous`.
    """

    def __init__(self, last: Path, previous: Path) -> None:
        self._last, self._previous = last, previous
        self._last_is_good = False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        try:
            save_checkpoint(checkpoint, path, self._previous if path == self._last and self._last_is_good else None)
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror}; training has stopped, and the checkpoints before are as they "
                "were: make room, then go on with --resume"
            ) from error
        self._last_is_good |= path == self._last

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        checkpoint = load_checkpoint(Path(path))
        self._last_is_good |= Path(path) == self._last
        return checkpoint


class LastCheckpoint(Checkpoint):
    """Saves `path`, to resume from: every `every` optimiser steps, after each validation, and when training ends.

    Only between two optimiser steps, since gradients are not saved, and not between a step and its validation, which
    a resumed run would leave out. What falls due elsewhere is saved at the next such place.

    Args:
        path: the checkpoint's file.
        every: steps between two of them; 0 saves after validations and at the end only.
    """

    def __init__(self, path: Path, every: int) -> None:
        self._path, self._every = path, every
        self._stop_due = False
        self.due = False
        """Whether to save at the next place where that can be done."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """A run that had stopped early and is resumed has nothing left to do."""
        if any(early.wait_count >= early.patience for early in trainer.early_stopping_callbacks):
            trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if not is_between_steps(trainer):
            self._stop_due |= trainer.should_stop  # such as by a time limit
            trainer.should_stop = False
            return
        trainer.should_stop |= self._stop_due
        step = trainer.global_step
        self.due |= trainer.should_stop or step == trainer.max_steps or (self._every > 0 and step % self._every == 0)
        if self.due and not _validation_follows(trainer):
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.due = True
        if is_between_steps(trainer):
            self._save(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Describe the present epoch as one that has begun and not ended, as it is wherever a checkpoint is saved.

        Lightning does not count the beginning of the epoch that follows one at whose end it was resumed, and would
        count one epoch too few when resumed again.
        """
        epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]
        for count in (epochs["current"], epochs["total"]):
            count["completed"] = count["processed"]
            count["ready"] = count["started"] = count["processed"] + 1

    def _save(self, trainer: pl.Trainer) -> None:
        self.due = False
        trainer.save_checkpoint(self._path)


class BestCheckpoint(ModelCheckpoint):
    """Saves `best.ckpt` in `folder` whenever the development BLEU is higher than ever, also if the folder has moved."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "best", monitor="dev_bleu", mode="max", enable_version_counter=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        path = str(Path(str(self.dirpath)) / "best.ckpt") if state_dict["best_k_models"] else ""
        here = {"dirpath": self.dirpath, "best_model_path": path, "kth_best_model_path": path}
        best = dict(zip([path], state_dict["best_k_models"].values(), strict=False))  # of one at most
        super().load_state_dict({**state_dict, **here, "best_k_models": best})


class Interrupted(Exception):  # noqa: N818 (no error: it was asked for)
    """Training was asked to stop by a signal, and its state is saved."""

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after step {step:,}")
        self.exit_code = 128 + signal_number


class StopOnSignal(Checkpoint):
    """SIGINT (Ctrl-C), SIGTERM, SIGUSR1: have `last` save, then raise `Interrupted`; a second one ends the process.

    Of several processes all stop after the same step, whichever of them got the signal.
    Comes after `last` in the list of callbacks.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self, last: LastCheckpoint) -> None:
        self._last, self._received, self._agreed = last, 0, 0
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._before = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        self._alone, self._speaks = trainer.world_size == 1, trainer.is_global_zero

    def _note(self, number: int, frame: Any) -> None:
        self._received = number
        if self._alone:
            self._agree_on(number)
        if self._speaks:
            name = signal.Signals(number).name
            print(f"{name}: saving after this step (a second one stops at once, unsaved)", file=sys.stderr, flush=True)
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)

    def _agree_on(self, number: int) -> None:
        self._agreed, self._last.due = number, True

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Ask the other processes for what they have received."""
        if not self._alone:
            received = torch.tensor(self._received, device=module.device)
            torch.distributed.all_reduce(received, torch.distributed.ReduceOp.MAX)
            if received:
                self._agree_on(int(received))

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._stop_if_saved(trainer)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._stop_if_saved(trainer)

    def _stop_if_saved(self, trainer: pl.Trainer) -> None:
        if self._agreed and not self._last.due:
            raise Interrupted(self._agreed, trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def is_between_steps(trainer: pl.Trainer) -> bool:
    """Whether the last batch ended with an optimiser step, not in the middle of an accumulation window."""
    return not trainer.fit_loop.epoch_loop._should_accumulate()


def _validation_follows(trainer: pl.Trainer) -> bool:
    """Whether validation comes after the batch that ends."""
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)
