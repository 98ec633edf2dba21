"""When training saves what it can go on from."""

from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from beamtrain.base.errors import UserError
from beamtrain.data.batch import Batch
from beamtrain.runs.checkpoints import load_checkpoint, save_checkpoint
from beamtrain.runs.weights import save_weights, weights_in
from beamtrain.training.run_folder import BEST, LAST, PREVIOUS


class VerifiedCheckpointIO(TorchCheckpointIO):
    """Checkpoints of `beamtrain.runs.checkpoints` in a run's folder; the `last.ckpt` before goes on as `previous.ckpt`.

    A `last.ckpt` that this process has neither written nor verified may be damaged, and displaces no other.

    The weights of `best.ckpt`, or of `last.ckpt` while there is no other, are model.safetensors at any moment.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last, self._previous, self._best = (
            _where(folder / "checkpoints" / name) for name in (LAST, PREVIOUS, BEST)
        )
        self._last_is_good = False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = _where(path)
        try:
            if path == self._best or (path == self._last and not self._best.exists()):
                save_weights(self._folder, *weights_in(checkpoint))
            save_checkpoint(checkpoint, path, self._previous if path == self._last and self._last_is_good else None)
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror}; training has stopped, and the checkpoints before are as they "
                "were: make room, then go on with --resume"
            ) from error
        self._last_is_good |= path == self._last

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        checkpoint = load_checkpoint(Path(path))
        self._last_is_good |= _where(path) == self._last
        return checkpoint


class LastCheckpoint(Checkpoint):
    """Saves `path`, to resume from: every `every` optimiser steps, after each validation, and when training ends.

    Training ends with a validation, so that the last steps may be the best.

    Only between two optimiser steps, since gradients are not saved, and not between a step and its validation, which
    a resumed run would leave out. What falls due elsewhere is saved at the next such place.

    Args:
        path: the checkpoint's file.
        every: steps between two of them; 0 saves after validations and at the end only.
    """

    def __init__(self, path: Path, every: int) -> None:
        self._path, self._every = path, every
        self._stop_due = self._validates_at_end = False
        self.due = False
        """Whether to save at the next place where that can be done."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if not is_between_steps(trainer):
            self._stop_due |= trainer.should_stop  # such as by a time limit
            trainer.should_stop = False
            return
        trainer.should_stop |= self._stop_due
        step = trainer.global_step
        last = step == trainer.max_steps or _ends_the_last_epoch(trainer)
        self.due |= trainer.should_stop or last or (self._every > 0 and step % self._every == 0)
        self.save_if_due(trainer)
        if last and not _validation_follows(trainer):
            trainer.should_stop = self._validates_at_end = True  # so that Lightning does

    def save_if_due(self, trainer: pl.Trainer) -> None:
        """After an optimiser step, unless its validation comes first."""
        if self.due and not _validation_follows(trainer):
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        if self._validates_at_end:  # and more steps, if there will be any, go on as if it had not
            self.due = False
            return
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
    """Saves `best.ckpt` in `folder` whenever no score of the development set was better, also if the folder has moved.

    Of equal scores the last one counts, which more training has gone into.

    Args:
        folder: of the checkpoints.
        monitor: the name that the score is logged under.
        mode: whether the best is the least or the greatest.
    """

    def __init__(self, folder: Path, monitor: str, mode: Literal["min", "max"]) -> None:
        super().__init__(folder, "best", monitor=monitor, mode=mode, enable_version_counter=False)

    def check_monitor_top_k(self, trainer: pl.Trainer, current: torch.Tensor | None = None) -> bool:
        if current is None or not self.best_k_models:
            return super().check_monitor_top_k(trainer, current)
        best = self.best_k_models[self.kth_best_model_path]
        return trainer.strategy.reduce_boolean_decision(
            bool(current >= best if self.mode == "max" else current <= best)
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        path = str(Path(str(self.dirpath)) / "best.ckpt") if state_dict["best_k_models"] else ""
        here = {"dirpath": self.dirpath, "best_model_path": path, "kth_best_model_path": path}
        best = dict(zip([path], state_dict["best_k_models"].values(), strict=False))  # of one at most
        super().load_state_dict({**state_dict, **here, "best_k_models": best})


def _where(path: Path | str) -> Path:
    """The same path for every way to say it."""
    return Path(path).parent.resolve() / Path(path).name


def is_between_steps(trainer: pl.Trainer) -> bool:
    """Whether the last batch ended with an optimiser step, not in the middle of an accumulation window."""
    return not trainer.fit_loop.epoch_loop._should_accumulate()


def _ends_the_last_epoch(trainer: pl.Trainer) -> bool:
    epochs = trainer.max_epochs
    return bool(trainer.is_last_batch) and epochs is not None and 0 <= epochs <= trainer.current_epoch + 1


def _validation_follows(trainer: pl.Trainer) -> bool:
    """Whether validation comes after the batch that ends."""
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)
